"""From the label of a photo, the name of its folder, to the class that a classifier answers."""

import csv
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from orchard.classifier.options import FIRST_WORD, FOLDER, LABEL_RULES
from orchard.errors import InputError
from orchard.storage import objects
from orchard.storage.stores import local_path

CSV = "csv"
# What `predict` says instead of a class.
RESERVED = "unsure", "rejected"
_SHOWN = 3
# Unicode categories of what would break a line or a terminal.
_CONTROL = frozenset({"Cc", "Zl", "Zp"})


@dataclass(frozen=True)
class Rule:
    """How labels become classes.

    Attributes:
        name: `FOLDER`, `FIRST_WORD` or `CSV`.
        source: what errors call the file.
        mapping: of `CSV`, the class of each label that the file names.
        spellings: of `FIRST_WORD`, how a class is written, by its case-folded name: see `spelled_as`.
    """

    name: str
    source: str = ""
    mapping: Mapping[str, str] = field(default_factory=dict)
    spellings: Mapping[str, str] = field(default_factory=dict)

    def spelled_as(self, labels: Iterable[str]) -> "Rule":
        """The same rule, by which first words that differ in their capitals only are one class.

        `Apple Golden` and `apple red` are of one class. It is written as in most of `labels`, one for each photo, or as
        the first in order of name. Folders and CSV files name classes exactly: there `Apple` and `apple` are two.
        """
        if self.name != FIRST_WORD:
            return self
        words = Counter(map(first_word, labels))
        rising = sorted(sorted(words, reverse=True), key=words.__getitem__)  # the last one of a spelling is kept
        return replace(self, spellings={word.casefold(): word for word in rising})

    def classes(self, labels: Iterable[str]) -> dict[str, str]:
        """The class of each label, in order of label.

        Raises:
            InputError: labels that the CSV file does not name, or a class that cannot be one, see `what_is_wrong`.
        """
        found = {label: self.class_of(label) for label in sorted(set(labels))}
        if missing := [label for label, name in found.items() if name is None]:
            raise InputError(f"--labels {self.source}: names no class for {listed(missing)}{self._hint(missing)}")
        classes = {label: name for label, name in found.items() if name is not None}
        for label, name in classes.items():
            if wrong := what_is_wrong(name):
                what = f"label {label!r} gives a class {wrong}"
                raise InputError(f"--labels {self.source or self.name}: {what}: name another with a CSV file")
        return classes

    def class_of(self, label: str) -> str | None:
        """The class of one label; None where the CSV file does not name it."""
        if self.name == CSV:
            return self.mapping.get(label)
        if self.name == FIRST_WORD:
            word = first_word(label)
            return self.spellings.get(word.casefold(), word)
        return label

    def _hint(self, missing: list[str]) -> str:
        """What to do about labels that the CSV file does not name."""
        trimmed = {label.strip(): label for label in self.mapping}
        near = [found for label in missing if (found := trimmed.get(label.strip())) is not None]
        return f", but for {listed(near)}: mind the spaces at the ends" if near else ": add them"

    def facts(self, classes: Mapping[str, str]) -> dict[str, Any]:
        """What `classifier.json` says of the rule, `classes` being those of the labels that occur."""
        return {"rule": self.name, "mapping": dict(sorted({**self.mapping, **classes}.items()))}


def what_is_wrong(name: str) -> str | None:
    """Why a class cannot have this name: it has no letters, breaks lines, or is an answer of its own; else None."""
    if not name.strip():
        return "without a name"
    if any(unicodedata.category(letter) in _CONTROL for letter in name):
        return f"with a control character or a line break in its name ({name!r})"
    return f"called {name!r}, which means that no class is answered" if name.casefold() in RESERVED else None


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
        reader = csv.DictReader(io.StringIO(_read(text).decode("utf-8-sig"), newline=""))
        rows = [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as exc:
        raise InputError(f"--labels {text}: not a CSV file in UTF-8 ({exc})") from exc
    if not rows or not {"label", "class"} <= {*(reader.fieldnames or ())}:
        raise InputError(f"--labels {text}: not a CSV file with the columns label,class and a row for each label")
    return Rule(CSV, text, _mapping(text, rows))


def rule_of(facts: Mapping[str, Any], source: str) -> Rule:
    """The rule that a classifier was trained with, of the content of its classifier.json, which `source` names."""
    name, mapping = facts["training"]["rule"], facts["training"]["mapping"]
    return Rule(name, source, mapping).spelled_as(mapping.values())


def _mapping(source: str, rows: list[tuple[int, dict[str, str]]]) -> dict[str, str]:
    mapping: dict[str, str] = {}
    for number, row in rows:
        try:
            label, name = _entry(row)
            if mapping.setdefault(label, name) != name:
                raise ValueError(f"label {label!r} has another class above")
        except ValueError as exc:
            raise InputError(f"--labels {source}: row {number}: {exc}: correct it") from exc
    return mapping


def _entry(row: dict[str, str]) -> tuple[str, str]:
    """Label and class of a row; a label keeps the spaces at its ends, as a folder does."""
    if None in row or None in row.values():
        raise ValueError(f"has more or fewer fields than the header (label {row['label']!r})")
    label, name = (unicodedata.normalize("NFC", row[key]) for key in ("label", "class"))
    name = name.strip()
    if not label.strip():
        raise ValueError("lacks a label")
    if wrong := what_is_wrong(name):
        raise ValueError(f"label {label!r} has a class {wrong}")
    return label, name


def _read(uri: str) -> bytes:
    with objects.explained(f"--labels {uri}", InputError):
        try:
            if objects.is_object_uri(uri):
                folder, _, name = uri.rpartition("/")
                if not objects.split_uri(uri)[1] or not name:
                    raise IsADirectoryError
                return bytes(objects.connect(folder, retries=8).get(name).bytes())
            return Path(local_path(uri)).read_bytes()
        except (FileNotFoundError, IsADirectoryError) as exc:
            what = "no such file" if isinstance(exc, FileNotFoundError) else "is a folder or a bucket"
            rules = f"{FOLDER}, {FIRST_WORD} or a CSV file of label,class"
            raise InputError(f"--labels {uri}: {what}: give {rules}") from exc
