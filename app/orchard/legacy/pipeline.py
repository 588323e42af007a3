"""One run, from listing to report, arranged so that what can pass while the JVM starts or stops does."""

from __future__ import annotations

import contextlib
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from orchard.console import Reporter
from orchard.legacy.output import Output, check_output, open_output
from orchard.legacy.plan import Plan, make_plan
from orchard.options import JobOptions
from orchard.report.stopwatch import Stopwatch
from orchard.spark.session import OpenSession, explain_spark_errors, open_session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from orchard.legacy.extension import Extension
    from orchard.legacy.orders import Request
    from orchard.legacy.steps import Result


def describe(options: JobOptions) -> dict[str, Any]:
    """What `run` would do, without starting Spark or writing anything."""
    from orchard.legacy.orders import make_request
    from orchard.photos import manifest

    plan = make_plan(options)
    output = check_output(options)
    request = make_request(plan, output)
    bounds = manifest.partition_bounds(len(request.photos), request.partitions)
    return {
        "input": options.input,
        "photos": len(request.photos),
        "bytes": sum(photo.size for photo in request.photos),
        "varieties": len({photo.label for photo in request.photos}),
        "partitions": [[index, stop - start] for index, (start, stop) in enumerate(bounds)],
        **({"done": str(output.unfinished)} if output.unfinished else {}),
        **({"since last": request.extension.facts(len(request.photos))} if request.extension else {}),
        "backbone": plan.backbone.name,
        "runtime": options.runtime,
        "weights": plan.weights.folder,
        "output": options.output,
    }


def run(options: JobOptions, reporter: Reporter, *, session: OpenSession = open_session) -> dict[str, Any]:
    """Do one whole run, in a session that `session` opens; returns the content of its `report.json`.

    Raises:
        OrchardError: see `orchard.errors`; an earlier output is then still what it was.
    """
    watch, plan = Stopwatch(), make_plan(options)
    with open_output(options) as output:
        if (facts := _done_already(plan, output, reporter)) is not None:
            return facts
        # Where there may be nothing to do, that is found out before a JVM is started.
        request = _request(plan, output, watch) if options.since_last and output.finished else None
        if request and request.extension and not request.photos and not options.refit:
            return _nothing_new(request.extension, reporter)
        result = _compute(plan, output, request, watch, reporter, session)
        from orchard.legacy.steps import write_report

        facts = write_report(result, output, plan, watch)
        output.publish({**result.features, **result.components})
        return facts


def _done_already(plan: Plan, output: Output, reporter: Reporter) -> dict[str, Any] | None:
    """The report of a finished run that is asked for again, by a scheduler that cannot know, say; None where there is work to do."""
    if not (output.finished and plan.options.resume) or output.unfinished or plan.options.since_last:
        return None
    from orchard.legacy.identity import check_same, identify
    from orchard.legacy.orders import check_unchanged

    facts: dict[str, Any] = json.loads(output.store.read("report.json"))
    check_same(identify(plan, None), facts.get("identity", {}), f"--resume: the finished run in {plan.options.output}")
    check_unchanged(plan, output)
    reporter.say(f"{plan.options.output} is finished, since {facts['created']}: nothing to do")
    return facts


def _nothing_new(extension: Extension, reporter: Reporter) -> dict[str, Any]:
    facts = extension.base.facts
    gone = f", {extension.removed:,} of them are gone from the input but kept here" if extension.removed else ""
    reporter.say(f"nothing new since {facts['created']}: {extension.base.manifest.num_rows:,} photos are there{gone}")
    return dict(facts)


def _request(plan: Plan, output: Output, watch: Stopwatch) -> Request:
    from orchard.legacy.orders import make_request

    with watch("list"):
        return make_request(plan, output)


def _compute(
    plan: Plan, output: Output, request: Request | None, watch: Stopwatch, reporter: Reporter, session: OpenSession
) -> Result:
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(2) as background:
        starting = background.submit(_start, stack, plan, watch, reporter, session)
        # While the JVM starts: what the steps import, the listing, and what the report will import.
        from orchard.legacy.landing import check_landing
        from orchard.legacy.steps import Job
        from orchard.report.render import preload

        request = request or _request(plan, output, watch)
        background.submit(preload)
        with explain_spark_errors():
            spark = starting.result()
            check_landing(spark, output.store)
            order = request.begin(spark.sparkContext.defaultParallelism)
            return Job(spark, plan, output, request.witnesses, background, watch, reporter).finish(order)


def _start(
    stack: contextlib.ExitStack, plan: Plan, watch: Stopwatch, reporter: Reporter, session: OpenSession
) -> SparkSession:
    with watch("start"):
        return stack.enter_context(session(plan.options.master, say=reporter.say))
