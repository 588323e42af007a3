"""Bringing tables up to date on Spark: what a run and a prediction have in common.

There is no mode for continuing and none for additions: what the tables do not hold yet is done, whatever the reason.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from orchard.console import Reporter
from orchard.errors import InputError, OrchardError, OutputError
from orchard.features.rows import FEATURE_ROWS, Rows
from orchard.features.task import FeaturizeTask, Network, TaskReport
from orchard.network.memory import check_memory, free_memory
from orchard.photos.photo import partition_bounds
from orchard.plan import Survey, UpdatePlan, default_partitions, task_photos
from orchard.spark.session import OpenContext, is_local
from orchard.stopwatch import Stopwatch
from orchard.storage.stores import LocalStore
from orchard.tables.parquet import DataFile

if TYPE_CHECKING:
    from pyspark import SparkContext

# Seconds of work that a kill can cost; tests commit more often.
COMMIT_SECONDS = float(os.environ.get("ORCHARD_COMMIT_SECONDS", "30"))

AnyPlan = UpdatePlan[Any]
PlanOf = TypeVar("PlanOf", bound=AnyPlan)


@dataclass
class Update(ABC, Generic[PlanOf]):
    """An update whose Spark context is open; `slow_imports` are what it will need, imported while Spark starts."""

    slow_imports: ClassVar[tuple[str, ...]] = ()

    plan: PlanOf
    found: Survey
    context: SparkContext
    background: ThreadPoolExecutor
    watch: Stopwatch
    reporter: Reporter

    @abstractmethod
    def finish(self) -> dict[str, Any]:
        """Change the tables and write the report; returns its content."""

    def change_tables(self, rows: Rows = FEATURE_ROWS) -> list[TaskReport]:
        """Claim the tables, remove the rows of what is gone, and add those of what is new; what the tasks did."""
        plan, changes = self.plan, self.found.changes
        plan.output.claim(plan.settings, anew=plan.anew)
        plan.output.remove(changes.stale_features, changes.stale_rejected)
        return self._featurize(rows) if changes.todo else []

    def _featurize(self, rows: Rows) -> list[TaskReport]:
        from orchard.spark.tasks import run_tasks

        plan, todo = self.plan, self.found.changes.todo
        self.reporter.log(f"{len(todo):,} photos to featurize, {self.found.changes.kept:,} are up to date")
        task = FeaturizeTask(plan.source, network_of(plan), plan.output.store, rows)
        slots, each = self.context.defaultParallelism, task_photos(plan.backbone)
        count = plan.options.partitions or default_partitions(len(todo), slots, each)
        work = [todo[start:stop] for start, stop in partition_bounds(len(todo), count)]
        arriving = run_tasks(self.context, task, work)
        commits = Commits(plan, self.found.photos)
        with self.watch("featurize"), self.reporter.progress(len(todo)) as show, contextlib.closing(arriving), commits:
            for reports in arriving:
                commits.add(reports)
                show(sum(report.photos for report in commits.reports))
        return commits.reports


def bring_up_to_date(
    kind: type[Update[PlanOf]], plan: PlanOf, watch: Stopwatch, reporter: Reporter, open_context: OpenContext
) -> dict[str, Any]:
    """Bring the output up to date, in the Spark context that is opened if there is anything to do; returns the report.

    Raises:
        OrchardError: see `orchard.errors`; what was committed until then is kept, and the next call continues with it.
    """
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(4) as background:  # the stack outlives its threads

        def start() -> SparkContext:
            with watch("start"):
                context = stack.enter_context(open_context(plan.options.master, log=reporter.log))
            check_slots(plan, context)
            from orchard.spark.tasks import warm_up

            background.submit(warm_up, context, network_of(plan).load)
            return context

        # Into an empty output there is work to do whatever is listed.
        starting = background.submit(start) if plan.anew or not plan.output.results.exists else None
        with watch("list"):
            found = plan.survey()
        if (facts := plan.up_to_date(found)) is not None:
            reporter.log(f"{plan.options.output} is up to date: {found.photos:,} photos, nothing to do")
            return facts
        starting = starting or background.submit(start)
        for module in kind.slow_imports:
            background.submit(importlib.import_module, module)
        # Until the context is there one thread alone may import pyspark: another would find it half imported.
        wait([starting])
        from orchard.spark.tasks import explain_spark_errors

        with explain_spark_errors():
            return kind(plan, found, starting.result(), background, watch, reporter).finish()


def check_slots(plan: AnyPlan, context: SparkContext) -> None:
    """Raise `MachineError` where the networks of all task slots would not fit into this machine, if they run on it.

    An executor finds out by itself, at its first task.
    """
    if is_local(str(context.master)):
        check_memory(plan.backbone, plan.options.runtime, context.defaultParallelism, free_memory())


def network_of(plan: AnyPlan) -> Network:
    """The network as the tasks load it."""
    return Network(plan.backbone, plan.options.runtime, plan.weights)


@dataclass
class Commits(contextlib.AbstractContextManager["Commits"]):
    """Commits what tasks report, every `COMMIT_SECONDS` and at the end, however it comes; `listed` photos in all."""

    plan: AnyPlan
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
            plan.output.results.append(files)
        plan.output.add_rejections([rejection for report in pending for rejection in report.rejections])
        self._last = time.monotonic()
        if plan.output.rejected.rows > plan.options.max_rejected * self.listed:
            raise too_many_rejected(plan, f"more than --max-rejected {plan.options.max_rejected:g} allows")

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        # After an error, too; it says more than that its work could not be committed.
        with contextlib.suppress(OrchardError) if error else contextlib.nullcontext():
            self.commit()


def check_written(plan: AnyPlan, files: Sequence[DataFile]) -> None:
    """Raise `OutputError` unless the files are where the driver sees them: a worker may write to a disk of its own."""
    store = plan.output.store
    missing = [file.key for file in files if isinstance(store, LocalStore) and store.size(file.key) != file.size]
    if missing:
        raise OutputError(
            f"--output {plan.options.output}: {len(missing)} files that tasks wrote are not there ({missing[0]}): "
            "name a folder that every machine of the cluster sees at the same path, or s3://"
        )


def too_many_rejected(plan: AnyPlan, what: str) -> InputError:
    """The error that ends a run: what is wrong, how many photos were rejected by reason, and the first of them."""
    rejections = plan.output.rejections()
    reasons = Counter(rejection.reason for rejection in rejections).most_common()
    counts = ", ".join(f"{count} {reason}" for reason, count in reasons)
    first = f"; the first is {rejections[0].path} ({rejections[0].detail})" if rejections else ""
    return InputError(f"--input {plan.options.input}: {what}: {counts}{first}")
