"""Baked weights as the job sees them: a folder with a manifest that says what is in it and vouches for every byte."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchard.errors import WeightsError
from orchard.network.backbones import Backbone

MANIFEST = "manifest.json"
NEXT_STEP = "run `orchard weights` to bake them, or point --weights at a baked folder"


@dataclass(frozen=True)
class BakedWeights:
    """A baked folder that was checked against its manifest.

    Attributes:
        folder: absolute path, the same on every machine that runs a task.
        fingerprint: SHA-256 of the weights, the same whatever file they came in.
        files: file name -> SHA-256 of each file.
    """

    folder: str
    fingerprint: str
    files: Mapping[str, str]

    def path(self, name: str) -> str:
        """Full path of one of `files`."""
        return os.path.join(self.folder, name)


def cache_root(environ: Mapping[str, str] = os.environ) -> Path:
    """Orchard's folder in the user's cache: `$XDG_CACHE_HOME/orchard`, by default `~/.cache/orchard`."""
    base = environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "orchard"


def cached_weights_folder(backbone: Backbone, environ: Mapping[str, str] = os.environ) -> Path:
    """Where `orchard weights` keeps this backbone: another fingerprint, another folder."""
    return cache_root(environ) / "weights" / f"{backbone.name}-{backbone.fingerprint[:12]}"


def find_weights(backbone: Backbone, folder: str | None, environ: Mapping[str, str] = os.environ) -> BakedWeights:
    """Check and return the weights to use: `folder`, else `$ORCHARD_WEIGHTS`, else the user's cache."""
    return check_weights(
        backbone, folder or environ.get("ORCHARD_WEIGHTS") or str(cached_weights_folder(backbone, environ))
    )


def check_weights(backbone: Backbone, folder: str) -> BakedWeights:
    """Read a baked folder's manifest and compare every file with it.

    Raises:
        WeightsError: the folder, its manifest or a file is missing, is for another backbone, or differs from its SHA-256.
    """
    manifest = _read_manifest(folder)
    name = manifest.get("backbone")
    if name != backbone.name:
        raise WeightsError(f"{folder}: baked for backbone {name!r}, not {backbone.name!r}; {NEXT_STEP}")
    files: dict[str, str] = manifest["files"]
    for file, expected in files.items():
        check_file(os.path.join(folder, file), expected)
    return BakedWeights(os.path.abspath(folder), manifest["fingerprint"], files)


def check_file(path: str, expected: str) -> None:
    """Raise `WeightsError`, with both hashes, unless the file's SHA-256 is `expected`."""
    try:
        with open(path, "rb") as stream:
            actual = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as exc:
        raise WeightsError(f"{path}: cannot be read ({exc.strerror}); {NEXT_STEP}") from exc
    if actual != expected:
        raise WeightsError(f"{path}: SHA-256 is {actual}, its manifest says {expected}; {NEXT_STEP}")


def _read_manifest(folder: str) -> dict[str, Any]:
    path = os.path.join(folder, MANIFEST)
    try:
        with open(path, encoding="utf-8") as stream:
            manifest = json.load(stream)
    except FileNotFoundError as exc:
        raise WeightsError(f"{folder}: no baked weights there; {NEXT_STEP}") from exc
    except (OSError, ValueError) as exc:
        raise WeightsError(f"{path}: not a readable manifest ({exc}); {NEXT_STEP}") from exc
    if (
        not isinstance(manifest, dict)
        or not {"backbone", "fingerprint", "files"} <= manifest.keys()
        or not isinstance(manifest["files"], dict)
    ):
        raise WeightsError(f"{path}: lacks backbone, fingerprint or files; {NEXT_STEP}")
    return manifest
