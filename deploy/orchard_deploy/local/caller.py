"""What a job in a container gets of its caller, for addresses of S3: AWS settings, proxies and certificates.

Variables are handed on; a file that one of them names is mounted, and the variable names it there.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from orchard_deploy.errors import SpecError
from orchard_deploy.image.build import PROXIES

_VARIABLES = (
    *("AWS_DEFAULT_PROFILE", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    *("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_SKIP_SIGNATURE"),
    *PROXIES,
)
# Variable -> the file's usual path. Those that name other files say nothing in a container.
_FILES = {"AWS_CONFIG_FILE": "~/.aws/config", "AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials"}
# What reads and writes S3 knows only the second, what fetches credentials only the first: one stands in for the other.
_CERTIFICATES = {"AWS_CA_BUNDLE": "SSL_CERT_FILE", "SSL_CERT_FILE": "AWS_CA_BUNDLE"}


def variables_of(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that a job gets with their values."""
    return {name: environ[name] for name in _VARIABLES if environ.get(name)}


def files_of(environ: Mapping[str, str]) -> dict[str, Path]:
    """The files that a job gets, by the variable that names them; `SpecError` where one cannot be read."""
    paths = {name: environ.get(name) or usual for name, usual in _FILES.items()}
    found = {name: _readable(name, path) for name, path in paths.items() if os.path.isfile(os.path.expanduser(path))}
    for name, other in _CERTIFICATES.items():
        named = name if environ.get(name) else other
        if environ.get(named):
            found[name] = _readable(named, environ[named])
    return found


def _readable(name: str, path: str) -> Path:
    found = os.path.abspath(os.path.expanduser(path))
    if not os.path.isfile(found) or not os.access(found, os.R_OK):
        raise SpecError(f"{name}: {found}: no file that you can read: name another, or make it readable")
    return Path(found)
