"""The command compare. What it needs is imported when it is called."""

import argparse
import logging
from typing import Any

from orchard.compare.options import CompareOptions, add_compare_arguments
from orchard.console import Reporter, show, show_plan


def add_compare_command(commands: Any) -> None:
    """Add the command to the sub-parsers of `orchard`."""
    text = (
        "Featurize, train, evaluate and export with each of several backbones, and show side by side how accurate, how "
        "fast, how large and how expensive they are. What the output already holds is used again."
    )
    parser = commands.add_parser("compare", help="accuracy, speed and price of several backbones", description=text)
    add_compare_arguments(parser)
    parser.add_argument("--dry-run", action="store_true", help="check everything, and show what would be done")
    parser.add_argument("--json", action="store_true", help="print compare.json instead of a table")
    parser.set_defaults(command=_compare)


def _compare(arguments: argparse.Namespace) -> int:
    # py4j logs the traceback of every call that Ctrl-C ends, to a root logger that has no handler yet.
    logging.getLogger().addHandler(logging.NullHandler())
    options = CompareOptions.of(arguments)
    from orchard.compare.comparison import compare, describe
    from orchard.compare.text import summary

    if arguments.dry_run:
        return show_plan(describe(options), as_json=arguments.json)
    facts = compare(options, Reporter())
    return show(facts, summary(facts, options.output), as_json=arguments.json)
