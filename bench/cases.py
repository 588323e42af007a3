"""What is measured: the command of each case, and how to read what it prints."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from orchard.network.backbones import BACKBONES, MOBILENET_V2, Backbone
from orchard.photos.prefetch import AHEAD

from bench.fit import VARIANTS as FITS
from bench.inputs import (
    SLOTS,
    CaseError,
    daft_python,
    features,
    labelled,
    last_line,
    orchard_run,
    output,
    peer,
    photos,
    weights,
)
from bench.listing import LAYOUTS
from bench.measure import Case, Sample
from bench.pca import VARIANTS


@dataclass(frozen=True)
class Sizes:
    """How much of everything.

    Attributes:
        photos: of whole runs beside the peers.
        scale: photos of whole runs beside the limit.
        backbones: photos of whole runs with each network.
        rows: of tables that are fitted.
        labelled: rows of 49 classes and 367 components, as of the whole training set, that a classifier is fitted to.
        reads: photos for a task that reads from afar.
        output: photos of an output that is updated.
        delivery: photos that are new to it.
        faults: photos behind a faulty storage.
        keys: of a bucket that is listed.
    """

    photos: tuple[int, ...] = (50, 2940)
    scale: tuple[int, ...] = (50, 500, 5_000, 50_000)
    backbones: int = 2_940
    rows: tuple[int, ...] = (50, 3_000, 30_000)
    labelled: int = 30_000
    reads: int = 600
    output: int = 10_000
    delivery: int = 100
    faults: int = 10_000
    keys: int = 200_000


QUICK = Sizes(
    photos=(50,),
    scale=(50, 100),
    backbones=100,
    rows=(50,),
    labelled=2_000,
    reads=60,
    output=300,
    delivery=20,
    faults=300,
    keys=5_000,
)


def all_cases(work: Path, sizes: Sizes) -> Iterator[Case]:
    """Every case, in the order of its turn. Inputs are made in the folder `work` when they are needed."""
    for count in sizes.photos:
        yield from _photo_cases(work, count)
    for count in sizes.photos:  # apart from the timed runs: looking at a process's memory map stops it for a moment
        yield Case("memory", "memory", count, partial(_orchard, work, count), parse_orchard)
    yield from _update_cases(work, sizes.output, sizes.delivery)
    for count in sizes.scale:
        yield Case("scale limit", "scale", count, partial(_limit, work, count), parse_limit)
        yield Case("scale orchard", "scale", count, partial(_orchard, work, count), parse_orchard)
    for backbone in BACKBONES.values():
        yield from _backbone_cases(work, sizes.backbones, backbone)
    for rows in sizes.rows:
        for variant in VARIANTS:
            yield Case(f"pca {variant}", "pca", rows, partial(_pca, work, rows, variant), parse_pca)
    for variant in FITS:
        yield Case(
            f"classifier {variant}",
            "classifier",
            sizes.labelled,
            partial(_fit, work, sizes.labelled, variant),
            parse_fit,
        )
    yield from _read_cases(work, sizes.reads)
    for layout in LAYOUTS:
        listing = partial(_module, "bench.listing", layout, str(sizes.keys))
        yield Case(f"listing {layout}", "listing", sizes.keys, listing, parse_line)
    yield Case("faults", "faults", sizes.faults, partial(_module, "bench.faults", str(sizes.faults)), parse_line)


def _photo_cases(work: Path, count: int) -> Iterator[Case]:
    yield Case("limit", "photos", count, partial(_limit, work, count), parse_limit)
    environ = {"PARTS": "4", "K": "200"}
    yield Case("notebook", "photos", count, partial(_notebook, work, count), parse_notebook, environ)
    yield Case("daft", "photos", count, partial(_daft, work, count), parse_daft)
    yield Case("orchard", "photos", count, partial(_orchard, work, count), parse_orchard)


def _limit(work: Path, count: int, _: Path) -> list[str]:
    return [sys.executable, peer("limit.py"), photos(work, count), weights().path(MOBILENET_V2.tflite_file), str(SLOTS)]


def _notebook(work: Path, count: int, scratch: Path) -> list[str]:
    folders = [photos(work, count), f"{scratch}/out"]
    return [sys.executable, peer("notebook.py"), *folders, weights().path(MOBILENET_V2.keras_file), f"local[{SLOTS}]"]


def _daft(work: Path, count: int, scratch: Path) -> list[str]:
    model = weights().path(MOBILENET_V2.tflite_file)
    return [daft_python(), peer("daft_way.py"), photos(work, count), model, f"{scratch}/out"]


def _orchard(work: Path, count: int, scratch: Path) -> list[str]:
    return orchard_run(photos(work, count), scratch / "out")


def _backbone_cases(work: Path, count: int, backbone: Backbone) -> Iterator[Case]:
    def limit(_: Path) -> list[str]:
        place = [photos(work, count), backbone.name, weights(backbone).folder]
        return [sys.executable, "-m", "bench.limit", *place, str(SLOTS)]

    def orchard(scratch: Path) -> list[str]:
        return orchard_run(photos(work, count), scratch / "out", backbone=backbone)

    yield Case(f"limit of {backbone.name}", "backbones", count, limit, parse_limit)
    yield Case(f"orchard of {backbone.name}", "backbones", count, orchard, parse_orchard)


def _update_cases(work: Path, before: int, new: int) -> Iterator[Case]:
    parse = partial(parse_update, new=new)

    def case(what: str, photos: int, parse: Callable[[str, Path], Sample], *options: str) -> Case:
        return Case(f"update {what}", "update", before, partial(_update, work, before, photos, options), parse)

    yield Case("update none, new alone", "update", before, partial(_orchard, work, new), parse)
    yield case("by new", before + new, parse)
    yield case("by new --keep-model", before + new, parse, "--keep-model")
    # Another share of the variance: only the fit and what follows it is done again.
    yield case("by fit alone", before, partial(parse_update, new=0), "--variance", "0.89")
    yield case("by nothing", before, parse_nothing)


def _update(work: Path, before: int, now: int, options: Sequence[str], scratch: Path) -> list[str]:
    shutil.copytree(output(work, before), scratch / "out")
    return orchard_run(photos(work, now), scratch / "out", *options)


def _pca(work: Path, rows: int, variant: str, _: Path) -> list[str]:
    folder, k = features(work, rows)
    return [sys.executable, "-m", "bench.pca", variant, folder, str(k)]


def _fit(work: Path, rows: int, variant: str, _: Path) -> list[str]:
    return [sys.executable, "-m", "bench.fit", variant, labelled(work, rows, classes=49, k=367)]


def _read_cases(work: Path, count: int) -> Iterator[Case]:
    def case(what: str, latency: str, ahead: int = AHEAD.photos) -> Case:
        def command(_: Path) -> list[str]:
            return [sys.executable, "-m", "bench.reads", photos(work, count), latency, str(ahead)]

        return Case(f"reads {what}", "reads", count, command, parse_line)

    yield case("from a folder", "folder")
    yield case("30 ms away", "30")
    yield case("100 ms away", "100")
    yield case("30 ms away one by one", "30", 1)


def _module(*arguments_and_scratch: str | Path) -> list[str]:
    *arguments, _ = arguments_and_scratch
    return [sys.executable, "-m", *map(str, arguments)]


def parse_limit(out: str, _: Path) -> Sample:
    """`limit P=2: 50 images 0.51s = 98.0 img/s, decode share 0.113`."""
    match = re.search(r"limit P=\d+: (\d+) images ([\d.]+)s = ([\d.]+) img/s", out)
    if not match:
        raise CaseError(f"not a line of limit.py: {last_line(out)}")
    return Sample({"photos": int(match[1]), "seconds": float(match[2]), "rate": float(match[3])})


def parse_notebook(out: str, _: Path) -> Sample:
    """One JSON line: `n`, `k90` and seconds by stage, with their `total`."""
    facts = _last_json(out)
    done, seconds = facts["n"], facts["total"]
    return Sample({"photos": done, "seconds": seconds, "rate": done / seconds, "k": facts["k90"]})


def parse_daft(out: str, scratch: Path) -> Sample:
    """One JSON line with `seconds`; it does not say how many photos, its table does."""
    seconds = _last_json(out)["seconds"]
    rows = sum(pq.read_metadata(file).num_rows for file in (scratch / "out").rglob("*.parquet"))
    return Sample({"photos": rows, "seconds": seconds, "rate": rows / seconds})


def parse_orchard(out: str, _: Path) -> Sample:
    """`report.json` of a run into an empty output."""
    facts = json.loads(out)
    done, stages, work = facts["counts"]["featurized"], facts["seconds"], facts["task_seconds"]
    # Without what is not work on photos: starting workers, loading the network, writing.
    warm = done * SLOTS / sum(work.values())
    rates = {"rate": done / stages["total"], "stage_rate": done / stages["featurize"], "warm_rate": warm}
    return Sample({"photos": done, "k": facts["pca"]["k"], "seconds": stages["total"], **stages, **work, **rates})


def parse_update(out: str, _: Path, *, new: int) -> Sample:
    """`report.json` of a run that should have featurized `new` photos; stages that it did not come to took 0 s."""
    facts = json.loads(out)
    if facts["update"]["new"] != new:
        raise CaseError(f"{facts['update']} instead of {new} new photos")
    stages = dict.fromkeys(("featurize", "fit", "transform"), 0.0)
    return Sample({**stages, **facts["seconds"]})


def parse_nothing(out: str, _: Path) -> Sample:
    """`report.json` of a run that found nothing to do: its seconds are those of the run before."""
    update = json.loads(out)["update"]
    if any(count for name, count in update.items() if name != "kept"):
        raise CaseError(f"{update} instead of nothing to do")
    return Sample({})


def parse_pca(out: str, _: Path) -> Sample:
    """The JSON line of `bench.pca`."""
    facts = _last_json(out)
    return Sample(
        {name: facts[name] for name in ("first", "files", "memory", "k", "kept")}, {"lapack": facts["lapack"]}
    )


def parse_fit(out: str, _: Path) -> Sample:
    """The JSON line of `bench.fit`; the objective is a note, as its last digits count."""
    facts = _last_json(out)
    return Sample(facts, {"objective": facts.pop("objective")})


def parse_line(out: str, _: Path) -> Sample:
    """The JSON line of numbers of `bench.reads`, `bench.listing` or `bench.faults`."""
    facts = _last_json(out)
    return Sample({"photos": facts["photos"], **facts})


def _last_json(out: str) -> dict[str, Any]:
    facts = json.loads(last_line(out))
    if not isinstance(facts, dict):
        raise CaseError(f"not a line of numbers: {last_line(out)[:200]}")
    return facts
