"""classifier.json: how it is found, what it must hold, and what to do where there is none."""

import hashlib
import json
import math
import os
from collections.abc import Callable, Mapping
from typing import Any

from orchard.classifier.settings import DECISIVE
from orchard.errors import InputError
from orchard.storage.stores import CLASSIFIER_FILES, LocalStore, Store

SCHEMA_VERSION = 1
POINTER = "classifier.json"
FOLDER = CLASSIFIER_FILES
SHA256 = "sha256"
AGAIN = "copy it again, or repeat `orchard train`"


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_text_or_nothing(value: Any) -> bool:
    return value is None or _is_text(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _are_some_texts(value: Any) -> bool:
    return bool(value) and _are_texts(value)


def _maps_to_texts(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_text, value.values()))


# What the commands read, and whether it is of the right type; a dot is between a key and one inside it.
_EXPECTED: Mapping[str, Callable[[Any], bool]] = {
    "pipeline": _is_text,
    "files": _maps_to_texts,
    "classes": _are_some_texts,
    "settings": _maps_to_texts,
    **{f"settings.{name}": _is_text for name in (*DECISIVE, "runtime")},
    "threshold": _is_number,
    "limit": _is_number,
    "training.features": _is_text,
    "training.photos": _is_number,
    "training.rule": _is_text,
    "training.mapping": _maps_to_texts,
    "training.split.kind": _is_text,
    "training.precision.wanted": _is_number,
    "training.in_no_fold": _are_texts,
    "training.input": _is_text_or_nothing,
    "training.test": _is_text_or_nothing,
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
    """What classifier.json says, not checked yet, see `check_facts`.

    Raises:
        ValueError: it is another program's, or a newer version's; the text says which.
    """
    try:
        facts = json.loads(content)
    except (ValueError, RecursionError):
        facts = None
    version = facts.get("schema_version") if isinstance(facts, dict) else None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise ValueError(f"is of a newer version of Orchard (schema {version}, this one reads {SCHEMA_VERSION})")
    if version != SCHEMA_VERSION or not FOLDER.fullmatch(str(facts.get("folder"))):
        raise ValueError("is not what `orchard train` writes")
    return dict(facts)


def read_facts(store: Store, content: bytes) -> dict[str, Any]:
    """What the classifier.json of a store says, checked; `InputError` where it cannot be used."""
    where = f"{store.flag} {store.uri}/{POINTER}"
    try:
        facts = parse_pointer(content)
    except ValueError as exc:
        raise InputError(f"{where}: {exc}: name a classifier that was trained with this version") from exc
    try:
        check_facts(facts)
    except ValueError as exc:
        raise InputError(f"{where}: is damaged ({exc}): {AGAIN}") from exc
    return facts


def format_pointer(facts: Mapping[str, Any]) -> bytes:
    """The content of classifier.json: these facts, and their SHA-256; `ValueError` for what JSON cannot hold."""
    text = json.dumps({**facts, SHA256: hash_facts(facts)}, indent=1, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode("utf-8", "backslashreplace")  # a path that is not UTF-8 becomes JSON's own escape


def hash_facts(facts: Mapping[str, Any]) -> str:
    """SHA-256 of facts without their own: of JSON with sorted keys and no spaces; `ValueError` for NaN or infinity."""
    others = {key: value for key, value in facts.items() if key != SHA256}
    text = json.dumps(others, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def check_facts(facts: Mapping[str, Any]) -> None:
    """Raise `ValueError` unless facts are those that were written, and all is there that the commands read."""
    for name, is_right in _EXPECTED.items():
        if not is_right(_look_up(facts, name)):
            raise ValueError(f"{name} is missing or no valid value")
    if facts.get(SHA256) != (found := hash_facts(facts)):
        raise ValueError(f"its {SHA256} is {facts.get(SHA256)}, not {found}, that of its content")


def _look_up(facts: Mapping[str, Any], name: str) -> Any:
    """What is at a name with dots; None where there is nothing."""
    found: Any = facts
    for key in name.split("."):
        found = found.get(key) if isinstance(found, dict) else None
    return found
