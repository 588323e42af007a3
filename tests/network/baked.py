"""Baked folders for tests, in order as far as hashes go."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from orchard.network.backbone import Backbone
from orchard.network.weights import MANIFEST, contract, sha256


def write_baked(folder: Path, backbone: Backbone, /, **manifest: Any) -> Path:
    """A folder with files that are no models; `manifest` is more of its manifest."""
    folder.mkdir(parents=True)
    names = (backbone.tflite_file, backbone.keras_file)
    for name in names:
        (folder / name).write_bytes(name.encode())
    facts = {"fingerprint": backbone.fingerprint, "files": {name: sha256(folder / name) for name in names}}
    (folder / MANIFEST).write_text(json.dumps(contract(backbone) | facts | manifest))
    return folder


def copy_baked(baked: str, folder: Path, /, **manifest: Any) -> Path:
    """A copy of a baked folder whose manifest says something else, too."""
    shutil.copytree(baked, folder)
    facts = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(facts | manifest))
    return folder
