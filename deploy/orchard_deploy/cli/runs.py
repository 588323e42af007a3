"""The commands about runs: submit, status, logs, cost, cancel."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchard_deploy.cli.connect import aws_arguments, connect
from orchard_deploy.context import Context
from orchard_deploy.cost.money import (
    add_money,
    add_prices,
    check_budget,
    count_photos,
    load_prices,
    money_lines,
    money_of,
)
from orchard_deploy.errors import DeployError
from orchard_deploy.leaving import listening
from orchard_deploy.runs.payloads import job_arguments
from orchard_deploy.runs.record import Submission
from orchard_deploy.targets import SERVERLESS

# What needs boto3 is imported where it is used, so that the command line starts without it.
if TYPE_CHECKING:
    from orchard_deploy.runs.planning import Wanted

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]
    Parents = list[argparse.ArgumentParser]


def add_to(commands: Commands, parents: Parents) -> None:
    """Give the command line these commands."""
    for add in (_add_submit, _add_status, _add_logs, _add_cost, _add_cancel):
        add(commands, parents)


def _add_submit(commands: Commands, parents: Parents) -> None:
    about = "start a run of the image in ECR"
    parser = commands.add_parser(
        "submit",
        parents=[*parents, aws_arguments()],
        help=about,
        description=about,
        epilog="Arguments behind `--` go to the job.",
    )
    upload = "upload this main file to S3 and run it instead of the image's own"
    parser.add_argument("--upload-main", type=Path, metavar="FILE", help=upload)
    budget = "refuse if the worst case costs more"
    parser.add_argument("--budget", type=_number("amount of money", 0), metavar="AMOUNT", help=budget)
    parser.add_argument("--wait", action="store_true", help="wait for the run: show states, driver log and cost")
    minutes = "give up after M minutes (default: the queue's and the run's own time-outs + 30)"
    parser.add_argument("--wait-minutes", type=_number("number of minutes", 1e-9), metavar="M", help=minutes)
    parser.add_argument("--verbose", action="store_true", help="with --wait, show Spark's own log too")
    parser.add_argument("--detach", action="store_true", help="do not cancel the run if this command is interrupted")
    parser.add_argument("--dry-run", action="store_true", help="print what would be done, and the input of the call")
    parser.add_argument("--json", action="store_true", help="print the submission as JSON")
    add_money(parser)
    parser.set_defaults(command=_submit)


def _number(what: str, least: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        value = float(text)
        if not (math.isfinite(value) and value >= least):
            raise argparse.ArgumentTypeError(f"{text} is no {what}")
        return value

    return parse


def _submit(arguments: argparse.Namespace) -> int:
    from orchard_deploy.runs.planning import Wanted
    from orchard_deploy.runs.submit import submit

    with listening() if arguments.wait else nullcontext():  # the run must not outlive this command unseen
        context = connect(arguments)
        job_arguments(context.site, arguments.extra)
        wanted = Wanted(
            extra=arguments.extra,
            main_file=arguments.upload_main,
            photos=count_photos(context, arguments.photos, arguments.extra),
        )
        _weigh(context, wanted, arguments)
        if arguments.dry_run:
            return _dry_run(context, wanted)
        submission = submit(context, wanted)
        named = f"{context.target.place} {submission.place}, image {submission.tag} ({submission.digest})"
        context.say(f"run {submission.run} on {named}")
        if arguments.wait:
            submission = _stay(context, submission, arguments)
        print(json.dumps(asdict(submission), indent=1) if arguments.json else submission.run)
        return 0


def _weigh(context: Context, wanted: Wanted, arguments: argparse.Namespace) -> None:
    """Show what the run may cost, unless that is too much."""
    money = money_of(context.site, context.target, arguments, wanted.photos)
    check_budget(money, arguments.budget, stays=arguments.wait and not arguments.detach)
    for line in money_lines(money):
        context.say(line)


def _dry_run(context: Context, wanted: Wanted) -> int:
    from orchard_deploy.runs.submit import look_ahead, under_way

    planned = look_ahead(context, wanted)
    same = under_way(context, planned)
    if not (same and same.run):
        print(json.dumps(planned.request, indent=1))
    return 0


def _stay(context: Context, submission: Submission, arguments: argparse.Namespace) -> Submission:
    from orchard_deploy.runs.stay import stay
    from orchard_deploy.runs.watch import longest_wait, shown_by

    if context.site.logs is None:
        context.say("the specification has no `logs`, so the driver's lines are not shown")
    seconds = longest_wait(context.site.spec, context.target, arguments.wait_minutes)
    ended = stay(shown_by(context, submission, verbose=arguments.verbose), seconds=seconds, detach=arguments.detach)
    if context.target.bills_runs:
        _say_cost(context, ended, arguments)
    return ended


def _say_cost(context: Context, ended: Submission, arguments: argparse.Namespace) -> None:
    """A run that went well has gone well, whether or not its bill can be had."""
    from orchard_deploy.cost.bill import bill_lines

    try:
        for line in bill_lines(_bill(context, ended, arguments, photos=None)):
            context.say(line)
    except DeployError as error:
        context.say(f"{error}; `orchard-deploy cost --run {ended.run}` asks again")


def _add_status(commands: Commands, parents: Parents) -> None:
    about = "what exists, what differs from the specification, and how far the runs are"
    parser = commands.add_parser("status", parents=[*parents, aws_arguments()], help=about, description=about)
    parser.add_argument("--json", action="store_true", help="print the same as JSON")
    parser.set_defaults(command=_status)


def _status(arguments: argparse.Namespace) -> int:
    from orchard_deploy.runs.status import status_facts, status_lines

    return _print(status_facts(connect(arguments)), status_lines, arguments)


def _print(
    facts: dict[str, Any], lines: Callable[[dict[str, Any]], Iterable[str]], arguments: argparse.Namespace
) -> int:
    print(*([json.dumps(facts, indent=1)] if arguments.json else lines(facts)), sep="\n")
    return 0


def _add_logs(commands: Commands, parents: Parents) -> None:
    about = "the logs of a run: standard output and error of driver or executors"
    parser = commands.add_parser("logs", parents=[*parents, aws_arguments()], help=about, description=about)
    _add_run(parser)
    parser.add_argument("--executors", action="store_true", help="of the executors instead of the driver")
    parser.add_argument("--stream", choices=("stdout", "stderr"), help="only this one")
    parser.add_argument("--attempt", type=int, metavar="N", help="of this attempt (default: the last one)")
    parser.add_argument("--follow", action="store_true", help="stay until the run is over")
    parser.set_defaults(command=_logs)


def _logs(arguments: argparse.Namespace) -> int:
    from orchard_deploy.runs.logs import Choice
    from orchard_deploy.runs.tail import follow_logs, print_line

    context = connect(arguments)
    streams = (arguments.stream,) if arguments.stream else ("stdout", "stderr")
    every = arguments.follow and not arguments.attempt
    choice = Choice(executors=arguments.executors, streams=streams, attempt=arguments.attempt, every_attempt=every)
    follow_logs(context, _chosen(context, arguments), choice, follow=arguments.follow, show=print_line)
    return 0


def _add_cost(commands: Commands, parents: Parents) -> None:
    about = "what a run cost: what EMR Serverless billed, times the prices"
    parser = commands.add_parser("cost", parents=[*parents, aws_arguments(target=False)], help=about, description=about)
    _add_run(parser)
    photos = "photos that it featurized (default: by the report in its output)"
    parser.add_argument("--photos", type=int, metavar="N", help=photos)
    parser.add_argument("--json", action="store_true", help="print the same as JSON")
    add_prices(parser)
    parser.set_defaults(command=_cost, target=SERVERLESS.name)


def _cost(arguments: argparse.Namespace) -> int:
    from orchard_deploy.cost.bill import bill_lines

    context = connect(arguments)
    facts = _bill(context, _chosen(context, arguments), arguments, photos=arguments.photos)
    return _print(facts, bill_lines, arguments)


def _bill(
    context: Context, submission: Submission, arguments: argparse.Namespace, *, photos: int | None
) -> dict[str, Any]:
    from orchard_deploy.cost.bill import bill_facts

    site = context.site
    prices = load_prices(arguments.prices, region=site.account.region, architecture=site.spec.architecture)
    return bill_facts(context, submission, prices, photos=photos)


def _add_cancel(commands: Commands, parents: Parents) -> None:
    about = "end a run, and wait until it is over"
    parser = commands.add_parser("cancel", parents=[*parents, aws_arguments()], help=about, description=about)
    _add_run(parser)
    parser.add_argument("--dry-run", action="store_true", help="say which run it would be")
    parser.set_defaults(command=_cancel)


def _cancel(arguments: argparse.Namespace) -> int:
    from orchard_deploy.runs.watch import Watch

    context = connect(arguments)
    submission = _chosen(context, arguments)
    if arguments.dry_run:
        print(f"cancel run {submission.run}")
        return 0
    watch = Watch(context, submission)
    run = watch.cancel()
    watch.note(run)
    print(f"run {run.id}: {run.state}")
    return 0


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run", metavar="ID", help="the run (default: the last one)")


def _chosen(context: Context, arguments: argparse.Namespace) -> Submission:
    from orchard_deploy.runs.known import choose_run

    return choose_run(context, arguments.run)
