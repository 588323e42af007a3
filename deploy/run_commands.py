"""The commands about runs: submit, status, logs, cost, cancel."""

from __future__ import annotations

import argparse
import json
import math
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploy.aws_commands import count_photos
from deploy.context import Context, aws_arguments, connect
from deploy.cost import load_prices
from deploy.errors import DeployError, RefusedError
from deploy.leaving import listening
from deploy.money import add_money, add_prices, check, money_lines, money_of
from deploy.patience import patience
from deploy.payloads import job_arguments
from deploy.record import Submission
from deploy.targets import SERVERLESS

if TYPE_CHECKING:
    from deploy.submit import Wanted

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def add_to(commands: Commands, parents: list[argparse.ArgumentParser]) -> None:
    """Give the command line these commands."""
    _add_submit(commands, parents)
    _add_status(commands, parents)
    _add_logs(commands, parents)
    _add_cost(commands, parents)
    _add_cancel(commands, parents)


def _add_submit(commands: Commands, parents: list[argparse.ArgumentParser]) -> None:
    about = "start a run of the image in ECR, its application brought up to date first"
    parser = commands.add_parser(
        "submit",
        parents=[*parents, aws_arguments()],
        help=about,
        description=about,
        epilog="Arguments behind `--` go to the job.",
    )
    parser.add_argument("--up", action="store_true", help="do `up` and `push` first")
    parser.add_argument(
        "--upload-main",
        type=Path,
        metavar="FILE",
        help="upload this main file to S3 and run it instead of the image's own",
    )
    parser.add_argument("--budget", type=_amount, metavar="AMOUNT", help="refuse if the worst case costs more")
    parser.add_argument(
        "--wait", action="store_true", help="stay to the end: states, the driver's lines, then what it cost"
    )
    parser.add_argument(
        "--wait-minutes",
        type=_minutes,
        metavar="M",
        help="stay so long at most (default: the queue's and the run's own time-out and a bit)",
    )
    parser.add_argument("--verbose", action="store_true", help="with --wait, show Spark's own log too")
    parser.add_argument(
        "--detach",
        action="store_true",
        help="leave the run alone when this command ends early, instead of cancelling it",
    )
    parser.add_argument("--dry-run", action="store_true", help="print what would be done, and the input of the call")
    parser.add_argument("--json", action="store_true", help="print the submission as JSON")
    add_money(parser)
    parser.set_defaults(command=_submit)


def _amount(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and value >= 0):
        raise argparse.ArgumentTypeError(f"{text} is no amount of money")
    return value


def _minutes(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"{text} is no number of minutes")
    return value


def _submit(arguments: argparse.Namespace) -> int:
    with listening() if arguments.wait else nullcontext():  # the run must not outlive this command unseen
        return _submit_and_stay(arguments)


def _submit_and_stay(arguments: argparse.Namespace) -> int:
    from deploy.submit import Wanted, submit

    context = connect(arguments)
    job_arguments(context.site, arguments.extra)
    photos = count_photos(context, arguments.photos, arguments.extra)
    money = money_of(context.site, context.target, arguments, photos)
    check(money, arguments.budget)
    if not context.target.ends_runs and arguments.budget is not None and (not arguments.wait or arguments.detach):
        raise RefusedError(
            "--budget: nothing ends a run on EKS at its time-out but `submit --wait` without --detach: add or remove "
            "those"
        )
    wanted = Wanted(extra=arguments.extra, main_file=arguments.upload_main, photos=photos)
    for line in money_lines(money):
        context.say(line)
    if arguments.dry_run:
        return _dry_run(context, wanted, up=arguments.up)
    if arguments.up:
        from deploy.docker_engine import DockerEngine
        from deploy.ensure import bring_up

        bring_up(context, DockerEngine)
        if photos is None:  # in a bucket that was not there yet
            wanted = replace(wanted, photos=count_photos(context, None, arguments.extra))
    submission = submit(context, wanted)
    context.say(
        f"run {submission.run} on {context.target.place} {submission.place}, image {submission.tag} "
        f"({submission.digest})"
    )
    if arguments.wait:
        submission = _stay(context, submission, arguments)
    print(json.dumps(asdict(submission), indent=1) if arguments.json else submission.run)
    return 0


def _dry_run(context: Context, wanted: Wanted, *, up: bool) -> int:
    from deploy.preview import preview

    request = preview(context, wanted, up=up)
    if request:
        print(json.dumps(request, indent=1))
    return 0


def _stay(context: Context, submission: Submission, arguments: argparse.Namespace) -> Submission:
    from deploy.watch import Watch, ask_person, watch

    if context.site.logs is None:
        context.say("the specification has no `logs`, so the driver's lines are not shown")
    seconds = patience(context.site.spec, context.target, arguments.wait_minutes)
    ended = watch(
        Watch(context, submission, verbose=arguments.verbose), seconds=seconds, detach=arguments.detach, ask=ask_person
    )
    if context.target is SERVERLESS:
        _say_cost(context, ended, arguments)
    return ended


def _say_cost(context: Context, ended: Submission, arguments: argparse.Namespace) -> None:
    """A run that went well has gone well, whether or not its bill can be had."""
    try:
        for line in _cost_lines(_cost_facts(context, ended, arguments)):
            context.say(line)
    except DeployError as error:
        context.say(f"{error}; `orchard-deploy cost --run {ended.run}` asks again")


def _add_status(commands: Commands, parents: list[argparse.ArgumentParser]) -> None:
    about = "what exists, what differs from the specification, and how far the runs are"
    parser = commands.add_parser("status", parents=[*parents, aws_arguments()], help=about, description=about)
    parser.add_argument("--json", action="store_true", help="print the same as JSON")
    parser.set_defaults(command=_status)


def _status(arguments: argparse.Namespace) -> int:
    from deploy.status import status_facts, status_lines

    context = connect(arguments)
    facts = status_facts(context)
    print(*([json.dumps(facts, indent=1)] if arguments.json else status_lines(facts)), sep="\n")
    return 0


def _add_logs(commands: Commands, parents: list[argparse.ArgumentParser]) -> None:
    about = "the logs of a run: standard output and error of driver or executors"
    parser = commands.add_parser("logs", parents=[*parents, aws_arguments()], help=about, description=about)
    _add_run(parser)
    parser.add_argument("--executors", action="store_true", help="of the executors instead of the driver")
    parser.add_argument("--stream", choices=("stdout", "stderr"), help="only this one")
    parser.add_argument("--attempt", type=int, metavar="N", help="of this attempt (default: the last one)")
    parser.add_argument("--follow", action="store_true", help="stay until the run is over")
    parser.set_defaults(command=_logs)


def _logs(arguments: argparse.Namespace) -> int:
    from deploy.following import follow_logs, print_line
    from deploy.logs import Choice

    context = connect(arguments)
    streams = (arguments.stream,) if arguments.stream else ("stdout", "stderr")
    every = arguments.follow and not arguments.attempt
    choice = Choice(executors=arguments.executors, streams=streams, attempt=arguments.attempt, every_attempt=every)
    follow_logs(context, _chosen(context, arguments), choice, follow=arguments.follow, show=print_line)
    return 0


def _add_cost(commands: Commands, parents: list[argparse.ArgumentParser]) -> None:
    about = "what a run cost: what EMR Serverless billed, times the prices"
    parser = commands.add_parser("cost", parents=[*parents, aws_arguments(target=False)], help=about, description=about)
    _add_run(parser)
    parser.add_argument(
        "--photos", type=int, metavar="N", help="photos that it featurized (default: by the report in its output)"
    )
    parser.add_argument("--json", action="store_true", help="print the same as JSON")
    add_prices(parser)
    parser.set_defaults(command=_cost, target=SERVERLESS.name)


def _cost(arguments: argparse.Namespace) -> int:
    context = connect(arguments)
    facts = _cost_facts(context, _chosen(context, arguments), arguments, photos=arguments.photos)
    print(*([json.dumps(facts, indent=1)] if arguments.json else _cost_lines(facts)), sep="\n")
    return 0


def _cost_facts(
    context: Context, submission: Submission, arguments: argparse.Namespace, *, photos: int | None = None
) -> dict[str, Any]:
    from deploy.bill import bill_facts

    prices = load_prices(
        arguments.prices, region=context.site.account.region, architecture=context.site.spec.architecture
    )
    return bill_facts(context, submission, prices, photos=photos, wait=True)


def _cost_lines(facts: dict[str, Any]) -> list[str]:
    used = facts["utilization"]
    what = "billed" if facts["billed"] else "used so far; the bill is not there yet"
    lines = [
        f"run {facts['run']}: {facts['amount']:.4f} {facts['currency']} ({what}): {used['cpu']:g} vCPU-hours, "
        f"{used['memory']:g} GB-hours, {used['storage']:g} GB-hours of disk"
    ]
    if facts["per_1000_photos"] is not None:
        lines.append(_per_1000_photos(facts))
    return [*lines, f"prices: {facts['prices']}"]


def _per_1000_photos(facts: dict[str, Any]) -> str:
    figure = f"{facts['per_1000_photos']:.4f} {facts['currency']} per 1,000 photos"
    if facts["photos_exact"]:
        return f"{figure} ({facts['photos']:,} photos featurized)"
    reason = "it took so many of the input" if facts["photos_from"] == "input" else "a part was rejected or done before"
    return f"at least {figure} (at most {facts['photos']:,} photos featurized: {reason})"


def _add_cancel(commands: Commands, parents: list[argparse.ArgumentParser]) -> None:
    about = "end a run, and wait until it is over"
    parser = commands.add_parser("cancel", parents=[*parents, aws_arguments()], help=about, description=about)
    _add_run(parser)
    parser.add_argument("--dry-run", action="store_true", help="say which run it would be")
    parser.set_defaults(command=_cancel)


def _cancel(arguments: argparse.Namespace) -> int:
    from deploy.watch import Watch

    context = connect(arguments)
    submission = _chosen(context, arguments)
    if arguments.dry_run:
        print(f"cancel run {submission.run}")
        return 0
    watched = Watch(context, submission, show=lambda source, line: None, patience=0)
    run = watched.cancel()
    watched.note(run)
    print(f"run {run.id}: {run.state}")
    return 0


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run", metavar="ID", help="the run (default: the last one)")


def _chosen(context: Context, arguments: argparse.Namespace) -> Submission:
    from deploy.choose import choose_run
    from deploy.verify import verified

    return verified(context, choose_run(context, arguments.run))
