"""Repeat cases in turn, and say what came out: medians, spread, ratios. Pure: how a case runs is passed in."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field


class CaseError(Exception):
    """A case cannot be measured here; the message says why."""


@dataclass(frozen=True)
class Sample:
    """What one run of a case gave: numbers by name (units are in `bench.tables`), and facts in words."""

    numbers: Mapping[str, float]
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Summary:
    """A number over the runs of a case."""

    median: float
    low: float
    high: float
    n: int


@dataclass
class Result:
    """All runs of a case, and the reason where it could not be measured (runs before a failure do not count)."""

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


def in_turn(names: Sequence[str], repeats: int, *, warm_up: bool = True) -> Iterator[tuple[int, str]]:
    """Round by round through all names, so that a slow minute of the machine falls on each of them; round 0 is the warm-up."""
    return ((turn, name) for turn in range(0 if warm_up else 1, repeats + 1) for name in names)


def measure(
    runs: Mapping[str, Callable[[], Sample]], repeats: int, say: Callable[[str], None], *, warm_up: bool = True
) -> dict[str, Result]:
    """Run every case once untimed, then `repeats` times in turn; a case that fails is not tried again."""
    results = {name: Result() for name in runs}
    for turn, name in in_turn(list(runs), repeats, warm_up=warm_up):
        result = results[name]
        if result.failure:
            continue
        say(f"{name}: {f'run {turn} of {repeats}' if turn else 'warm-up'}")
        try:
            sample = runs[name]()
        except CaseError as error:
            result.failure = str(error)
            say(f"{name}: not measured: {error}")
            continue
        if turn:
            result.samples.append(sample)
    return results
