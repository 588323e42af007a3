"""What a job in a container gets of its caller's AWS settings.

The standard variables, and the two files where they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_PROFILES = ("AWS_DEFAULT_PROFILE", "AWS_PROFILE")  # in botocore's order
_SETTINGS = ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_SKIP_SIGNATURE")
# Variable -> the file's own place below the home folder. Those that name other files say nothing in a container.
_FILES = {"AWS_CONFIG_FILE": ".aws/config", "AWS_SHARED_CREDENTIALS_FILE": ".aws/credentials"}


def aws_variables(environ: Mapping[str, str], profile: str | None) -> dict[str, str]:
    """The variables to hand on.

    A profile that is asked for takes the place of the caller's own, and of keys, which would win over it.
    """
    names = _SETTINGS if profile else (*_PROFILES, *_KEYS, *_SETTINGS)
    return {name: environ[name] for name in names if environ.get(name)}


def aws_files(environ: Mapping[str, str], home: Path) -> dict[str, Path]:
    """Variable -> the file that it names, or that is used without it, of those that are there."""
    places = {name: Path(environ.get(name) or home / usual).expanduser().absolute() for name, usual in _FILES.items()}
    return {name: path for name, path in places.items() if path.is_file()}
