"""The command `evaluate`: opens what it names, measures, and writes the report. No Spark: a JVM would start longer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from orchard.classifier.evaluation.measure import ClassOf, evaluate_model, find_classes
from orchard.classifier.inputs import open_features, photos_uri
from orchard.classifier.labels import Rule, read_rule, rule_of
from orchard.classifier.options import EvaluateOptions
from orchard.classifier.saved import EVALUATION, EVALUATION_PAGE, Saved, check_settings, read_classifier, read_training
from orchard.console import Reporter
from orchard.errors import OutputError
from orchard.photos.photo import skip_reason
from orchard.storage.stores import Store, check_outside, check_writable, open_store
from orchard.tables.output import Output, check_apart


@dataclass(frozen=True)
class _Task:
    """What an evaluation was asked for, opened and checked."""

    saved: Saved
    class_of: ClassOf
    features: Output
    unfamiliar: Output | None
    store: Store


def evaluate(options: EvaluateOptions, reporter: Reporter) -> dict[str, Any]:
    """Evaluate a classifier; write and return the content of `evaluation.json`.

    Raises:
        OrchardError: see `orchard.errors`; nothing is written then.
    """
    task = _open(options)
    with reporter.progress(task.features.features.rows) as done:
        evaluation = evaluate_model(
            task.saved.model,
            task.saved.facts,
            read_training(task.saved),
            task.features,
            task.class_of,
            unfamiliar=task.unfamiliar,
            done=done,
        )
    evaluation["classifier"] = {"uri": task.saved.store.uri, **evaluation["classifier"]}
    # It imports Matplotlib, for half a second.
    from orchard.classifier.evaluation.writing import write_evaluation

    write_evaluation(task.store, evaluation)
    return evaluation


def describe(options: EvaluateOptions) -> dict[str, Any]:
    """What an evaluation would do; errors as of `evaluate`. No feature is read, nothing written."""
    task = _open(options)
    classes = find_classes(task.saved.model.classes, task.features, task.class_of)
    return {
        "classifier": f"{task.saved.store.uri}/{task.saved.facts['folder']}",
        "classes": sorted(set(classes.values())),
        "features": task.features.store.uri,
        "photos": task.features.features.rows,
        "labels": len(classes),
        "unfamiliar": task.unfamiliar and task.unfamiliar.store.uri,
        "output": task.store.uri,
    }


def _open(options: EvaluateOptions) -> _Task:
    saved, store = read_classifier(options.classifier), open_store(options.output)
    check_writable(store, EVALUATION, EVALUATION_PAGE)
    features = _open_features(saved, "--features", options.features)
    unfamiliar = _open_features(saved, "--unfamiliar", options.unfamiliar) if options.unfamiliar else None
    _check_apart(options.output, store, [output for output in (features, unfamiliar) if output])
    return _Task(saved, _rule(options, saved).class_of, features, unfamiliar, store)


def _check_apart(uri: str, store: Store, outputs: Sequence[Output]) -> None:
    """Raise `OrchardError` where the report would be among photos, or in a table, whose readers take it for rows."""
    for output in outputs:
        if photos := photos_uri(output):
            check_apart(uri, photos, "the photos")
    check_outside(store)
    if others := sorted(name for name in store.names() if skip_reason(name) is None):
        raise OutputError(f"{store.flag} {uri}: is a folder of photos ({others[0]}): choose another folder")


def _open_features(saved: Saved, flag: str, uri: str) -> Output:
    output = open_features(flag, uri)
    check_settings(saved, output.features.settings, f"{flag} {uri}")
    return output


def _rule(options: EvaluateOptions, saved: Saved) -> Rule:
    """The rule of --labels, or the one that the classifier was trained with."""
    if options.labels is None:
        return rule_of(saved.facts, options.classifier)
    return read_rule(options.labels).spelled_as(saved.model.classes)
