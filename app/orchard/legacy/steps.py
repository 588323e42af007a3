"""The steps of a run on Spark, and the report at its end: what is computed, in which order, and where it goes."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from orchard.console import Reporter
from orchard.errors import InputError, OutputError
from orchard.features import job as features
from orchard.features.job import Network, TaskReport
from orchard.features.progress import Progress
from orchard.legacy import rewriting
from orchard.legacy.chunks import Chunk
from orchard.legacy.landing import landed, landing, numbered, part_number
from orchard.legacy.ledger import Commit
from orchard.legacy.orders import Order
from orchard.legacy.output import Output
from orchard.legacy.plan import Plan
from orchard.options import JobOptions
from orchard.pca import job as reduction
from orchard.pca.model import model_files, read_model
from orchard.pca.projection import Projection
from orchard.photos.duplicates import Duplicates, count_duplicates
from orchard.photos.source import Photo
from orchard.report.facts import RunFacts, to_json
from orchard.report.render import draw_page
from orchard.report.stopwatch import Stopwatch
from orchard.spark.session import SparkFacts, spark_facts
from orchard.storage.stores import Stored
from orchard.tables import parquet
from orchard.tables import reading as tables

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class Result:
    """What a run computed, and where it happened.

    Attributes:
        commits: what each chunk gave, in order, those of earlier sessions included.
        tasks: one report for each partition of the output, those of earlier runs that it extends included.
        features, components: where the files of these tables go in the output: final key -> key now.
    """

    order: Order
    commits: Sequence[Commit]
    tasks: Sequence[TaskReport]
    fitted: Projection
    duplicates: Duplicates
    features: Mapping[str, str]
    components: Mapping[str, str]
    spark: SparkFacts


@dataclass(frozen=True)
class Job:
    """A run whose session is open. The steps, in order, are those of `finish`."""

    spark: SparkSession
    plan: Plan
    output: Output
    witnesses: Sequence[Photo]
    background: Executor
    watch: Stopwatch
    reporter: Reporter

    def finish(self, order: Order) -> Result:
        """Featurize, reduce and save; everything but the report."""
        commits = self._featurize(order)
        tasks = [*(order.extension.tasks() if order.extension else []), *tasks_of(commits)]
        check_all(tasks, order.manifest.num_rows, self.plan.options)
        rejections = [rejection for task in tasks for rejection in task.rejections]
        self.output.stage.write(parquet.one_file("rejected", parquet.to_bytes(tables.rejected_table(rejections))))
        before = self._kept("features", order)
        new = _union(
            numbered("features", [file.key for file in commit.files], commit.tasks[0].partition) for commit in commits
        )
        vectors = {**before, **new}
        counting = self.background.submit(
            count_duplicates, tables.read_hashes(self.output.store, list(vectors.values()))
        )
        fitted, components = self._reduce(order, before, new, commits[0].slots if commits else None)
        return Result(order, commits, tasks, fitted, counting.result(), vectors, components, spark_facts(self.spark))

    def _kept(self, table: str, order: Order) -> dict[str, str]:
        """The files of a table that stay of the output that is extended, where they go and where they are."""
        if not order.extension:
            return {}
        with self.watch("rewrite"):
            return rewriting.without(self.spark, self.output.stage, table, order.extension.rewritten)

    def _featurize(self, order: Order) -> list[Commit]:
        """Do the chunks that are not committed yet, one after the other; returns what each of all chunks gave."""
        spark, commits = self.spark, dict(order.commits)
        network = Network(self.plan.backbone, self.plan.options.runtime, self.plan.weights)
        self.reporter.say(_announcement(order, spark))
        warming = self.background.submit(features.warm_up, spark, network, spark.sparkContext.defaultParallelism)
        progress = Progress(spark, order.photos, sum(commit.photos for commit in commits.values()), len(order.chunks))
        with self.watch("featurize"), self.reporter.counting(progress):
            for place, chunk in enumerate(order.chunks, 1):
                if chunk.number not in commits:
                    progress.begin(place)
                    self.output.stage.commit(commit := self._do(chunk, order, network))
                    commits[chunk.number] = commit
                    progress.end(chunk.photos)
                    check_rejected(tasks_of(commits.values()), order.photos, self.plan.options)
        warming.result()
        return [commits[chunk.number] for chunk in order.chunks]

    def _do(self, chunk: Chunk, order: Order, network: Network) -> Commit:
        started, stage = time.perf_counter(), self.output.stage
        key = stage.attempt(f"chunks/{chunk.number:06}")
        photos = order.manifest.slice(chunk.start, chunk.photos)
        bounds = [(start - chunk.start, stop - chunk.start) for start, stop in chunk.bounds]
        with landing(self.spark, stage.store, key) as destination:
            tasks = features.featurize(
                self.spark, self.plan.source, network, photos, bounds, destination, self.witnesses
            )
        # Spark writes a file for the first task even if it gave no row; how a run is cut into chunks is not to be seen in the output.
        files = tuple(file for file in landed(stage.store, key) if tasks[part_number(file.key)].featurized)
        check_landed(files, tasks, stage.store.uri)
        return Commit(
            chunk=chunk.number,
            seconds=round(time.perf_counter() - started, 3),
            slots=self.spark.sparkContext.defaultParallelism,
            files=files,
            tasks=tuple(replace(task, partition=chunk.partition + task.partition) for task in tasks),
        )

    def _reduce(
        self, order: Order, before: Mapping[str, str], new: Mapping[str, str], slots: int | None
    ) -> tuple[Projection, dict[str, str]]:
        """Fit features or keep an earlier fit, transform what it is new to, and save it; returns it, and where the components' files go.

        `before` and `new` are files of features, where they go and where they are; `slots` is as in `reduction.fit`.
        """
        if order.extension and not order.extension.refit:
            ratio = np.array(order.extension.base.facts["pca"]["explained_variance_ratio"])
            fitted, files, kept = (
                read_model(self.output.store, "model", ratio),
                [*new.values()],
                self._kept("components", order),
            )
        else:
            files, kept = [*before.values(), *new.values()], {}
            fitted = self._fit(files, slots)
        with self.watch("model"):
            model = model_files(fitted, spark_version=self.spark.version)
            self.output.stage.write({f"model/{path}": content for path, content in model.items()})
        return fitted, {**kept, **self._transform(fitted, files, kept)}

    def _fit(self, files: Sequence[str], slots: int | None) -> Projection:
        options = self.plan.options
        with self.watch("fit"):
            return reduction.fit(
                self.spark,
                self.output.store,
                files,
                feature_size=self.plan.backbone.feature_size,
                slots=slots,
                variance=options.variance,
                components=options.components,
            )

    def _transform(self, fitted: Projection, files: Sequence[str], behind: Collection[str]) -> dict[str, str]:
        """Reduce files of features; where the components' files go, numbered on from those that they stand behind."""
        if not files:
            return {}
        key = self.output.stage.attempt("reduced")
        with self.watch("transform"), landing(self.spark, self.output.store, key) as destination:
            reduction.write_components(self.spark, self.output.store, files, fitted, destination)
        first = max((part_number(final) + 1 for final in behind), default=0)
        return numbered("components", [file.key for file in landed(self.output.store, key)], first)


def write_report(result: Result, output: Output, plan: Plan, watch: Stopwatch) -> dict[str, Any]:
    """Write `report.html` and `report.json`; returns the content of the latter."""
    # The page is drawn before the time it takes is known; `orchard report` draws it again with all of it.
    with watch("report"):
        facts = make_facts(result, plan, watch)
        rejects = [rejection for task in result.tasks for rejection in task.rejections]
        page = draw_page(
            facts,
            plan.source,
            output.store,
            list(result.components.values()),
            manifest=result.order.manifest,
            rejects=rejects,
        )
        output.stage.write({"report.html": page})
    facts = make_facts(result, plan, watch)
    output.stage.write({"report.json": to_json(facts)})
    return facts


def make_facts(result: Result, plan: Plan, watch: Stopwatch) -> dict[str, Any]:
    """The content of `report.json`, as of now."""
    order = result.order
    return RunFacts(
        created=order.run.created,
        identity=order.run.identity,
        options=plan.options,
        labels=count_labels(order.manifest),
        tasks=result.tasks,
        commits=result.commits,
        resumed=len(order.commits),
        extension=order.extension.facts(order.photos) if order.extension else None,
        backbone=plan.backbone,
        projection=result.fitted,
        duplicates=result.duplicates,
        seconds=watch.total(),
        spark=result.spark,
        image=os.environ.get("ORCHARD_IMAGE"),
    ).to_dict()


def count_labels(manifest: pa.Table) -> dict[str, int]:
    """Photos of each variety, in order."""
    return {pair["values"]: pair["counts"] for pair in manifest.column("label").value_counts().to_pylist()}


def tasks_of(commits: Iterable[Commit]) -> list[TaskReport]:
    """The reports of the tasks of some chunks."""
    return [task for commit in commits for task in commit.tasks]


def check_landed(files: Sequence[Stored], tasks: Sequence[TaskReport], uri: str) -> None:
    """Raise `OutputError` unless there is one file of each task that featurized a photo: a worker may write to a disk of its own."""
    there, wanted = [part_number(file.key) for file in files], [task.partition for task in tasks if task.featurized]
    if there != wanted:
        raise OutputError(
            f"--output {uri}: {len(wanted)} tasks wrote features, and {len(there)} of their files are there: name a folder that every "
            "machine of the cluster sees at the same path, or object storage"
        )


def check_rejected(tasks: Sequence[TaskReport], listed: int, options: JobOptions) -> None:
    """Raise `InputError` when more photos were rejected than is allowed of those listed."""
    rejected = sum(len(task.rejections) for task in tasks)
    if rejected > options.max_rejected * listed:
        raise _too_many(tasks, listed, f", more than --max-rejected {options.max_rejected:g} allows", options)


def check_all(tasks: Sequence[TaskReport], listed: int, options: JobOptions) -> None:
    """Raise `InputError` when no photo could be featurized; every photo must be accounted for."""
    featurized, rejected = sum(task.featurized for task in tasks), sum(len(task.rejections) for task in tasks)
    if featurized + rejected != listed:
        raise AssertionError(f"{listed} photos listed, but {featurized} featurized and {rejected} rejected")
    if not featurized:
        raise _too_many(tasks, listed, "", options)
    check_rejected(tasks, listed, options)


def _too_many(tasks: Sequence[TaskReport], listed: int, limit: str, options: JobOptions) -> InputError:
    rejections = [rejection for task in tasks for rejection in task.rejections]
    reasons = ", ".join(
        f"{count} {reason}" for reason, count in Counter(rejection.reason for rejection in rejections).most_common()
    )
    first = f"the first is {rejections[0].path} ({rejections[0].detail})"
    return InputError(
        f"--input {options.input}: {len(rejections)} of {listed} photos rejected{limit}: {reasons}; {first}"
    )


def _announcement(order: Order, spark: SparkSession) -> str:
    partitions = sum(len(chunk.bounds) for chunk in order.chunks)
    chunks = f" in {len(order.chunks)} chunks" if len(order.chunks) > 1 else ""
    done = f", {len(order.commits)} of them done already" if order.commits else ""
    return f"{order.photos:,} photos, {partitions} partitions{chunks}{done}, Spark {spark.version} on {spark_facts(spark).master}"


def _union(layouts: Iterable[Mapping[str, str]]) -> dict[str, str]:
    return {final: now for layout in layouts for final, now in layout.items()}
