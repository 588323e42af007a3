"""Numbers and times as text, for the page and for the terminal, and the table that ends a run. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from orchard.photos.photo import hint

_NBSP = "\N{NO-BREAK SPACE}"
MAX_FOLDERS = 3


def percent(share: float) -> str:
    """0.906 -> '90.6 %', 0.9 -> '90 %', with a space that does not break."""
    return f"{share * 100:.1f}".removesuffix(".0") + f"{_NBSP}%"


def count(number: int, noun: str, plural: str | None = None) -> str:
    """1 -> '1 photo', 90000 -> '90,000 photos'."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def rate(per_second: float) -> str:
    """4.21 -> '4.2', 1234.5 -> '1,234'."""
    return f"{per_second:,.0f}" if per_second >= 10 else f"{per_second:.1f}"


def duration(seconds: float) -> str:
    """Seconds at the precision a reader needs: '0.04 s', '6.1 s', '42 s', '3 min 20 s', '2 h 5 min'."""
    if seconds < 9.95:
        return f"{seconds:.{2 if seconds < 0.095 else 1}f}{_NBSP}s"
    if (rounded := round(seconds)) < 100:
        return f"{rounded}{_NBSP}s"
    hours, minutes = divmod(rounded // 60, 60)
    parts = [(hours, "h"), (minutes, "min"), (0 if hours else rounded % 60, "s")]
    return " ".join(f"{number}{_NBSP}{unit}" for number, unit in parts if number)


def when(moment: str | int) -> str:
    """An ISO 8601 time, or microseconds since 1970 -> '22 November 2026, 23:26 UTC'; what is no time as it is."""
    try:
        time = datetime.fromisoformat(moment) if isinstance(moment, str) else datetime.fromtimestamp(moment / 1e6, UTC)
    except (ValueError, OverflowError):
        return str(moment)
    return f"{time.day} {time:%B %Y, %H:%M} {time.tzname() or 'UTC'}"


def summary(facts: Mapping[str, Any], output: str) -> list[tuple[str, str]]:
    """Names and values of the table's rows, from the content of `report.json`; none where there is nothing."""
    counts, pca, backbone, seconds = (facts[name] for name in ("counts", "pca", "backbone", "seconds"))
    tasks, master = len(facts["partitions"]), facts["spark"]["master"]
    speed = f"{rate(facts['images_per_second'])} photos/s on {master}, {count(tasks, 'partition')}"
    retries = {"repeated read": facts["read_retries"], "repeated task": facts["task_retries"]}
    stages = ", ".join(f"{stage} {value:.1f}" for stage, value in seconds.items() if stage != "total")
    rows = {
        "photos": f"{counts['listed']:,} = {counts['featurized']:,} featurized + {counts['rejected']:,} rejected",
        "rejected": _numbers(facts["rejected_by_reason"]),
        "skipped": _numbers(facts["input"]["skipped"]),
        "hint": hint(facts["input"]["skipped"]),
        "copies": _copies(facts["copies"]),
        "retries": ", ".join(count(number, noun) for noun, number in retries.items() if number),
        "features": f"{backbone['feature_size']} of {_named(backbone)} ({facts['runtime']})",
        "components": f"{pca['k']} keep {percent(pca['cumulative'][pca['k'] - 1])} of the variance",
        "speed": speed if tasks else "",
        "update": _numbers(facts["update"]) or "nothing to do",
        "seconds": f"{seconds['total']:.1f} ({stages})",
        "report": f"{output.rstrip('/')}/report.html",
    }
    return [(name, value) for name, value in rows.items() if value]


def _named(backbone: Mapping[str, Any]) -> str:
    return f"{backbone['name']}, fine-tuned" if "lineage" in backbone else str(backbone["name"])


def _numbers(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in numbers.items() if number)


def _copies(copies: Mapping[str, Any]) -> str:
    if not copies["exact"]:
        return ""
    across = f", {copies['across_splits']:,} in both training and test" if copies["across_splits"] else ""
    shared = [f"{pair['first']} and {pair['second']} share {pair['photos']:,}" for pair in copies["folders"]]
    more = [f"{len(shared) - MAX_FOLDERS:,} more pairs of folders"] if len(shared) > MAX_FOLDERS else []
    return "; ".join([f"{copies['exact']:,} same bytes as an earlier photo{across}", *shared[:MAX_FOLDERS], *more])
