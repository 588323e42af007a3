"""What is measured: the command of each case, and how to read what it prints."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from orchard.network.backbones import MOBILENET_V2
from orchard.photos.buckets import BucketSource
from orchard.photos.prefetch import AHEAD
from orchard.spark.java import find_java

from bench import machine, memory
from bench.inputs import ROOT, daft_python, features, last_line, peer, photos, weights
from bench.measure import CaseError, Sample

SLOTS = 2
MASTER = f"local[{SLOTS}]"
PHOTOS = (50, 2940)
ROWS = (50, 3_000, 30_000)
SCALE = (50, 500, 5_000, 50_000)
READS = 600  # photos for a task that reads from afar: one by one they take a minute
# Kinds of cases whose memory is looked at, and whether at PSS too.
LOOKS = {"memory": True, "scale": False}
TIMEOUT = 3600  # seconds; nothing here takes a quarter of it
Parse = Callable[[str, Path], Sample]


@dataclass(frozen=True)
class Case:
    """One thing to run.

    Attributes:
        what: what runs; `name` adds the size.
        kind: cases of one kind and size take turns: "photos", "memory", "scale", "pca", "reads" or "gets".
        size: photos or rows.
        command: makes the command line; may prepare things, untimed. It is given an empty folder.
        parse: reads standard output, and what the command left in that folder.
        environ: variables to set.
    """

    what: str
    kind: str
    size: int
    command: Callable[[Path], Sequence[str]]
    parse: Parse
    environ: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """Unique in a go."""
        return f"{self.what} {self.size}"


def all_cases(work: Path, *, quick: bool) -> Iterator[Case]:
    """Every case, in the order of its turn; only the small ones when `quick`. Inputs are made in the folder `work`."""
    for count in PHOTOS[: 1 if quick else None]:
        yield from _photo_cases(work, count)
    for count in SCALE[: 1 if quick else None]:
        yield from _scale_cases(work, count)
    for rows in ROWS[: 1 if quick else None]:
        yield from (_pca_case(work, rows, variant) for variant in ("orchard", "stock", "stock-native"))
    yield from _read_cases(work, PHOTOS[0] if quick else READS)
    yield from (_get_case(work, PHOTOS[0 if quick else 1], library) for library in ("obstore", "pyarrow.fs", "boto3"))


def _photo_cases(work: Path, count: int) -> Iterator[Case]:
    def notebook(scratch: Path) -> list[str]:
        return [
            sys.executable,
            peer("notebook.py"),
            photos(work, count),
            f"{scratch}/out",
            weights().path(MOBILENET_V2.keras_file),
            MASTER,
        ]

    def daft(scratch: Path) -> list[str]:
        return [
            daft_python(),
            peer("daft_way.py"),
            photos(work, count),
            weights().path(MOBILENET_V2.tflite_file),
            f"{scratch}/out",
        ]

    orchard, limit = functools.partial(_orchard, work, count), functools.partial(_limit, work, count)
    yield Case("limit", "photos", count, limit, parse_limit)
    yield Case("notebook", "photos", count, notebook, parse_notebook, (("PARTS", "4"), ("K", "200")))
    yield Case("daft", "photos", count, daft, parse_daft)
    yield Case("orchard", "photos", count, orchard, parse_orchard)
    # Apart from the timed runs: looking at a process's memory map stops it for a moment.
    yield Case("memory", "memory", count, orchard, parse_orchard)


def _scale_cases(work: Path, count: int) -> Iterator[Case]:
    yield Case("scale limit", "scale", count, functools.partial(_limit, work, count), parse_limit)
    yield Case("scale orchard", "scale", count, functools.partial(_orchard, work, count), parse_orchard)


def _limit(work: Path, count: int, _: Path) -> list[str]:
    return [sys.executable, peer("limit.py"), photos(work, count), weights().path(MOBILENET_V2.tflite_file), str(SLOTS)]


def _orchard(work: Path, count: int, scratch: Path) -> list[str]:
    folders = ["--input", photos(work, count), "--output", f"{scratch}/out", "--weights", weights().folder]
    return [sys.executable, "-m", "orchard", "run", *folders, "--master", MASTER, "--json"]


def _pca_case(work: Path, rows: int, variant: str) -> Case:
    def command(_: Path) -> list[str]:
        if variant == "stock-native" and not machine.native_lapack():
            raise CaseError(f"no {machine.LAPACK} and {machine.BLAS} on this machine (Debian: libopenblas0-pthread)")
        folder, k = features(work, rows)
        return [sys.executable, "-m", "bench.pca", variant, folder, str(k)]

    return Case(f"pca {variant}", "pca", rows, command, functools.partial(parse_pca, native=variant == "stock-native"))


def _read_cases(work: Path, count: int) -> Iterator[Case]:
    def case(what: str, latency: str, ahead: int) -> Case:
        def command(_: Path) -> list[str]:
            folder = photos(work, count if count in PHOTOS else PHOTOS[-1])
            return [sys.executable, "-m", "bench.reads", folder, latency, str(count), str(ahead), weights().folder]

        return Case(f"reads {what}", "reads", count, command, parse_reads)

    yield case("from a folder", "folder", AHEAD.photos)
    for latency in ("30", "100"):
        yield case(f"{latency} ms away", latency, AHEAD.photos)
    yield case("30 ms away one by one", "30", 1)


def _get_case(work: Path, count: int, library: str) -> Case:
    command = functools.partial(_get_command, work, count, library)
    return Case(f"gets {library}", "gets", count, command, parse_reads)


def _get_command(work: Path, count: int, library: str, _: Path) -> list[str]:
    return [sys.executable, "-m", "bench.gets", library, photos(work, count), str(BucketSource.readers)]


def run_case(case: Case, work: Path) -> Sample:
    """Run a case once. Adds `wall`, seconds from start to end of the process, and `wall_rate`, photos (or rows) per second of it."""
    with tempfile.TemporaryDirectory(dir=work) as folder:
        scratch = Path(folder)
        command = case.command(scratch)
        with (scratch / "stdout").open("wb") as out, (scratch / "stderr").open("wb") as err:
            started = time.perf_counter()
            process = subprocess.Popen(command, cwd=ROOT, env=_environ(case), stdout=out, stderr=err)
            peaks = memory.watch(process, pss=LOOKS[case.kind]) if case.kind in LOOKS else {}
            code = _wait(process)
            wall = time.perf_counter() - started
        if code:
            raise CaseError(f"exit code {code}: {last_line((scratch / 'stderr').read_text(errors='replace'))}")
        try:
            sample = case.parse((scratch / "stdout").read_text(encoding="utf-8"), scratch)
        except (KeyError, TypeError, ValueError) as exc:
            raise CaseError(f"printed something else than expected: {exc!r}") from exc
    done = sample.numbers.get("photos", case.size)
    if done != case.size:
        raise CaseError(f"{done:.0f} photos instead of {case.size}")
    numbers = {**sample.numbers, "wall": wall, "wall_rate": case.size / wall, **peaks}
    return Sample({name: round(value, 4) for name, value in numbers.items()}, sample.notes)


def _environ(case: Case) -> dict[str, str]:
    # One Java for all: the peers would otherwise take the first on the PATH, whatever its version.
    return {**os.environ, "JAVA_HOME": find_java().home, "PYSPARK_PYTHON": sys.executable, **dict(case.environ)}


def _wait(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait(TIMEOUT)
    except subprocess.TimeoutExpired as exc:
        process.kill()
        raise CaseError(f"still running after {TIMEOUT} s") from exc


def parse_limit(out: str, _: Path) -> Sample:
    """`limit P=2: 50 images 0.51s = 98.0 img/s, decode share 0.113`."""
    match = re.search(r"limit P=\d+: (\d+) images ([\d.]+)s = ([\d.]+) img/s", out)
    if not match:
        raise CaseError(f"not a line of limit.py: {last_line(out)}")
    return Sample({"photos": int(match[1]), "seconds": float(match[2]), "rate": float(match[3])})


def parse_notebook(out: str, _: Path) -> Sample:
    """One JSON line: `n`, `k90` and seconds by stage, with their `total`."""
    facts = _last_json(out, "n", "total", "features", "scale+pca", "k90")
    seconds = {"seconds": facts["total"], "featurize": facts["features"], "reduce": facts["scale+pca"]}
    return Sample({"photos": facts["n"], **seconds, "rate": facts["n"] / facts["total"], "k": facts["k90"]})


def parse_daft(out: str, scratch: Path) -> Sample:
    """One JSON line with `seconds`; it does not say how many photos, its table does."""
    seconds = _last_json(out, "seconds")["seconds"]
    rows = sum(pq.read_metadata(file).num_rows for file in (scratch / "out").rglob("*.parquet"))
    return Sample({"photos": rows, "seconds": seconds, "rate": rows / seconds})


def parse_orchard(out: str, _: Path) -> Sample:
    """`report.json`. `warm_rate` leaves out what is not work on photos: starting workers, loading the network, writing."""
    facts = json.loads(out)
    done, stages, work = facts["counts"]["featurized"], facts["seconds"], facts["task_seconds"]
    total = stages["total"]
    rates = {
        "rate": done / total,
        "stage_rate": done / stages["featurize"],
        "warm_rate": done * SLOTS / sum(work.values()),
    }
    return Sample({"photos": done, "k": facts["pca"]["k"], "seconds": total, **stages, **work, **rates})


def parse_pca(out: str, _: Path, *, native: bool) -> Sample:
    """The JSON line of `bench.pca`, whose JVM must have used what the case says."""
    facts = _last_json(out, "first", "files", "fit", "k", "kept", "lapack", "blas")
    if (facts["lapack"] == "JNILAPACK") != native:
        raise CaseError(
            f"the JVM used {facts['lapack']}, {'not a native one' if native else 'although it was told not to'}"
        )
    notes = {name: facts[name] for name in ("lapack", "blas")}
    return Sample({name: value for name, value in facts.items() if name not in notes}, notes)


def parse_reads(out: str, _: Path) -> Sample:
    """The JSON line of `bench.reads` or `bench.gets`."""
    return Sample(_last_json(out, "photos", "seconds", "rate", "cpu"))


def _last_json(out: str, *needed: str) -> dict[str, Any]:
    facts = json.loads(last_line(out))
    if not isinstance(facts, dict) or set(needed) - facts.keys():
        raise CaseError(f"lacks one of {', '.join(needed)}: {last_line(out)[:200]}")
    return facts
