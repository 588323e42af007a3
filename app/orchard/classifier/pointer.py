"""classifier.json: how it is found, what it must hold, and what to do where there is none."""

import json
import math
import os
import re
from collections.abc import Mapping
from typing import Any

from orchard.classifier.settings import DECISIVE
from orchard.errors import InputError
from orchard.storage.stores import LocalStore, Store

SCHEMA_VERSION = 1
POINTER = "classifier.json"
FOLDER = re.compile("model-[0-9a-f]{12}")
# What is read of two of its keys.
_KEYS = {
    "settings": (*DECISIVE, "runtime"),
    "training": ("features", "photos", "rule", "mapping", "split", "precision"),
}


def read_pointer(store: Store) -> bytes:
    """The content of classifier.json; `InputError` where there is none, `OutputError` where the storage fails."""
    if isinstance(store, LocalStore) and os.path.isfile(store.uri):
        raise InputError(f"{store.flag} {store.uri}: is a file: name the folder that `orchard train` wrote")
    try:
        return store.read(POINTER)
    except FileNotFoundError as exc:
        raise InputError(f"{store.flag} {store.uri}: {_what_is_there(store.names())}") from exc


def _what_is_there(names: set[str]) -> str:
    if not names:
        return "does not exist or is empty: name the output of `orchard train`"
    if "features" in names:
        return "is an output of `orchard run`: give it to `orchard train --features` first"
    if any(FOLDER.fullmatch(name) for name in names):
        return "holds a training that did not finish: run `orchard train` again"
    return "holds other files, and no classifier: name the output of `orchard train`"


def parse_pointer(content: bytes) -> dict[str, Any]:
    """What classifier.json says.

    Raises:
        ValueError: it is another program's, or a newer version's; the text says which.
    """
    try:
        facts = json.loads(content)
    except ValueError:
        facts = None
    version = facts.get("schema_version") if isinstance(facts, dict) else None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise ValueError(f"is of a newer version of Orchard (schema {version}, this one reads {SCHEMA_VERSION})")
    if version != SCHEMA_VERSION or not FOLDER.fullmatch(str(facts.get("folder"))):
        raise ValueError("is not what `orchard train` writes")
    return dict(facts)


def check_facts(facts: Mapping[str, Any]) -> None:
    """Raise `ValueError`, `KeyError` or `TypeError` unless all is there that the commands read, and finite."""
    for name in ("threshold", "limit"):
        if not math.isfinite(float(facts[name])):
            raise ValueError(f"{name} is {facts[name]}")
    for key, names in _KEYS.items():
        if missing := [name for name in names if name not in facts[key]]:
            raise ValueError(f"{key} lacks {', '.join(missing)}")
