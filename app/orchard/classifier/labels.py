"""From the label of a photo, the name of its folder, to the class that a classifier answers."""

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchard.classifier.options import FIRST_WORD, FOLDER, LABEL_RULES
from orchard.errors import InputError
from orchard.storage import objects
from orchard.storage.stores import local_path

CSV = "csv"
_SHOWN = 3


@dataclass(frozen=True)
class Rule:
    """How labels become classes: `name` is `FOLDER`, `FIRST_WORD` or `CSV`, the last with its `mapping`."""

    name: str
    source: str = ""
    mapping: Mapping[str, str] = field(default_factory=dict)

    def classes(self, labels: Iterable[str]) -> dict[str, str]:
        """The class of each label, in order of label; `InputError` for labels that the CSV file does not name."""
        found = {label: self.class_of(label) for label in sorted(set(labels))}
        if missing := [label for label, name in found.items() if name is None]:
            raise InputError(f"--labels {self.source}: names no class for {listed(missing)}: add them")
        return {label: name for label, name in found.items() if name is not None}

    def class_of(self, label: str) -> str | None:
        """The class of one label; None where the CSV file does not name it."""
        if self.name == CSV:
            return self.mapping.get(label)
        return first_word(label) if self.name == FIRST_WORD else label


def first_word(label: str) -> str:
    """`Apple Golden 1` and `Apple_golden-1` -> `Apple`; a label without a word is its own."""
    return next(filter(None, re.split(r"[\s_-]+", label)), label)


def listed(names: list[str]) -> str:
    """The first of some names, and how many more there are."""
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(repr(name) for name in names[:_SHOWN]) + more


def read_rule(text: str) -> Rule:
    """The rule that `--labels` names; `InputError` for a CSV file that is missing or not one of label,class."""
    if text in LABEL_RULES:
        return Rule(text)
    try:
        rows = list(csv.DictReader(io.StringIO(_read(text).decode("utf-8-sig"), newline="")))
    except (UnicodeDecodeError, csv.Error) as exc:
        raise InputError(f"--labels {text}: not a CSV file in UTF-8 ({exc})") from exc
    if not rows or not {"label", "class"} <= rows[0].keys():
        raise InputError(f"--labels {text}: not a CSV file with the columns label,class and a row for each label")
    return Rule(CSV, text, _mapping(text, rows))


def rule_of(facts: Mapping[str, Any], source: str) -> Rule:
    """The rule that a classifier was trained with, of the content of its classifier.json, which `source` names."""
    return Rule(facts["training"]["rule"], source, facts["training"]["mapping"])


def _mapping(source: str, rows: list[dict[str, str]]) -> dict[str, str]:
    mapping: dict[str, str] = {}
    for number, row in enumerate(rows, 2):
        label, name = (unicodedata.normalize("NFC", (row[key] or "").strip()) for key in ("label", "class"))
        if not label or not name or mapping.setdefault(label, name) != name:
            what = "has another class above" if label and name else "lacks a label or a class"
            raise InputError(f"--labels {source}: row {number} ({label!r}) {what}: correct it")
    return mapping


def _read(uri: str) -> bytes:
    with objects.explained(f"--labels {uri}", InputError):
        try:
            if objects.is_object_uri(uri):
                folder, _, name = uri.rpartition("/")
                return bytes(objects.connect(folder, retries=8).get(name).bytes())
            return Path(local_path(uri)).read_bytes()
        except FileNotFoundError as exc:
            rules = f"{FOLDER}, {FIRST_WORD} or a CSV file of label,class"
            raise InputError(f"--labels {uri}: no such file: give {rules}") from exc
