"""The command finetune. What it needs is imported when it is called."""

import argparse
from typing import Any

from orchard.console import Reporter, show, show_plan
from orchard.finetune.options import FinetuneOptions, add_arguments


def add_finetune_command(commands: Any) -> None:
    """Add the command to the sub-parsers of `orchard`."""
    text = "tune the last blocks of a backbone on labelled photos"
    description = "Train the last blocks of a backbone on photos, and write what `orchard run --backbone` uses."
    parser = commands.add_parser("finetune", help=text, description=description)
    add_arguments(parser)
    parser.add_argument(
        "--dry-run", action="store_true", help="check everything but --blocks, and show what would be done"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(command=_finetune)


def _finetune(arguments: argparse.Namespace) -> int:
    from orchard.finetune.finetune import describe, finetune, summary

    options = FinetuneOptions.of(arguments)
    if arguments.dry_run:
        return show_plan(describe(options), as_json=arguments.json)
    facts = finetune(options, Reporter())
    return show(facts, summary(facts, options.output), as_json=arguments.json)
