"""The commands train, evaluate, predict and export. What they need is imported when one of them is called."""

import argparse
import csv
from collections.abc import Mapping, Sequence
from typing import Any

from orchard.classifier.options import COMMANDS, EvaluateOptions, ExportOptions, PredictOptions, TrainOptions
from orchard.console import Reporter, results, show, show_plan
from orchard.errors import UsageError


def add_commands(commands: Any) -> None:
    """Add the four commands to the sub-parsers of `orchard`."""
    table = {
        "train": (_train, "train a classifier on the features of a run"),
        "evaluate": (_evaluate, "measure how well a classifier tells photos apart"),
        "predict": (_predict, "classify photos: a few at once, or a folder or bucket on Spark"),
        "export": (_export, "write a classifier as one LiteRT file, for a robot"),
    }
    for name, (function, text) in table.items():
        parser = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        _, add_arguments = COMMANDS[name]
        add_arguments(parser)
        parser.add_argument("--dry-run", action="store_true", help="check everything, and show what would be done")
        parser.add_argument("--json", action="store_true", help="print the result as JSON")
        if name == "predict":
            parser.add_argument("--csv", action="store_true", help="print a line of CSV for each photo")
        parser.set_defaults(command=function)


def _train(arguments: argparse.Namespace) -> int:
    from orchard.classifier.training.train import describe, summary, train

    options = TrainOptions.of(arguments)
    if arguments.dry_run:
        return show_plan(describe(options), as_json=arguments.json)
    facts = train(options, Reporter())
    return show(facts, summary(facts, options.output), as_json=arguments.json)


def _evaluate(arguments: argparse.Namespace) -> int:
    from orchard.classifier.evaluation.evaluate import describe, evaluate
    from orchard.classifier.evaluation.text import summary

    options = EvaluateOptions.of(arguments)
    if arguments.dry_run:
        return show_plan(describe(options), as_json=arguments.json)
    facts = evaluate(options, Reporter())
    return show(facts, summary(facts, options.output), as_json=arguments.json)


def _predict(arguments: argparse.Namespace) -> int:
    options = PredictOptions.of(arguments)
    if arguments.csv and arguments.json:
        raise UsageError("--csv and --json exclude each other: give one of them")
    if options.photos:
        if arguments.dry_run:
            raise UsageError("--dry-run goes with --input and --output")
        return _predict_photos(options, arguments)
    if arguments.csv:
        raise UsageError("--csv goes with photos; the table predictions/ is read as docs/output.md shows")
    from orchard.classifier.prediction.table import describe, predict_table, summary
    from orchard.classifier.saved import read_classifier

    saved = read_classifier(options.classifier)
    if arguments.dry_run:
        return show_plan(describe(saved, options), as_json=arguments.json)
    facts = predict_table(saved, options, Reporter())
    return show(facts, summary(facts, str(options.output)), as_json=arguments.json)


def _predict_photos(options: PredictOptions, arguments: argparse.Namespace) -> int:
    """Exit code 1 where a photo could not be read; the others are classified all the same."""
    from orchard.classifier.prediction.classifier import classify

    rows = classify(options, Reporter())
    if arguments.csv:
        _print_csv(rows)
    else:
        show(rows, [(row["path"], _line(row)) for row in rows], as_json=arguments.json)
    return int(any(row["reason"] for row in rows))


def _print_csv(rows: Sequence[Mapping[str, Any]]) -> None:
    with results() as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _line(row: Mapping[str, Any]) -> str:
    if row["reason"]:
        return f"rejected: {row['reason']}: {row['detail']}"
    probable = f"{row['class']} {row['probability']:.3f}"
    return f"unsure ({probable}, unfamiliarity {row['unfamiliarity']:.1f})" if row["unsure"] else probable


def _export(arguments: argparse.Namespace) -> int:
    from orchard.classifier.export.export import describe, export, summary

    options = ExportOptions.of(arguments)
    if arguments.dry_run:
        return show_plan(describe(options), as_json=arguments.json)
    facts = export(options, Reporter())
    return show(facts, summary(facts), as_json=arguments.json)
