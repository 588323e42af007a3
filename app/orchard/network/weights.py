"""Baked weights as the job sees them: a folder of models, and a manifest with the hash of each."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchard.errors import WeightsError
from orchard.network.backbone import Backbone

MANIFEST = "manifest.json"
NEXT_STEP = "run `orchard weights --backbone {}` to bake them, or point --weights at a baked folder"


@dataclass(frozen=True)
class BakedWeights:
    """A baked folder that was checked against its manifest."""

    folder: str  # absolute, the same on every machine that runs a task
    fingerprint: str  # of the weights, the same whatever file they came in
    files: Mapping[str, str]  # name -> SHA-256
    lineage: Mapping[str, Any] | None = None  # of fine-tuned weights: where they come from, as their manifest says

    def path(self, name: str) -> str:
        """Full path of one of `files`."""
        return os.path.join(self.folder, name)


def cache_root() -> Path:
    """Orchard's folder in the user's cache: `$XDG_CACHE_HOME/orchard`, by default `~/.cache/orchard`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "orchard")


def cached_weights_folder(backbone: Backbone) -> Path:
    """Where `orchard weights` keeps this backbone: another fingerprint, another folder."""
    return cache_root() / "weights" / f"{backbone.name}-{(backbone.fingerprint or 'published')[:12]}"


def contract(backbone: Backbone) -> dict[str, Any]:
    """What a manifest says of the network: what its models take and give."""
    return {
        "backbone": backbone.name,
        "input_size": list(backbone.input_size),
        "preprocessing": {"channels": "RGB", "scale": backbone.pixel_scale, "offset": backbone.pixel_offset},
        "feature_size": backbone.feature_size,
    }


def find_weights(backbone: Backbone, folder: str | None) -> BakedWeights:
    """Check and return the weights to use: `folder`, else `$ORCHARD_WEIGHTS`, else the user's cache.

    A folder of several baked folders, each with its backbone's name, will do.
    """
    found = str(folder or os.environ.get("ORCHARD_WEIGHTS") or cached_weights_folder(backbone))
    own = os.path.join(found, backbone.name)
    if os.path.isfile(os.path.join(own, MANIFEST)):
        return check_weights(backbone, own)
    if others := sorted(path.parent.name for path in Path(found).glob(f"*/{MANIFEST}")):
        text = f"{found}: has weights of {', '.join(others)}, but none of {backbone.name}"
        raise WeightsError(f"{text}; {NEXT_STEP.format(backbone.name)}")
    return check_weights(backbone, found)


def check_weights(backbone: Backbone, folder: str, next_step: str | None = None) -> BakedWeights:
    """Read a baked folder's manifest and compare every file with it.

    `WeightsError` for whatever is not in order; it ends with `next_step`, by default how to bake this backbone.
    """
    next_step = next_step or NEXT_STEP.format(backbone.name)
    path, manifest = os.path.join(folder, MANIFEST), read_manifest(folder, next_step)
    for name, now in contract(backbone).items():
        if (before := manifest.get(name, now)) != now:
            raise WeightsError(f"{path}: its {name} is {before}, this version of Orchard has {now}; {next_step}")
    try:
        files = {name: str(manifest["files"][name]) for name in (backbone.tflite_file, backbone.keras_file)}
        fingerprint, lineage = str(manifest["fingerprint"]), manifest.get("lineage")
    except (KeyError, TypeError) as exc:
        raise WeightsError(f"{path}: not a manifest of {backbone.name} ({exc!r}); {next_step}") from exc
    if not isinstance(lineage, dict | None):
        raise WeightsError(f"{path}: its lineage is {lineage!r}, not a table; {next_step}")
    baked = BakedWeights(os.path.abspath(folder), fingerprint, files, lineage)
    for name, expected in files.items():
        check_file(baked.path(name), expected, next_step)
    return baked


def read_manifest(folder: str, next_step: str = NEXT_STEP.format("NAME")) -> dict[str, Any]:
    """What a baked folder says of itself; `WeightsError` where that is nothing."""
    path = os.path.join(folder, MANIFEST)
    try:
        manifest = json.loads(Path(path).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise WeightsError(f"{folder}: no baked weights there: it has no {MANIFEST}; {next_step}") from exc
    except (OSError, ValueError) as exc:
        raise WeightsError(f"{path}: cannot be read ({exc}); {next_step}") from exc
    if not isinstance(manifest, dict):
        raise WeightsError(f"{path}: not a manifest; {next_step}")
    return manifest


def check_file(path: str, expected: str, next_step: str = NEXT_STEP.format("NAME")) -> None:
    """Raise `WeightsError`, with both hashes, unless the file's SHA-256 is `expected`."""
    try:
        actual = sha256(path)
    except OSError as exc:
        raise WeightsError(f"{path}: cannot be read ({exc.strerror}); {next_step}") from exc
    if actual != expected:
        raise WeightsError(f"{path}: SHA-256 is {actual}, its manifest says {expected}; {next_step}")


def sha256(path: str | Path) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
