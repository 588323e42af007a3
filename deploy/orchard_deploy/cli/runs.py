"""The commands about runs: submit, status, logs, cost, cancel."""

import argparse
import json
from contextlib import nullcontext

from orchard_deploy import emr
from orchard_deploy.cli.parser import connect, report
from orchard_deploy.context import Context
from orchard_deploy.cost.money import bill_facts, bill_lines, check_budget, count_photos, money_facts, money_lines
from orchard_deploy.emr import Run
from orchard_deploy.errors import DeployError
from orchard_deploy.runs.logs import Choice
from orchard_deploy.runs.payloads import job_arguments
from orchard_deploy.runs.status import choose_run, status_facts, status_lines
from orchard_deploy.runs.stay import stay
from orchard_deploy.runs.submit import look_ahead, submit
from orchard_deploy.runs.watch import Watch, longest_wait, show_logs, shown_by
from orchard_deploy.terminal import listening


def do_submit(arguments: argparse.Namespace) -> None:
    """Start a run, and stay with it if so asked."""
    with listening() if arguments.wait else nullcontext():  # the run must not outlive this command unseen
        context = connect(arguments)
        job_arguments(context.site, arguments.extra)
        photos = count_photos(context, arguments.photos, arguments.extra)
        money = money_facts(context.site, context.target, arguments.prices, photos)
        ends = context.target.has_application or (arguments.wait and not arguments.detach)
        check_budget(money, arguments.budget, ends=ends)
        for line in money_lines(money):
            context.say(line)
        if arguments.dry_run:
            request, same = look_ahead(context, extra=arguments.extra, photos=photos)
            if same is None:
                print(json.dumps(request, indent=1))
            return
        run = submit(context, extra=arguments.extra, photos=photos)
        image = f"{run.tags.get(emr.IMAGE_TAG)} ({run.tags.get(emr.DIGEST_TAG)})"
        context.say(f"run {run.id} on {context.target.place} {run.place}, image {image}")
        if arguments.wait:
            run = _stay(context, run, arguments)
        report(arguments, run.facts(context.site.account.mask), run.id)


def _stay(context: Context, run: Run, arguments: argparse.Namespace) -> Run:
    if context.site.logs is None:
        context.say("the specification has no `logs`, so the driver's lines are not shown")
    seconds = (arguments.wait_minutes or 0) * 60 or longest_wait(context.site.spec, context.target)
    ended = stay(shown_by(context, run, verbose=arguments.verbose), seconds=seconds, detach=arguments.detach)
    if context.target.has_application:
        try:
            for line in bill_lines(bill_facts(context, ended, arguments.prices)):
                context.say(line)
        except DeployError as error:  # a run that went well has gone well, whether or not its bill can be had
            context.say(f"{error}; `orchard-deploy cost --run {ended.id}` asks again")
    return ended


def do_status(arguments: argparse.Namespace) -> None:
    """Show what exists, and how far the runs are."""
    facts = status_facts(connect(arguments))
    report(arguments, facts, *status_lines(facts))


def do_logs(arguments: argparse.Namespace) -> None:
    """Show a run's logs."""
    context = connect(arguments)
    streams = (arguments.stream,) if arguments.stream else ("stdout", "stderr")
    every = arguments.follow and not arguments.attempt
    choice = Choice(executors=arguments.executors, streams=streams, attempt=arguments.attempt, every_attempt=every)
    show_logs(context, choose_run(context, arguments.run), choice, follow=arguments.follow)


def do_cost(arguments: argparse.Namespace) -> None:
    """Show what a run cost."""
    context = connect(arguments)
    facts = bill_facts(context, choose_run(context, arguments.run), arguments.prices, photos=arguments.photos)
    report(arguments, facts, *bill_lines(facts))


def do_cancel(arguments: argparse.Namespace) -> None:
    """End a run, and wait until it is over."""
    context = connect(arguments)
    run = choose_run(context, arguments.run)
    if arguments.dry_run:
        print(f"cancel run {run.id}")
    else:
        print(f"run {run.id}: {Watch(context, run).cancel().state}")
