"""Ratios and limits that were asked for, worked out from the medians of one go. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bench.measure import Result

ROLES = {"worker": "largest Python worker", "driver": "driver: JVM + Python", "all": "all processes"}


@dataclass(frozen=True)
class Target:
    """A number of a case, or its ratio to a number of another case.

    Attributes:
        what: in words.
        size: photos or rows.
        over, under: case and number; without `under` the number itself counts.
        wanted: such as `>= 4`; empty where the value is for information.
    """

    what: str
    size: int
    over: tuple[str, str]
    under: tuple[str, str] | None = None
    wanted: str = ""

    def value(self, results: Mapping[str, Result]) -> float | None:
        """The value, None where a case was not measured."""
        medians = [_median(results, *place) for place in (self.over, self.under) if place]
        if any(median is None for median in medians):
            return None
        top, *bottom = [median for median in medians if median is not None]
        return top / bottom[0] if bottom else top

    def met(self, value: float) -> bool | None:
        """Whether a value is as wanted, None where nothing was asked for."""
        match = re.fullmatch(r"(>=|<=|<) ([\d.]+)", self.wanted)
        if not match:
            return None
        bound = float(match[2])
        return {">=": value >= bound, "<=": value <= bound, "<": value < bound}[match[1]]


def _median(results: Mapping[str, Result], case: str, number: str) -> float | None:
    summary = results[case].numbers.get(number) if case in results else None
    return summary.median if summary else None


def targets(photos: tuple[int, ...], rows: tuple[int, ...], reads: int, scale: tuple[int, ...]) -> Iterator[Target]:
    """All of them, for photo sets, tables of features, reads from afar and runs of many sizes."""
    for count in photos:
        yield from _photo_targets(count)
    for number in rows:
        yield from _pca_targets(number)
    for count in photos:
        worker, driver = "largest Python worker, MB (PSS)", "driver: JVM + Python, MB (PSS)"
        yield Target(worker, count, (f"memory {count}", "worker_pss"), wanted="< 400")
        yield Target(driver, count, (f"memory {count}", "driver_pss"), wanted="< 1500")
    yield from _scale_targets(scale[-2], scale[-1])
    yield from _read_targets(reads, photos[-1])


def _scale_targets(few: int, many: int) -> Iterator[Target]:
    def ratio(number: str, size: int, other: int) -> tuple[tuple[str, str], tuple[str, str]]:
        return (f"scale orchard {size}", number), (f"scale orchard {other}", number)

    whole, limit = (f"scale orchard {many}", "wall_rate"), (f"scale limit {many}", "rate")
    yield Target("Orchard's whole process, photos/s / the limit's own", many, whole, limit, ">= 0.92")
    yield Target(f"photos/s once warm / those of {few:,} photos", many, *ratio("warm_rate", many, few), ">= 0.95")
    yield Target(f"featurizing, photos/s / those of {few:,} photos", many, *ratio("stage_rate", many, few), ">= 0.95")
    for role, words in ROLES.items():
        yield Target(
            f"{words}, peak memory (RSS) / that of {few:,} photos", many, *ratio(f"{role}_rss", many, few), "<= 1.1"
        )


def _read_targets(count: int, gets: int) -> Iterator[Target]:
    def ratio(what: str, number: str) -> tuple[tuple[str, str], tuple[str, str]]:
        return (f"reads {what} {count}", number), (f"reads from a folder {count}", number)

    for latency in ("30", "100"):
        what = f"photos/s of a task {latency} ms away / from a folder"
        yield Target(f"{what}, were it alone", count, *ratio(f"{latency} ms away", "alone"))
        yield Target(f"{what}, by the clock", count, *ratio(f"{latency} ms away", "rate"), ">= 0.9")
    yield Target(
        "photos/s of a task 30 ms away that reads one by one / from a folder, were it alone",
        count,
        *ratio("30 ms away one by one", "alone"),
    )
    for library in ("pyarrow.fs", "boto3"):
        over, under = ((f"gets {name} {gets}", "cpu") for name in (library, "obstore"))
        yield Target(f"processor time of a GET, {library} / obstore", gets, over, under)


def _photo_targets(count: int) -> Iterator[Target]:
    orchard, notebook, limit, daft = (f"{name} {count}" for name in ("orchard", "notebook", "limit", "daft"))
    near = "<= 1.35" if count > 1000 else ""
    yield Target("notebook's whole process / Orchard's", count, (notebook, "wall"), (orchard, "wall"), ">= 4")
    yield Target(
        "Orchard's whole process / the limit's own seconds", count, (orchard, "wall"), (limit, "seconds"), near
    )
    yield Target("Orchard's whole process / the limit's whole process", count, (orchard, "wall"), (limit, "wall"))
    yield Target("Orchard's featurizing stage, photos/s / the limit's", count, (orchard, "stage_rate"), (limit, "rate"))
    yield Target("the same once warm / the limit's", count, (orchard, "warm_rate"), (limit, "rate"))
    yield Target("Daft's own seconds / Orchard's featurizing stage", count, (daft, "seconds"), (orchard, "featurize"))


def _pca_targets(rows: int) -> Iterator[Target]:
    orchard = f"pca orchard {rows}"
    for variant, words, wanted in (("stock", "without", ">= 5"), ("stock-native", "with", ">= 3")):
        stock, label = f"pca {variant} {rows}", f"pyspark.ml fit {words} native LAPACK / Orchard's"
        yield Target(f"{label}: first fit of a session", rows, (stock, "first"), (orchard, "first"), wanted)
        yield Target(f"{label}: later fit, from files", rows, (stock, "files"), (orchard, "files"), wanted)
        yield Target(f"{label}: later fit, pyspark.ml's from memory", rows, (stock, "fit"), (orchard, "fit"), wanted)
