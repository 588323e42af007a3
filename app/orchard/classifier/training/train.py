"""One training, readable top-down: split, fit, save, evaluate."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from orchard.classifier.evaluation.measure import evaluate_model, find_classes
from orchard.classifier.inputs import HELD_OUT, open_features, photos_uri
from orchard.classifier.labels import listed
from orchard.classifier.options import TrainOptions
from orchard.classifier.saved import Saved, open_classifier_output, read_classifier_from, write_classifier
from orchard.classifier.settings import check_same
from orchard.classifier.training.training_set import TrainingSet, read_training_set
from orchard.console import Reporter
from orchard.report.text import percent
from orchard.spark.session import OpenContext, open_context
from orchard.stopwatch import Stopwatch
from orchard.storage.stores import open_store
from orchard.tables.output import Output
from orchard.versions import versions

if TYPE_CHECKING:
    from pyspark import SparkContext

    from orchard.classifier.training.fit import Fitted


def train(options: TrainOptions, reporter: Reporter, *, open_context: OpenContext = open_context) -> dict[str, Any]:
    """Train a classifier, save it, and evaluate it on --test or on what was held out.

    Returns:
        `classifier`, the content of `classifier.json`; `evaluation`, that of `evaluation.json`, None where nothing was
        held out; and `seconds` by stage.

    Raises:
        OrchardError: see `orchard.errors`; an earlier classifier in the output is whole then.
    """
    # py4j logs the traceback of every call that Ctrl-C ends, to a root logger that has no handler yet.
    logging.getLogger().addHandler(logging.NullHandler())
    watch, store = Stopwatch(), open_classifier_output(options.output)
    with watch("read"):
        chosen, test, tested = _read(options)
    _log(chosen, reporter)
    _warn(options, chosen, tested, reporter)
    with watch("fit"), open_context(options.master, log=reporter.log) as context:
        fitted, spark_version = _fit(options, chosen, context, reporter)
    with watch("save"):
        facts = {"temperature": fitted.temperature, "training": {**_facts(options, chosen), **fitted.facts}}
        facts["versions"] = versions("numpy", "pyarrow", "scipy") | {"spark": spark_version}
        write_classifier(store, fitted.model, chosen.table(), facts, spark_version=spark_version)
    with watch("evaluate"):
        saved = read_classifier_from(store)
        evaluation = _evaluate(saved, chosen, test, reporter)
    return {"classifier": dict(saved.facts), "evaluation": evaluation, "seconds": watch.total()}


def _fit(options: TrainOptions, chosen: TrainingSet, context: SparkContext, reporter: Reporter) -> tuple[Fitted, str]:
    """The fit, and the version of Spark."""
    # Only now: until the context is there, pyspark must not be imported elsewhere.
    from orchard.classifier.training.fit import Training
    from orchard.spark.tasks import explain_spark_errors

    with explain_spark_errors():
        return Training(options, chosen, context, reporter).finish(), context.version


def describe(options: TrainOptions) -> dict[str, Any]:
    """What a training would do, without starting Spark or writing anything; errors as of `train`."""
    store = open_classifier_output(options.output)
    chosen, test, _ = _read(options)
    return {
        **_facts(options, chosen),
        "photos to evaluate on": test.features.rows if test else int((chosen.split.folds == HELD_OUT).sum()),
        "output": store.uri,
    }


def _read(options: TrainOptions) -> tuple[TrainingSet, Output | None, set[str]]:
    """The photos to train on, the output to evaluate on, and the classes that are evaluated."""
    chosen = read_training_set(options)
    if not options.test:
        return chosen, None, {*chosen.names} - {*chosen.lacking(chosen.split.folds == HELD_OUT)}
    test = open_features("--test", options.test)
    settings = chosen.features.features.settings
    check_same(test.features.settings, settings, f"--test {options.test}", "--features was made with")
    return chosen, test, {*find_classes(chosen.names, test, chosen.rule.class_of).values()}


def _log(chosen: TrainingSet, reporter: Reporter) -> None:
    facts = chosen.facts()
    classes = ", ".join(f"{name} {of_class['photos']:,}" for name, of_class in facts["classes"].items())
    shown = classes if len(chosen.names) <= 12 else f"{len(chosen.names):,} classes"
    used = zip(chosen.photos.labels, chosen.trained.tolist(), strict=True)
    labels = len({label for label, trained in used if trained})  # others are held out as a whole
    reporter.log(f"training on {facts['photos']:,} photos of {labels:,} labels ({shown})")


def _warn(options: TrainOptions, chosen: TrainingSet, tested: set[str], reporter: Reporter) -> None:
    """Warn of what makes the evaluation, or the choice of the regularization and the threshold, worth less."""
    if options.random_split:
        reporter.log(
            "warning: --random-split puts neighbouring frames of one fruit on both sides: do not believe the accuracy"
        )
    if unseen := chosen.lacking(chosen.split.folds >= 0):
        what = f"warning: too few photos to cross-validate on {listed(unseen)}"
        reporter.log(f"{what}: the threshold and the limit are chosen on the other classes: add photos")
    if (options.test or options.held_out) and (missing := sorted({*chosen.names} - tested)):
        reporter.log(f"warning: no photo of {listed(missing)} to evaluate on: the evaluation says nothing about them")


def _facts(options: TrainOptions, chosen: TrainingSet) -> dict[str, Any]:
    """What `classifier.json` says of the training besides the fit."""
    kind = (
        "test" if options.test else "none" if not options.held_out else "random" if options.random_split else "labels"
    )
    return {
        "features": chosen.features.store.uri,
        "version": chosen.features.features.version,
        "input": photos_uri(chosen.features),
        **chosen.facts(),
        "split": {"kind": kind, "holdout": options.held_out, "blocks": chosen.split.blocks, "folds": options.folds},
        "test": options.test and open_store(options.test).uri,
        "class_weight": options.class_weight,
    }


def _evaluate(saved: Saved, chosen: TrainingSet, test: Output | None, reporter: Reporter) -> dict[str, Any] | None:
    """Evaluate on --test, or on what was held out, and write the report beside the classifier."""
    held_out = {
        path for path, fold in zip(chosen.photos.paths, chosen.split.folds.tolist(), strict=True) if fold == HELD_OUT
    }
    if not test and not held_out:
        return None
    from orchard.classifier.evaluation.writing import write_evaluation

    with reporter.progress(test.features.rows if test else len(held_out)) as done:
        evaluation = evaluate_model(
            saved.model,
            saved.facts,
            chosen.table(),
            test or chosen.features,
            chosen.rule.class_of,
            only=None if test else held_out,
            done=done,
        )
    evaluation["classifier"] = {"uri": saved.store.uri, **evaluation["classifier"]}
    write_evaluation(saved.store, evaluation)
    return evaluation


def summary(facts: Mapping[str, Any], output: str) -> list[tuple[str, str]]:
    """Names and values of the lines that end a training, from what `train` returns."""
    from orchard.classifier.evaluation.text import summary as of_evaluation

    classifier, seconds = facts["classifier"], facts["seconds"]
    training, stages = classifier["training"], (name for name in seconds if name != "total")
    precision = training["precision"]
    rows = [
        ("trained on", f"{training['photos']:,} photos of {len(classifier['classes']):,} classes"),
        ("components", f"{classifier['k']:,} of {classifier['feature_size']:,} features"),
        ("regularization", f"{training['regularization']:.2g}, temperature {classifier['temperature']:.2f}"),
        ("threshold", f"{classifier['threshold']:.3f}: {percent(precision['reached'])} right in cross-validation"),
        ("pipeline", f"{output.rstrip('/')}/{classifier['pipeline']}"),
        ("seconds", f"{seconds['total']:.1f} ({', '.join(f'{name} {seconds[name]:.1f}' for name in stages)})"),
    ]
    evaluation = of_evaluation(facts["evaluation"], output) if facts["evaluation"] else []
    return rows + evaluation
