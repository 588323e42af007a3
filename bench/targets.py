"""Ratios and limits that were asked for, worked out from the medians of one go. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from orchard.network.backbones import BACKBONES

from bench.cases import Sizes
from bench.measure import Result

Median = Callable[[str, str], float]
# Peaks before the tables were Delta tables, MB: of 50 and 2,940 photos as PSS, of 50,000 as RSS.
BEFORE = {50: {"worker": 91, "driver": 571}, 2940: {"worker": 154, "driver": 677}}
BEFORE_SCALE = {"worker": 254, "driver": 791, "all": 1390}
ROLES = {"worker": "largest Python worker", "driver": "driver: JVM + Python", "all": "all processes"}


@dataclass(frozen=True)
class Target:
    """Something worked out from numbers of cases.

    Attributes:
        what: in words.
        size: photos, rows or keys.
        compute: makes the value of the median of a case's number, by their names.
        wanted: such as `>= 4`; empty where the value is for information.
    """

    what: str
    size: int
    compute: Callable[[Median], float]
    wanted: str = ""

    def value(self, results: Mapping[str, Result]) -> float | None:
        """The value, None where a case was not measured."""
        try:
            return self.compute(lambda case, number: results[case].numbers[number].median)
        except KeyError:
            return None

    def met(self, value: float) -> bool | None:
        """Whether a value is as wanted, None where nothing was asked for."""
        match = re.fullmatch(r"(>=|<=|<) ([\d.]+)", self.wanted)
        if not match:
            return None
        bound = float(match[2])
        return {">=": value >= bound, "<=": value <= bound, "<": value < bound}[match[1]]


def ratio(over: str, under: str, number: str, below: str | None = None) -> Callable[[Median], float]:
    """Number of one case by the number of another, or by another number of it."""
    return lambda median: median(over, number) / median(under, below or number)


def targets(sizes: Sizes) -> Iterator[Target]:
    """All of them."""
    for count in sizes.photos:
        yield from _photo_targets(count)
    yield from _update_targets(sizes.output)
    yield from _scale_targets(*sizes.scale[-2:])
    for name in BACKBONES:
        yield from _backbone_targets(name, sizes.backbones)
    for rows in sizes.rows:
        yield from _pca_targets(rows)
    yield from _fit_targets(sizes.labelled)
    yield from _read_targets(sizes.reads)


def _photo_targets(count: int) -> Iterator[Target]:
    orchard, notebook, limit, daft = (f"{name} {count}" for name in ("orchard", "notebook", "limit", "daft"))
    few = count < 1000
    beyond = "Orchard's whole process minus the limit's, s"
    yield Target(
        "notebook's whole process / Orchard's", count, ratio(notebook, orchard, "wall"), ">= 10" if few else ""
    )
    yield Target(beyond, count, lambda median: median(orchard, "wall") - median(limit, "wall"), "" if few else "<= 4")
    yield Target("Orchard's whole process / the limit's", count, ratio(orchard, limit, "wall"))
    yield Target("Daft's whole process, features only / Orchard's", count, ratio(daft, orchard, "wall"))
    yield Target("photos/s once warm / the limit's", count, ratio(orchard, limit, "warm_rate", "rate"))
    for role, bound in BEFORE.get(count, {}).items():
        yield _memory_target("PSS", role, f"memory {count}", count, bound)


def _memory_target(kind: str, role: str, case: str, count: int, bound: float) -> Target:
    number = f"{role}_{kind.lower()}"
    return Target(f"{ROLES[role]}, MB ({kind})", count, lambda median: median(case, number), f"<= {bound}")


def _update_targets(count: int) -> Iterator[Target]:
    def reducing(case: str, median: Median) -> float:
        return median(case, "fit") + median(case, "transform")

    def share(case: str, median: Median) -> float:
        alone = f"update none, new alone {count}"
        return median(case, "wall") / (median(alone, "wall") - reducing(alone, median) + reducing(case, median))

    for what, model in ((f"update by new {count}", ""), (f"update by new --keep-model {count}", ", model kept")):
        label = f"new photos into an output{model} / new photos alone, with the former's fit and transform"
        yield Target(label, count, partial(share, what), "<= 1.1")
    nothing = f"update by nothing {count}"
    yield Target("a run with nothing to do, s", count, lambda median: median(nothing, "wall"), "< 2")


def _scale_targets(few: int, many: int) -> Iterator[Target]:
    orchard, smaller, limit = f"scale orchard {many}", f"scale orchard {few}", f"scale limit {many}"
    share = ratio(orchard, limit, "wall_rate", "rate")
    yield Target("Orchard's whole process, photos/s / the limit's own", many, share, ">= 0.95")
    yield Target(f"photos/s once warm / those of {few:,}", many, ratio(orchard, smaller, "warm_rate"), ">= 0.95")
    for role, bound in BEFORE_SCALE.items():
        yield _memory_target("RSS", role, orchard, many, bound)


def _backbone_targets(name: str, count: int) -> Iterator[Target]:
    orchard, limit = f"orchard of {name} {count}", f"limit of {name} {count}"
    yield Target(
        f"{name}: photos/s once warm / the limit's", count, ratio(orchard, limit, "warm_rate", "rate"), ">= 0.9"
    )
    yield Target(
        f"{name}: photos/s while featurizing / the limit's", count, ratio(orchard, limit, "stage_rate", "rate")
    )


def _pca_targets(rows: int) -> Iterator[Target]:
    for variant, words, wanted in (("stock", "without", ">= 5"), ("stock-native", "with", ">= 3")):
        label = f"pyspark.ml fit {words} native LAPACK / Orchard's"
        for number, which in (("first", "first of a session"), ("files", "later"), ("memory", "later, from memory")):
            value = ratio(f"pca {variant} {rows}", f"pca orchard {rows}", number)
            yield Target(f"{label}: {which}", rows, value, wanted)


def _fit_targets(rows: int) -> Iterator[Target]:
    stock = f"classifier stock {rows}"
    for variant, words, wanted in (("orchard", "", ">= 5"), ("orchard-spark", ", a job of Spark a pass", "")):
        for number, which in (("first", "first of a session"), ("again", "later")):
            label = f"fit against pyspark.ml{words}, pyspark.ml's seconds / Orchard's: {which}"
            yield Target(label, rows, ratio(stock, f"classifier {variant} {rows}", number), wanted)


def _read_targets(count: int) -> Iterator[Target]:
    near = f"reads from a folder {count}"
    for what, wanted in (("30 ms away", ">= 0.9"), ("100 ms away", ">= 0.9"), ("30 ms away one by one", "")):
        far = f"reads {what} {count}"
        yield Target(f"photos/s of a task {what} / from a folder", count, ratio(far, near, "rate"), wanted)
        yield Target(f"photos/s of a task {what} / from a folder, were it alone", count, ratio(far, near, "alone"))
