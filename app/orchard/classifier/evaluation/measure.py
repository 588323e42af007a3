"""One evaluation of a model: what it says of the photos of an output, compared with their classes."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import pyarrow as pa

from orchard.classifier.evaluation.contents import sum_up, sum_up_unfamiliar
from orchard.classifier.evaluation.leaks import Leaks
from orchard.classifier.evaluation.reading import count_labels, read_batches
from orchard.classifier.evaluation.scores import Scores, score, score_unfamiliar
from orchard.classifier.inputs import photos_uri
from orchard.classifier.labels import listed
from orchard.classifier.model import Model
from orchard.errors import InputError
from orchard.tables.output import Output

SCHEMA_VERSION = 1
_OF_TRAINING = ("features", "photos", "rule", "split", "precision", "in_no_fold")
ClassOf = Callable[[str], str | None]


def evaluate_model(
    model: Model,
    facts: Mapping[str, Any],
    training: pa.Table,
    features: Output,
    class_of: ClassOf,
    *,
    only: Collection[str] | None = None,
    unfamiliar: Output | None = None,
    done: Callable[[int], None] = lambda photos: None,
) -> dict[str, Any]:
    """Evaluate a model on the photos of an output, on this machine, without Spark.

    Args:
        model: the fitted classifier.
        facts: the content of its `classifier.json`.
        training: what it was trained on: path, label, sha256 and fold, as in its `training.parquet`.
        features: the photos to evaluate on.
        class_of: the class of a label; None where the rule does not name it.
        only: the paths to evaluate on; all photos if None.
        unfamiliar: photos of none of the classes; those whose label has a class of the model are left out.
        done: told how many photos were scored so far.

    Returns:
        the content of `evaluation.json`.

    Raises:
        InputError: no photos, labels without a class, classes unknown to the model, features of another size.
    """
    classes = find_classes(model.classes, features, class_of, only)
    leaks, size = Leaks(training), len(model.projection.mean)
    scores = score(model, read_batches(features, size, classes, only), classes, leaks, done)
    return {
        "schema_version": SCHEMA_VERSION,
        "classifier": _describe(model, facts),
        "evaluated": {**_source(features), "held_out": only is not None},
        **sum_up(model, scores),
        "flatters": leaks.facts(classes, facts["training"]["split"]["kind"]),
        "unfamiliar": None if unfamiliar is None else _unfamiliar(model, scores, unfamiliar, class_of),
    }


def find_classes(
    known: Collection[str], features: Output, class_of: ClassOf, only: Collection[str] | None = None
) -> dict[str, str]:
    """The class of each label that occurs, of the `known`; `InputError` as of `evaluate_model`; no feature is read."""
    where = f"{features.store.flag} {features.store.uri}"
    found = {label: class_of(label) for label in sorted(count_labels(features, only))}
    if not found:
        raise InputError(f"{where}: no photos to evaluate on: name an output of `orchard run` that has some")
    if nameless := [label for label, name in found.items() if name is None]:
        raise InputError(f"{where}: labels without a class: {listed(nameless)}: name them in --labels")
    classes = {label: name for label, name in found.items() if name is not None}
    if unknown := sorted(set(classes.values()) - set(known)):
        what = f"classes that the classifier does not know: {listed(unknown)}"
        raise InputError(f"{where}: {what}: evaluate on others, or name its classes by --labels")
    return classes


def _describe(model: Model, facts: Mapping[str, Any]) -> dict[str, Any]:
    training = facts["training"]
    return {
        "folder": facts["folder"],
        "k": model.projection.k,
        "features": len(model.projection.mean),
        "references": len(model.references),
        "threshold": model.threshold,
        "limit": model.limit,
        "settings": dict(model.settings),
        "training": {name: training[name] for name in _OF_TRAINING},
    }


def _source(output: Output) -> dict[str, Any]:
    """Where features are, their version, and where their photos were, if the run's report says so."""
    return {"features": output.store.uri, "version": output.features.version, "input": photos_uri(output)}


def _unfamiliar(model: Model, scores: Scores, output: Output, class_of: ClassOf) -> dict[str, Any]:
    counts = count_labels(output)
    # Whatever its capitals: an `apple` is not unfamiliar to who knows `Apple`.
    known = {name.casefold() for name in model.classes}
    left_out = {label: counts[label] for label in sorted(counts) if (class_of(label) or "").casefold() in known}
    labels = counts.keys() - left_out.keys()
    if not labels:
        what = "no photos of other classes than the classifier's" if counts else "no photos"
        raise InputError(f"--unfamiliar {output.store.uri}: {what}: it needs some that it was not trained on")
    unfamiliar = score_unfamiliar(model, read_batches(output, len(model.projection.mean), labels), labels)
    return {**_source(output), **sum_up_unfamiliar(model, scores, unfamiliar, left_out)}
