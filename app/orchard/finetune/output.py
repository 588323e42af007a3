"""What is in the output: nothing, a backbone that was tuned, in this way or another, or something in the way."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchard.errors import OutputError, UsageError, WeightsError
from orchard.finetune.lineage import asked
from orchard.finetune.options import FinetuneOptions
from orchard.network.backbone import Backbone
from orchard.network.bake.bake import check_replaceable
from orchard.network.weights import BakedWeights, check_weights
from orchard.storage.objects import is_object_uri
from orchard.storage.stores import LocalStore, check_outside, local_path
from orchard.tables.output import check_apart

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
        _check_overwrite(options, found)
        return None
    try:
        check_weights(backbone, str(folder), "--overwrite makes it again")
    except WeightsError:
        if not options.overwrite:
            raise
        return None
    return found


def check_output(options: FinetuneOptions, backbone: Backbone, parent: BakedWeights, folder: Path) -> None:
    """Refuse an output that cannot be replaced, or has what was made in another way; no photo was read yet.

    Raises:
        OrchardError: it is the parent or inside --input, or see `find_finished`.
    """
    if os.path.realpath(parent.folder) == os.path.realpath(folder):
        raise UsageError(f"--output {options.output}: holds the backbone to begin with: choose another one")
    check_apart(options.output, options.input)
    check_outside(LocalStore(str(folder)))
    check_replaceable(backbone, folder, OTHERS)
    wanted = asked(options, backbone, parent)
    if folder.exists() and any(folder.iterdir()):
        found = _read(folder)
        if any(found.get(name) != value for name, value in wanted.items()):
            _check_overwrite(options, found)


def _check_overwrite(options: FinetuneOptions, found: Mapping[str, Any]) -> None:
    if not options.overwrite:
        what = "holds a backbone that was made of other photos, options or weights" if found else "is not empty"
        raise OutputError(f"--output {options.output}: {what}: choose another one, or give --overwrite")


def _read(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / FACTS).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return {}
