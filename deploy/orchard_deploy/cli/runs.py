"""The commands about runs: submit, status, logs, cost, cancel."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import asdict
from typing import Any

from orchard_deploy.cli.connect import ACCOUNT, AWS, Commands, Flags, Parents, add_command, connect, number
from orchard_deploy.context import Context
from orchard_deploy.cost.bill import bill_facts, bill_lines
from orchard_deploy.cost.money import (
    add_money,
    add_prices,
    check_budget,
    count_photos,
    load_prices,
    money_lines,
    money_of,
    whole,
)
from orchard_deploy.errors import DeployError
from orchard_deploy.runs.known import choose_run
from orchard_deploy.runs.logs import Choice
from orchard_deploy.runs.payloads import job_arguments
from orchard_deploy.runs.planning import Wanted
from orchard_deploy.runs.record import Submission
from orchard_deploy.runs.status import status_facts, status_lines
from orchard_deploy.runs.stay import stay
from orchard_deploy.runs.submit import look_ahead, submit, under_way
from orchard_deploy.runs.tail import follow_logs, print_line
from orchard_deploy.runs.watch import Watch, longest_wait, shown_by
from orchard_deploy.targets import SERVERLESS
from orchard_deploy.terminal import listening

_JSON = "print the same as JSON"
_RUN: Flags = {"--run": {"metavar": "ID", "help": "the run (default: the last one)"}}


def add_to(commands: Commands, parents: Parents) -> None:
    """Give the command line these commands."""
    _add_submit(commands, parents)
    about = "what exists, what differs from the specification, and how far the runs are"
    add_command(commands, parents, "status", _status, about, {**AWS, "--json": _JSON})
    logs: Flags = {
        **AWS,
        **_RUN,
        "--executors": "of the executors instead of the driver",
        "--stream": {"choices": ("stdout", "stderr"), "help": "only this one"},
        "--attempt": {"type": int, "metavar": "N", "help": "of this attempt (default: the last one)"},
        "--follow": "stay until the run is over",
    }
    about = "the logs of a run: standard output and error of driver or executors"
    add_command(commands, parents, "logs", _logs, about, logs)
    photos = "photos that it featurized (default: by the report in its output)"
    cost: Flags = {**ACCOUNT, **_RUN, "--photos": {"type": whole, "metavar": "N", "help": photos}, "--json": _JSON}
    about = "what a run cost: what EMR Serverless billed, times the prices"
    add_prices(add_command(commands, parents, "cost", _cost, about, cost, target=SERVERLESS.name))
    cancel: Flags = {**AWS, **_RUN, "--dry-run": "say which run it would be"}
    add_command(commands, parents, "cancel", _cancel, "end a run, and wait until it is over", cancel)


def _add_submit(commands: Commands, parents: Parents) -> None:
    budget, minutes = number("amount of money", 0), number("number of minutes", 1e-9)
    longest = "give up after M minutes (default: the queue's and the run's own time-outs + 30)"
    flags: Flags = {
        **AWS,
        "--budget": {"type": budget, "metavar": "AMOUNT", "help": "refuse if the worst case costs more"},
        "--wait": "wait for the run: show states, driver log and cost",
        "--wait-minutes": {"type": minutes, "metavar": "M", "help": longest},
        "--verbose": "with --wait, show Spark's own log too",
        "--detach": "do not cancel the run if this command is interrupted",
        "--dry-run": "print what would be done, and the input of the call",
        "--json": "print the submission as JSON",
    }
    parser = add_command(commands, parents, "submit", _submit, "start a run of the image in ECR", flags)
    parser.epilog = "Arguments behind `--` go to the job."
    add_money(parser)


def _submit(arguments: argparse.Namespace) -> int:
    with listening() if arguments.wait else nullcontext():  # the run must not outlive this command unseen
        context = connect(arguments)
        job_arguments(context.site, arguments.extra)
        photos = count_photos(context, arguments.photos, arguments.extra)
        wanted = Wanted(extra=arguments.extra, photos=photos)
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
    planned = look_ahead(context, wanted)
    same = under_way(context, planned)
    if not (same and same.run):
        print(json.dumps(planned.request, indent=1))
    return 0


def _stay(context: Context, submission: Submission, arguments: argparse.Namespace) -> Submission:
    if context.site.logs is None:
        context.say("the specification has no `logs`, so the driver's lines are not shown")
    seconds = longest_wait(context.site.spec, context.target, arguments.wait_minutes)
    ended = stay(shown_by(context, submission, verbose=arguments.verbose), seconds=seconds, detach=arguments.detach)
    if context.target.bills_runs:
        _say_cost(context, ended, arguments)
    return ended


def _say_cost(context: Context, ended: Submission, arguments: argparse.Namespace) -> None:
    """A run that went well has gone well, whether or not its bill can be had."""
    try:
        for line in bill_lines(_bill(context, ended, arguments, photos=None)):
            context.say(line)
    except DeployError as error:
        context.say(f"{error}; `orchard-deploy cost --run {ended.run}` asks again")


def _status(arguments: argparse.Namespace) -> int:
    return _print(status_facts(connect(arguments)), status_lines, arguments)


def _print(
    facts: dict[str, Any], lines: Callable[[dict[str, Any]], Iterable[str]], arguments: argparse.Namespace
) -> int:
    print(*([json.dumps(facts, indent=1)] if arguments.json else lines(facts)), sep="\n")
    return 0


def _logs(arguments: argparse.Namespace) -> int:
    context = connect(arguments)
    streams = (arguments.stream,) if arguments.stream else ("stdout", "stderr")
    every = arguments.follow and not arguments.attempt
    choice = Choice(executors=arguments.executors, streams=streams, attempt=arguments.attempt, every_attempt=every)
    follow_logs(context, choose_run(context, arguments.run), choice, follow=arguments.follow, show=print_line)
    return 0


def _cost(arguments: argparse.Namespace) -> int:
    context = connect(arguments)
    facts = _bill(context, choose_run(context, arguments.run), arguments, photos=arguments.photos)
    return _print(facts, bill_lines, arguments)


def _bill(
    context: Context, submission: Submission, arguments: argparse.Namespace, *, photos: int | None
) -> dict[str, Any]:
    site = context.site
    prices = load_prices(arguments.prices, region=site.account.region, architecture=site.spec.architecture)
    return bill_facts(context, submission, prices, photos=photos)


def _cancel(arguments: argparse.Namespace) -> int:
    context = connect(arguments)
    submission = choose_run(context, arguments.run)
    if arguments.dry_run:
        print(f"cancel run {submission.run}")
        return 0
    watch = Watch(context, submission)
    run = watch.cancel()
    watch.note(run)
    print(f"run {run.id}: {run.state}")
    return 0
