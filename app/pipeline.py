"""One run, from listing to report, arranged so that what can pass while the JVM starts or stops does."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.console import Reporter
from app.options import JobOptions
from app.output import check_output, open_output
from app.plan import Plan, list_photos, make_plan
from app.session import OpenSession, explain_spark_errors, open_session
from app.stopwatch import Stopwatch

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from app.steps import Result


def describe(options: JobOptions) -> dict[str, Any]:
    """What `run` would do, without starting Spark or writing anything."""
    from app import manifest

    plan = make_plan(options)
    photos = list_photos(plan)
    check_output(options.output, input_uri=options.input, overwrite=options.overwrite)
    bounds = manifest.partition_bounds(len(photos), options.partitions)
    return {
        "input": options.input,
        "photos": len(photos),
        "bytes": sum(photo.size for photo in photos),
        "varieties": len({photo.label for photo in photos}),
        "partitions": [[index, stop - start] for index, (start, stop) in enumerate(bounds)],
        "backbone": plan.backbone.name,
        "runtime": options.runtime,
        "weights": plan.weights.folder,
        "output": options.output,
    }


def run(options: JobOptions, reporter: Reporter, *, session: OpenSession = open_session) -> dict[str, Any]:
    """Do one whole run, in a session that `session` opens; returns the content of its `report.json`.

    Raises:
        OrchardError: see `app.errors`; an earlier output is then still what it was.
    """
    watch, plan = Stopwatch(), make_plan(options)
    with open_output(options.output, input_uri=options.input, overwrite=options.overwrite) as stage:
        result = _compute(plan, stage, watch, reporter, session)
        from app.steps import write_report

        return write_report(result, stage, plan, watch)


def _compute(plan: Plan, stage: Path, watch: Stopwatch, reporter: Reporter, session: OpenSession) -> Result:
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(2) as background:
        starting = background.submit(_start, stack, plan, watch, reporter, session)
        # While the JVM starts: what the steps import, the listing, and what the report will import.
        from app.render import preload
        from app.steps import Job

        with watch("list"):
            photos = list_photos(plan)
        background.submit(preload)
        with explain_spark_errors():
            return Job(starting.result(), plan, stage, background, watch, reporter).finish(photos)


def _start(stack: contextlib.ExitStack, plan: Plan, watch: Stopwatch, reporter: Reporter, session: OpenSession) -> SparkSession:
    with watch("start"):
        return stack.enter_context(session(plan.options.master, say=reporter.say))
