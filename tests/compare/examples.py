"""What a comparison works on, made up."""

from __future__ import annotations

from typing import Any

from orchard.compare.contents import make_facts
from orchard.compare.measures import Label, Measures
from orchard.compare.options import CompareOptions

LABELS = {"Apple 1": ("Apple", 60, 54), "Apple 2": ("Apple", 30, 30), "Cherry 1": ("Cherry", 10, 1)}


def options(**changes: Any) -> CompareOptions:
    values: dict[str, Any] = {"input": "photos", "test": "others", "backbones": ("a", "b"), "output": "report"}
    return CompareOptions(**values | changes)


def measures(backbone: str = "a", labels: dict[str, tuple[str, int, int]] | None = None, **changes: Any) -> Measures:
    """Measures whose accuracies are those of the labels."""
    found = {name: Label(*row) for name, row in (labels or LABELS).items()}
    classes = sorted({label.of_class for label in found.values()})
    of_class = [[label for label in found.values() if label.of_class == name] for name in classes]
    recalls = [sum(label.right for label in row) / sum(label.photos for label in row) for row in of_class]
    values: dict[str, Any] = {
        "backbone": backbone,
        "network": "a",
        "fingerprint": "f" * 64,
        "features": 1280,
        "k": 124,
        "labels": found,
        "accuracy": sum(label.right for label in found.values()) / sum(label.photos for label in found.values()),
        "balanced_accuracy": sum(recalls) / len(recalls),
        "shared": 0,
        "accuracy_without_shared": 0.5,
        "tasks_photos": 2000,
        "tasks_seconds": 10.0,
        "file_bytes": 10_900_000,
        "file_milliseconds": 7.5,
    }
    return Measures(**values | changes)


def facts(*found: Measures) -> dict[str, Any]:
    return make_facts(options(), found or (measures("a"), measures("b")))
