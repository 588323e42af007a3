"""The work of a comparison, readable top-down: check, then for each backbone run, train and export; then write."""

import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from orchard.classifier.export.export import export
from orchard.classifier.labels import Rule, read_rule
from orchard.classifier.options import ExportOptions, TrainOptions
from orchard.classifier.training.train import train
from orchard.compare.contents import make_facts
from orchard.compare.measures import Measures, measures_from, measures_of, with_speed
from orchard.compare.options import CompareOptions
from orchard.compare.plan import (
    CLASSIFIER,
    EXPORTED,
    MEASURES,
    PAGE,
    REPORT,
    Candidate,
    check_classes,
    check_output,
    count_classes,
    make_candidates,
)
from orchard.console import Reporter
from orchard.network.backbones import BACKBONES
from orchard.options import JobOptions
from orchard.photos.source import list_photos, open_source
from orchard.plan import make_plan
from orchard.run import run
from orchard.storage.stores import Store, check_writable, open_store
from orchard.versions import versions


@dataclass(frozen=True)
class _Comparison:
    """What was asked for, opened and checked."""

    store: Store
    rule: Rule
    classes: Mapping[str, int]
    candidates: list[Candidate]


class Steps(NamedTuple):
    """What is done for each backbone; tests bring others. Each run and each training opens a Spark of its own."""

    run: Callable[[JobOptions, Reporter], dict[str, Any]] = run
    train: Callable[[TrainOptions, Reporter], dict[str, Any]] = train
    export: Callable[[ExportOptions, Reporter], dict[str, Any]] = export


def compare(options: CompareOptions, reporter: Reporter, *, steps: Steps | None = None) -> dict[str, Any]:
    """Compare backbones; write and return the content of `compare.json`.

    Raises:
        OrchardError: see `orchard.errors`; what was done until then is kept, and the next call continues with it.
    """
    comparison, found, steps = _open(options), list[Measures](), steps or Steps()
    for candidate in comparison.candidates:
        reporter.log(f"{candidate.name}: {len(found) + 1} of {len(comparison.candidates)}")
        found.append(_measure(comparison, candidate, reporter, steps))
    facts = make_facts(options, found)
    # It imports Matplotlib, for half a second.
    from orchard.compare.writing import write_comparison

    write_comparison(comparison.store, facts)
    return facts


def describe(options: CompareOptions) -> dict[str, Any]:
    """What a comparison would do, without starting Spark or writing anything; errors as of `compare`."""
    comparison = _open(options)
    todo = {
        candidate.name: sum(make_plan(job).describe()["to featurize"] for job in (candidate.train, candidate.test))
        for candidate in comparison.candidates
    }
    return {
        "input": options.input,
        "test": options.test,
        "photos by class": dict(comparison.classes),
        "photos to featurize": todo,
        "output": comparison.store.uri,
    }


def _open(options: CompareOptions) -> _Comparison:
    store, rule = open_store(options.output), read_rule(options.labels)
    check_writable(store, REPORT, PAGE)
    candidates = make_candidates(options)
    check_output(options.output, store.names(), {*BACKBONES, *(candidate.name for candidate in candidates)})
    for candidate in candidates:
        make_plan(candidate.train)
        make_plan(candidate.test)
    labels = _count_labels("--input", options.input), _count_labels("--test", options.test)
    trained, tested = (count_classes(found, rule.classes(found)) for found in labels)
    check_classes(options, trained, tested)
    return _Comparison(store, rule, trained, candidates)


def _count_labels(flag: str, uri: str) -> Counter[str]:
    return Counter(photo.label for photo in list_photos(open_source(uri, flag=flag)).photos)


def _measure(comparison: _Comparison, candidate: Candidate, reporter: Reporter, steps: Steps) -> Measures:
    """Do what is to do for one backbone, and measure it; what was measured of the same runs is read instead."""
    reports = [steps.run(job, reporter) for job in (candidate.train, candidate.test)]
    made_of = {
        "reports": [[report["created"], report["tables"]] for report in reports],
        "classes": [comparison.rule.classes(report["input"]["labels"]) for report in reports],
        "orchard": versions()["orchard"],
    }
    store, folder = comparison.store, candidate.name
    parts = {key.split("/")[1] for key in store.list(f"{folder}/")}
    before, kept = _read_measures(store, folder) if MEASURES in parts else (None, None)
    if kept and before == made_of and {CLASSIFIER, EXPORTED} <= parts:
        reporter.log(f"{folder}: its classifier and its file are up to date")
        return kept
    # The classifier that it speaks of is replaced now; whoever is killed in between must find the speed only.
    _write_measures(store, folder, None, kept)
    trained = steps.train(candidate.training, reporter)
    exported = steps.export(candidate.export, reporter)
    found = measures_of(folder, reports, trained["classifier"], trained["evaluation"], exported)
    found = with_speed(found, kept)
    _write_measures(store, folder, made_of, found)
    return found


def _write_measures(store: Store, folder: str, made_of: Mapping[str, Any] | None, found: Measures | None) -> None:
    content = {"made_of": made_of, "measures": found and dataclasses.asdict(found)}
    store.write(f"{folder}/{MEASURES}", (json.dumps(content, indent=1) + "\n").encode())


def _read_measures(store: Store, folder: str) -> tuple[Any, Measures | None]:
    """The reports and classes that were measured, None where they no longer count, and what was measured of them."""
    try:
        content = json.loads(store.read(f"{folder}/{MEASURES}"))
        return content["made_of"], measures_from(content["measures"])
    except (AttributeError, KeyError, TypeError, ValueError):
        return None, None
