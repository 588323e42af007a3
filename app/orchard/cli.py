"""The `orchard` command: run, report, train and others. The only module that prints errors and chooses exit codes."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from orchard import __version__
from orchard.classifier.command import add_commands
from orchard.classifier.options import parse_words
from orchard.compare.command import add_compare_command
from orchard.console import Reporter, show, show_plan
from orchard.errors import OrchardError
from orchard.finetune.command import add_finetune_command
from orchard.network.bake import command
from orchard.options import JobOptions, add_job_arguments
from orchard.report.text import summary


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns its exit code: 0 done, 1 a known error, 2 usage, 130 interrupted."""
    arguments = parse_words(command_line(), argv)
    try:
        return int(arguments.command(arguments))
    except OrchardError as error:
        print(f"orchard: error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"orchard: interrupted: {what_is_left(arguments)}", file=sys.stderr, flush=True)
        # On the orderly way out pyspark's threads would print tracebacks of their lost connections.
        os._exit(130)


def what_is_left(arguments: argparse.Namespace) -> str:
    """What an interrupted command leaves behind: those with --input commit on their way."""
    if getattr(arguments, "input", None) is not None:
        return "what was committed is kept, the same command continues"
    return "it did not finish, and starts anew when it is called again"


def command_line() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(prog="orchard", description="Fruit photos to features and a classifier.")
    parser.add_argument("--version", action="version", version=f"orchard {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    text = "Bring the output up to date with the input. The same call continues after whatever ended it."
    run = commands.add_parser("run", help="featurize and reduce the photos of a folder or bucket", description=text)
    add_job_arguments(run)
    run.add_argument("--dry-run", action="store_true", help="list the photos and show what a run would do")
    report = commands.add_parser("report", help="print a summary of a finished run and regenerate report.html")
    report.add_argument("output", metavar="OUTPUT", help="the output of a run")
    for one in (run, report):
        one.add_argument("--json", action="store_true", help="print report.json instead of a summary")
    add_commands(commands)
    add_compare_command(commands)
    add_finetune_command(commands)
    sample = commands.add_parser("sample", help="draw photos of fruit to try a run on, 100 x 100 JPEG")
    sample.add_argument("--output", required=True, metavar="DIR", help="a new or empty folder")
    sample.add_argument("--varieties", type=int, default=5, metavar="N", help="folders (default %(default)s)")
    sample.add_argument("--per-variety", type=int, default=10, metavar="M", help="photos in each (default %(default)s)")
    sample.add_argument("--seed", type=int, default=0, help="another seed draws other photos (default %(default)s)")
    weights = commands.add_parser("weights", help="fetch and bake the network's weights, once")
    command.add_arguments(weights)
    for one, function in ((run, _run), (report, _report), (sample, _sample), (weights, command.run)):
        one.set_defaults(command=function)
    return parser


def _run(arguments: argparse.Namespace) -> int:
    # py4j logs the traceback of every call that Ctrl-C ends, to a root logger that has no handler yet.
    logging.getLogger().addHandler(logging.NullHandler())
    options, reporter = JobOptions.of(arguments), Reporter()
    if arguments.dry_run:
        from orchard.plan import describe

        return show_plan(describe(options), as_json=arguments.json)
    from orchard.run import run

    facts = run(options, reporter)
    return show(facts, summary(facts, options.output), as_json=arguments.json)


def _report(arguments: argparse.Namespace) -> int:
    from orchard.report.writing import rewrite_report

    facts = rewrite_report(arguments.output)
    return show(facts, summary(facts, arguments.output), as_json=arguments.json)


def _sample(arguments: argparse.Namespace) -> int:
    from orchard.sample import draw_samples

    paths = draw_samples(
        arguments.output, varieties=arguments.varieties, per_variety=arguments.per_variety, seed=arguments.seed
    )
    print(f"orchard: drew {len(paths)} photos in {arguments.output}", file=sys.stderr)
    return 0
