"""The `orchard` command: run, sample, weights, report. The only place that prints errors and chooses exit codes."""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from orchard import __version__
from orchard.errors import OrchardError, OutputError
from orchard.options import add_job_arguments, parse_job_options


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns its exit code: 0 done, 1 a known error, 2 usage, 130 interrupted."""
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    if rest and arguments.command is not _weights:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    arguments.rest = rest
    try:
        return int(arguments.command(arguments))
    except OrchardError as error:
        print(f"orchard: error: {'; '.join([str(error), *_notes(error)])}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt as interrupt:
        kept = "; ".join(_notes(interrupt)) or "nothing of this run was kept"
        print(f"orchard: interrupted: {kept}, an earlier output is as it was", file=sys.stderr, flush=True)
        # Everything is put away by now; on the orderly way out pyspark's threads would print tracebacks of their lost connections.
        os._exit(130)


def _print_json(facts: dict[str, Any]) -> None:
    try:
        print(json.dumps(facts, indent=1, ensure_ascii=False), flush=True)
    except BrokenPipeError:  # as in `… | head`: what was to be done is done
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _notes(error: BaseException) -> list[str]:
    return getattr(error, "__notes__", [])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="orchard", description="Fruit photos to compact CNN features, on Spark.")
    parser.add_argument("--version", action="version", version=f"orchard {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_run(commands)
    _add_sample(commands)
    _add_weights(commands)
    _add_report(commands)
    return parser


def _add_run(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "run", help="featurize, standardise and reduce the photos of a folder", description="One whole run."
    )
    add_job_arguments(parser)
    parser.add_argument("--dry-run", action="store_true", help="list the photos and say what a run would do")
    parser.add_argument("--json", action="store_true", help="print report.json instead of a summary")
    parser.set_defaults(command=_run)


def _run(arguments: argparse.Namespace) -> int:
    from orchard.console import Reporter
    from orchard.legacy.pipeline import describe, run
    from orchard.report.facts import summary

    # py4j logs the traceback of every call that Ctrl-C cuts off, to a root logger that has no handler yet.
    logging.getLogger().addHandler(logging.NullHandler())
    options, reporter = parse_job_options(arguments), Reporter()
    facts = describe(options) if arguments.dry_run else run(options, reporter)
    if arguments.json:
        _print_json(facts)
    elif arguments.dry_run:
        reporter.table([(name, str(value)) for name, value in facts.items()])
    else:
        reporter.table(summary(facts, options.output))
    return 0


def _add_sample(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "sample", help="draw photos of fruit to try a run on", description="Drawn photos, 100 x 100 JPEG."
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="a new or empty folder")
    parser.add_argument("--varieties", type=int, default=5, metavar="N", help="folders (default %(default)s)")
    parser.add_argument("--per-variety", type=int, default=10, metavar="M", help="photos in each (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="another seed draws other photos (default %(default)s)")
    parser.set_defaults(command=_sample)


def _sample(arguments: argparse.Namespace) -> int:
    from orchard.photos.sample import draw_samples

    paths = draw_samples(
        arguments.output, varieties=arguments.varieties, per_variety=arguments.per_variety, seed=arguments.seed
    )
    print(f"orchard: drew {len(paths)} photos in {arguments.output}", file=sys.stderr)
    return 0


def _add_weights(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("weights", help="fetch and bake the network's weights, once", add_help=False)
    parser.set_defaults(command=_weights)


def _weights(arguments: argparse.Namespace) -> int:
    # A process of its own: the job's package does not depend on the bake's, and TensorFlow's memory goes with it.
    return subprocess.run([sys.executable, "-m", "orchard.network.bake.bake", *arguments.rest], check=False).returncode


def _add_report(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("report", help="draw the report of a finished run again and sum it up")
    parser.add_argument("output", metavar="OUTPUT", help="the output folder of a run")
    parser.add_argument("--json", action="store_true", help="print report.json instead of a summary")
    parser.set_defaults(command=_report)


def _report(arguments: argparse.Namespace) -> int:
    from orchard.console import Reporter
    from orchard.photos.source import open_source
    from orchard.report.facts import summary
    from orchard.report.render import draw_page
    from orchard.storage.stores import open_store
    from orchard.tables import parquet
    from orchard.tables import reading as tables

    store = open_store(arguments.output)
    try:
        facts = json.loads(store.read("report.json"))
        page = draw_page(
            facts,
            open_source(facts["input"]["uri"]),
            store,
            parquet.files(store, "components"),
            manifest=parquet.read_table(store, "manifest"),
            rejects=tables.read_rejections(store),
        )
    except (OSError, ValueError, KeyError) as exc:
        place = arguments.output
        raise OutputError(
            f"{place}: not a finished output of `orchard run` ({exc}): name the folder that holds report.json"
        ) from exc
    store.write("report.html", page)
    if arguments.json:
        _print_json(facts)
    else:
        Reporter().table(summary(facts, arguments.output))
    return 0
