"""Runs cases in turn, each in a process of its own, and sums up their numbers."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from orchard.spark.session import find_java

from bench import memory
from bench.inputs import ROOT, CaseError, last_line

TIMEOUT = 3600  # seconds; nothing here takes a quarter of it
# Kinds of cases whose memory is looked at, and whether PSS is too.
MEMORY = {"memory": True, "scale": False}
# Kinds of cases that run once, whatever the number of repeats, and kinds without an untimed run before the timed ones.
ONCE, NO_WARM_UP = ("listing", "faults"), ("listing", "faults", "scale", "pca", "classifier")


@dataclass(frozen=True)
class Sample:
    """What one run of a case gave: numbers by name (units are in `bench.tables`), and facts in words."""

    numbers: Mapping[str, float]
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """One thing to run.

    Attributes:
        what: what runs; `name` adds the size.
        kind: cases of one kind and size take turns, and are shown in one table.
        size: photos, rows or keys.
        command: makes the command line; may prepare things, untimed. It is given an empty folder.
        parse: reads standard output, and what the command left in that folder.
        environ: variables to set.
    """

    what: str
    kind: str
    size: int
    command: Callable[[Path], Sequence[str]]
    parse: Callable[[str, Path], Sample]
    environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Unique among all cases."""
        return f"{self.what} {self.size}"


@dataclass(frozen=True)
class Summary:
    """A number over the runs of a case."""

    median: float
    low: float
    high: float
    n: int


@dataclass
class Result:
    """All runs of a case, and the reason where it could not be measured; runs before a failure do not count."""

    samples: list[Sample] = field(default_factory=list)
    failure: str | None = None

    @property
    def numbers(self) -> dict[str, Summary]:
        """Each number that every run gave."""
        if self.failure or not self.samples:
            return {}
        shared = [name for name in self.samples[0].numbers if all(name in sample.numbers for sample in self.samples)]
        return {name: summarize([sample.numbers[name] for sample in self.samples]) for name in shared}

    @property
    def notes(self) -> Mapping[str, str]:
        """The last run's facts in words."""
        return self.samples[-1].notes if self.samples else {}


def summarize(values: Sequence[float]) -> Summary:
    """Median and spread of at least one value."""
    return Summary(statistics.median(values), min(values), max(values), len(values))


def in_turn(cases: Sequence[Case], repeats: int) -> Iterator[tuple[int, Case]]:
    """Each case of a group, round by round, so that a slow minute of the machine falls on all.

    Round 0 is untimed; a single repeat has none.
    """
    kind = cases[0].kind
    first = 1 if repeats == 1 or kind in NO_WARM_UP else 0
    rounds = range(first, (1 if kind in ONCE else repeats) + 1)
    return ((turn, case) for turn in rounds for case in cases)


def measure(
    cases: Sequence[Case], repeats: int, run: Callable[[Case], Sample], say: Callable[[str], None]
) -> dict[str, Result]:
    """Run each case of a group in turn; one that fails is not tried again."""
    results = {case.name: Result() for case in cases}
    for turn, case in in_turn(cases, repeats):
        result = results[case.name]
        if result.failure:
            continue
        say(f"{case.name}: {f'run {turn}' if turn else 'warm-up'}")
        try:
            sample = run(case)
        except CaseError as error:
            result.failure = str(error)
            say(f"{case.name}: not measured: {error}")
            continue
        if turn:
            result.samples.append(sample)
    return results


def run_case(case: Case, work: Path) -> Sample:
    """Run a case once in a folder of its own below `work`.

    Adds `wall`, seconds from start to end of the process, and `wall_rate`, photos (or rows, or keys) per second of it.

    Raises:
        CaseError: it failed, or printed something else than expected.
    """
    with tempfile.TemporaryDirectory(dir=work) as folder:
        scratch = Path(folder)
        out, wall, peaks = _execute(case, scratch)
        try:
            sample = case.parse(out, scratch)
        except (KeyError, TypeError, ValueError) as exc:
            raise CaseError(f"printed something else than expected: {exc!r}") from exc
    done = sample.numbers.get("photos", case.size)
    if done != case.size:
        raise CaseError(f"{done:.0f} photos instead of {case.size}")
    numbers = {**sample.numbers, "wall": wall, "wall_rate": case.size / wall, **peaks}
    return Sample({name: round(value, 4) for name, value in numbers.items()}, sample.notes)


def _execute(case: Case, scratch: Path) -> tuple[str, float, Mapping[str, float]]:
    """Standard output, seconds, and peaks of memory in MB."""
    command = case.command(scratch)
    # One Java for all: the peers would otherwise take the first on the PATH, whatever its version.
    environ = {**os.environ, "JAVA_HOME": find_java().home, "PYSPARK_PYTHON": sys.executable, **case.environ}
    with (scratch / "stdout").open("wb") as out, (scratch / "stderr").open("wb") as err:
        started = time.perf_counter()
        with subprocess.Popen(command, cwd=ROOT, env=environ, stdout=out, stderr=err) as process:
            peaks = memory.watch(process, pss=MEMORY[case.kind]) if case.kind in MEMORY else {}
            try:
                code = process.wait(TIMEOUT)
            except subprocess.TimeoutExpired as exc:
                process.kill()
                raise CaseError(f"still running after {TIMEOUT} s") from exc
        wall = time.perf_counter() - started
    if code:
        raise CaseError(f"exit code {code}: {last_line((scratch / 'stderr').read_text(errors='replace'))}")
    return (scratch / "stdout").read_text(encoding="utf-8"), wall, peaks
