"""What is in the output: nothing, a backbone that was tuned, in this way or another, or something in the way."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchard.errors import OutputError, UsageError
from orchard.finetune.options import FinetuneOptions
from orchard.network.backbone import Backbone
from orchard.network.bake.bake import check_replaceable
from orchard.network.weights import check_weights
from orchard.storage.objects import is_object_uri
from orchard.storage.stores import LocalStore, local_path

FACTS, CURVE = OTHERS = ("finetune.json", "curve.svg")


def folder_of(options: FinetuneOptions) -> Path:
    """The output's folder; `UsageError` for one that is none on this machine."""
    if is_object_uri(options.output):
        raise UsageError(f"--output {options.output}: a backbone is a folder on this machine: copy it there afterwards")
    return Path(local_path(options.output))


def state_of(folder: Path) -> LocalStore:
    """Where the state is until the backbone is there: beside the folder, on the same disk."""
    return LocalStore(str(folder.with_name(f".{folder.name}.finetune")))


def find_finished(options: FinetuneOptions, backbone: Backbone, folder: Path, key: str) -> Mapping[str, Any] | None:
    """The content of `finetune.json`, where the output is the backbone that `key` says, in order; else None.

    Raises:
        OrchardError: something else is in the way, and is not to be replaced.
    """
    check_replaceable(backbone, folder, OTHERS)
    if not folder.exists() or not any(folder.iterdir()):
        return None
    found = _read(folder)
    if found.get("key") != key:
        if not options.overwrite:
            what = "holds a backbone that was made of other photos, options or weights" if found else "is not empty"
            raise OutputError(f"--output {options.output}: {what}: choose another one, or give --overwrite")
        return None
    check_weights(backbone, str(folder))
    return found


def _read(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / FACTS).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return {}
