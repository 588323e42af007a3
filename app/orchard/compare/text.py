"""The table that ends a comparison, in the terminal; and what both it and the page say of a row. Pure."""

from collections.abc import Mapping
from typing import Any

from orchard.compare.contents import FEW, MANY
from orchard.report.text import count, percent, rate

COLUMNS = ("accuracy", "balanced", "photos/s/core", "k", "MB", "ms/photo", f"USD {FEW:,}", f"USD {MANY:,}")


def cells(row: Mapping[str, Any]) -> list[str]:
    """The values of `COLUMNS` for one backbone."""
    speed = row["photos_per_second_per_core"]
    return [
        estimated(row["accuracy"]),
        estimated(row["balanced_accuracy"]),
        "not measured" if speed is None else rate(speed),
        f"{row['k']:,}",
        f"{row['file_bytes'] / 1e6:.1f}",
        f"{row['milliseconds']:.1f}",
        *(_money(row["dollars"][str(photos)]) for photos in (FEW, MANY)),
    ]


def estimated(accuracy: Mapping[str, float | None]) -> str:
    """0.847, 0.751, 0.926 -> '84.7 % (75.1-92.6)'."""
    value, low, high = (accuracy[name] for name in ("value", "low", "high"))
    limits = "" if low is None or high is None else f" ({100 * low:.1f}-{100 * high:.1f})"
    return f"{percent(value or 0)}{limits}"


def _money(dollars: float | None) -> str:
    return "not known" if dollars is None else f"{dollars:.4f}"


def summary(facts: Mapping[str, Any], output: str) -> list[tuple[str, str]]:
    """Names and values of the table's rows, from the content of `compare.json`, which is in `output`."""
    table = [[*COLUMNS], *(cells(row) for row in facts["backbones"])]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in table]
    named = [*zip(["backbone", *(row["backbone"] for row in facts["backbones"])], lines, strict=True)]
    tested = f"{count(facts['photos'], 'photo')} of {count(facts['labels'], 'label')}"
    shared = f", {facts['shared_photos']:,} of them trained on as well" if facts["shared_photos"] else ""
    rest = {
        "frontier": ", ".join(facts["frontier"]),
        "tested on": tested + shared,
        "report": f"{output.rstrip('/')}/compare.html",
    }
    return [*named, *((name, value) for name, value in rest.items() if value)]
