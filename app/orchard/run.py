"""One run, readable top-down: list, featurize, reduce, report. It brings the output up to date with the input.

There is no mode for continuing and none for additions: what the tables do not hold yet is done, whatever the reason.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orchard.console import Reporter
from orchard.errors import InputError, OrchardError, OutputError
from orchard.features.task import FeaturizeTask, Network, TaskReport
from orchard.options import JobOptions
from orchard.pca.model import model_files, model_number, write_model
from orchard.pca.projection import Projection
from orchard.photos.photo import partition_bounds
from orchard.plan import Plan, Survey, default_partitions, make_plan, survey, up_to_date
from orchard.spark.session import OpenContext, open_context, spark_facts
from orchard.stopwatch import Stopwatch
from orchard.storage.stores import LocalStore
from orchard.tables.output import MODEL
from orchard.tables.parquet import DataFile

if TYPE_CHECKING:
    from pyspark import SparkContext

# Seconds of work that a kill can cost; tests commit more often.
COMMIT_SECONDS = float(os.environ.get("ORCHARD_COMMIT_SECONDS", "30"))


def run(options: JobOptions, reporter: Reporter, *, open_context: OpenContext = open_context) -> dict[str, Any]:
    """Bring the output up to date, in the Spark context that is opened; returns the content of its `report.json`.

    Raises:
        OrchardError: see `orchard.errors`; what was committed until then is kept, and the next call continues with it.
    """
    watch, plan = Stopwatch(), make_plan(options)
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(4) as background:  # the stack outlives its threads

        def start() -> SparkContext:
            with watch("start"):
                context = stack.enter_context(open_context(options.master, log=reporter.log))
            from orchard.spark.tasks import warm_up

            background.submit(warm_up, context, network_of(plan).load)
            return context

        # Into an empty output there is work to do whatever is listed.
        starting = background.submit(start) if plan.anew or not plan.output.features.exists else None
        with watch("list"):
            found = survey(plan)
        if (facts := up_to_date(plan, found)) is not None:
            reporter.log(f"{options.output} is up to date: {found.photos:,} photos, nothing to do")
            return facts
        starting = starting or background.submit(start)
        background.submit(importlib.import_module, "orchard.report.writing")
        # Until the context is there one thread alone may import pyspark: another would find it half imported.
        wait([starting])
        from orchard.spark.tasks import explain_spark_errors

        with explain_spark_errors():
            return Run(plan, found, starting.result(), background, watch, reporter).finish()


def network_of(plan: Plan) -> Network:
    """The network as the tasks load it."""
    return Network(plan.backbone, plan.options.runtime, plan.weights)


@dataclass
class Run:
    """A run whose Spark context is open. Its steps, in order, are those of `finish`."""

    plan: Plan
    found: Survey
    context: SparkContext
    background: ThreadPoolExecutor
    watch: Stopwatch
    reporter: Reporter

    def finish(self) -> dict[str, Any]:
        """Change the tables, fit or keep the model, and write the report."""
        from orchard.report.contents import read_contents
        from orchard.report.writing import make_facts, write_report

        plan, found, output = self.plan, self.found, self.plan.output
        output.claim(plan.settings, anew=plan.anew)
        output.remove(found.changes.stale_features, found.changes.stale_rejected)
        reports = self._featurize() if found.changes.todo else []
        if not output.features.rows:
            raise too_many_rejected(plan, "no photo could be featurized")
        contents = self.background.submit(read_contents, output)
        fitted = self._reduce()
        output.clean()
        there, spark = contents.result(), spark_facts(self.context)
        facts = make_facts(plan, found, reports, fitted, there, spark, self.watch.total())
        return write_report(output, facts, there, self.watch)

    def _featurize(self) -> list[TaskReport]:
        from orchard.spark.tasks import run_tasks

        plan, todo = self.plan, self.found.changes.todo
        self.reporter.log(f"{len(todo):,} photos to featurize, {self.found.changes.kept:,} are up to date")
        task = FeaturizeTask(plan.source, network_of(plan), plan.output.store)
        count = plan.options.partitions or default_partitions(len(todo), self.context.defaultParallelism)
        work = [todo[start:stop] for start, stop in partition_bounds(len(todo), count)]
        arriving = run_tasks(self.context, task, work)
        commits = Commits(plan, self.found.photos)
        with self.watch("featurize"), self.reporter.progress(len(todo)) as show, contextlib.closing(arriving), commits:
            for reports in arriving:
                commits.add(reports)
                show(sum(report.photos for report in commits.reports))
        return commits.reports

    def _reduce(self) -> Projection:
        from orchard.pca.job import fit

        plan, output, wanted = self.plan, self.plan.output, self.plan.options
        if plan.kept is not None:
            if output.components.model == model_number(plan.kept):
                self._transform_missing(plan.kept)
            else:
                self._transform_all(plan.kept, model_number(plan.kept))
            return plan.kept
        with self.watch("fit"):
            size = plan.backbone.feature_size
            fitted = fit(self.context, output.store, output.features.files, size, wanted.variance, wanted.components)
        self._transform_all(fitted, model_number(fitted))
        with self.watch("model"):
            write_model(output.store, MODEL, model_files(fitted, spark_version=self.context.version))
        return fitted

    def _transform_all(self, fitted: Projection, number: int) -> None:
        output = self.plan.output
        output.components.replace(self._transform(output.features.files, fitted), number)

    def _transform_missing(self, kept: Projection) -> None:
        """Reduce the photos that have no components yet."""
        output, paths = self.plan.output, self.plan.output.features.paths()
        there = set(output.components.read("path").column("path").to_pylist())
        missing = frozenset(path for found in paths.values() for path in found if path not in there)
        files = [file for file, found in paths.items() if not missing.isdisjoint(found)]
        if files:
            output.components.append(self._transform(files, kept, missing), model=output.components.model)

    def _transform(
        self, files: list[DataFile], fitted: Projection, only: frozenset[str] | None = None
    ) -> list[DataFile]:
        from orchard.pca.job import transform

        with self.watch("transform"):
            return transform(self.context, self.plan.output.store, files, fitted, only)


@dataclass
class Commits(contextlib.AbstractContextManager["Commits"]):
    """Commits what tasks report, every `COMMIT_SECONDS` and at the end, however it comes; `listed` photos in all."""

    plan: Plan
    listed: int
    reports: list[TaskReport] = field(default_factory=list)
    _pending: list[TaskReport] = field(default_factory=list)
    _last: float = field(default_factory=time.monotonic)

    def add(self, reports: list[TaskReport]) -> None:
        """Take reports, and commit them when it is time.

        Raises:
            InputError: more photos were rejected than is allowed, or a task gave up.
            OutputError: a commit failed, or a task could not write.
        """
        self.reports += reports
        self._pending += reports
        failures = [report.failure for report in reports if report.failure]
        if failures or time.monotonic() - self._last >= COMMIT_SECONDS:
            self.commit()
        if failures:
            raise failures[0]

    def commit(self) -> None:
        """Commit what is pending."""
        plan, pending, self._pending = self.plan, self._pending, []
        files = [file for report in pending for file in report.files]
        check_written(plan, files)
        if files:
            plan.output.features.append(files)
        plan.output.add_rejections([rejection for report in pending for rejection in report.rejections])
        self._last = time.monotonic()
        if plan.output.rejected.rows > plan.options.max_rejected * self.listed:
            raise too_many_rejected(plan, f"more than --max-rejected {plan.options.max_rejected:g} allows")

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        # After an error, too; it says more than that its work could not be committed.
        with contextlib.suppress(OrchardError) if error else contextlib.nullcontext():
            self.commit()


def check_written(plan: Plan, files: Sequence[DataFile]) -> None:
    """Raise `OutputError` unless the files are where the driver sees them: a worker may write to a disk of its own."""
    store = plan.output.store
    missing = [file.key for file in files if isinstance(store, LocalStore) and store.size(file.key) != file.size]
    if missing:
        raise OutputError(
            f"--output {plan.options.output}: {len(missing)} files that tasks wrote are not there ({missing[0]}): "
            "name a folder that every machine of the cluster sees at the same path, or s3://"
        )


def too_many_rejected(plan: Plan, what: str) -> InputError:
    """The error that ends a run: what is wrong, how many photos were rejected by reason, and the first of them."""
    rejections = plan.output.rejections()
    reasons = Counter(rejection.reason for rejection in rejections).most_common()
    counts = ", ".join(f"{count} {reason}" for reason, count in reasons)
    first = f"; the first is {rejections[0].path} ({rejections[0].detail})" if rejections else ""
    return InputError(f"--input {plan.options.input}: {what}: {counts}{first}")
