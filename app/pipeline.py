"""One run, from listing to report: the order of the steps and nothing else."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app import features, manifest, reduction, tables
from app.backbones import Backbone, get_backbone
from app.console import Reporter
from app.errors import InputError
from app.features import TaskReport
from app.model import save_model
from app.options import JobOptions
from app.output import check_output, open_output
from app.progress import make_row_counter
from app.projection import Projection
from app.render import preload, write_page
from app.report import RunFacts, SparkFacts
from app.session import OpenSession, explain_spark_errors, open_session, spark_facts
from app.sources import PHOTO_SUFFIXES, Photo, PhotoSource, open_source
from app.weights import BakedWeights, find_weights

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass
class Stopwatch:
    """Wall-clock seconds by stage."""

    seconds: dict[str, float] = field(default_factory=dict)
    started: float = field(default_factory=time.perf_counter)

    @contextlib.contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Count the time of a block to `stage`."""
        before = time.perf_counter()
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - before

    def total(self) -> dict[str, float]:
        """Every stage, and `total` since the stopwatch was made."""
        return {**self.seconds, "total": time.perf_counter() - self.started}


@dataclass(frozen=True)
class Plan:
    """What a run was asked to do and what it found to do it with, checked before anything is started."""

    created: str
    options: JobOptions
    source: PhotoSource
    backbone: Backbone
    weights: BakedWeights


@dataclass(frozen=True)
class Result:
    """What a run computed: photos by variety, what each task did, the fit, and where it all happened."""

    labels: Mapping[str, int]
    tasks: Sequence[TaskReport]
    fitted: Projection
    spark: SparkFacts


def make_plan(options: JobOptions) -> Plan:
    """Look up and check what the options name; `OrchardError` when something is missing."""
    created = datetime.now(UTC).isoformat(timespec="seconds")
    backbone = get_backbone(options.backbone)
    return Plan(created, options, open_source(options.input), backbone, find_weights(backbone, options.weights))


def describe(options: JobOptions) -> dict[str, Any]:
    """What `run` would do, without starting Spark or writing anything."""
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
    with (
        open_output(options.output, input_uri=options.input, overwrite=options.overwrite) as stage,
        ThreadPoolExecutor(2) as background,
    ):
        listing = background.submit(list_photos, plan)  # while the JVM starts, and then
        background.submit(preload)
        with contextlib.ExitStack() as stack:
            with watch("start"):
                spark = stack.enter_context(session(options.master, say=reporter.say))
            with explain_spark_errors():
                result = _Run(spark, plan, stage, background, watch, reporter).finish(listing)
            drawing = background.submit(write_report, result, stage, plan, watch)  # while the JVM stops
        return drawing.result()


def list_photos(plan: Plan) -> list[Photo]:
    """The photos of a run, in order; `InputError` when there are none."""
    photos = manifest.arrange(plan.source.photos(), varieties=plan.options.varieties, per_variety=plan.options.per_variety)
    if not photos:
        raise InputError(f"--input {plan.options.input}: no photos in it (looked for {' '.join(PHOTO_SUFFIXES)}, in sub-folders too)")
    return photos


@dataclass(frozen=True)
class _Run:
    """A run whose session is open. The steps, in order, are those of `finish`."""

    spark: SparkSession
    plan: Plan
    stage: Path
    background: Executor
    watch: Stopwatch
    reporter: Reporter

    def finish(self, listing: Future[list[Photo]]) -> Result:
        with self.watch("list"):
            photos = listing.result()
            tables.write_table(manifest.to_table(photos), self.stage / "manifest")
        tasks = self._featurize(photos)
        check_tasks(tasks, len(photos), self.plan.options)
        tables.write_table(tables.rejected_table([rejection for task in tasks for rejection in task.rejections]), self.stage / "rejected")
        return Result(Counter(photo.label for photo in photos), tasks, self._reduce(), spark_facts(self.spark))

    def _featurize(self, photos: Sequence[Photo]) -> list[TaskReport]:
        spark, plan = self.spark, self.plan
        network = features.Network(plan.backbone, plan.options.runtime, plan.weights)
        bounds = manifest.partition_bounds(len(photos), plan.options.partitions)
        self.reporter.say(f"{len(photos):,} photos, {len(bounds)} partitions, Spark {spark.version} on {spark.sparkContext.master}")
        warming = self.background.submit(features.warm_up, spark, network, spark.sparkContext.defaultParallelism)
        with self.watch("featurize"), self.reporter.counting(len(photos), make_row_counter(spark)):
            tasks = features.featurize(spark, plan.source, network, manifest.to_table(photos), bounds, str(self.stage / "features"))
        warming.result()
        return tasks

    def _reduce(self) -> Projection:
        options, stage = self.plan.options, self.stage
        files = tables.files(stage / "features")
        with self.watch("fit"):
            size = self.plan.backbone.feature_size
            fitted = reduction.fit(self.spark, files, feature_size=size, variance=options.variance, components=options.components)
        with self.watch("transform"):
            reduction.write_components(self.spark, files, fitted, str(stage / "components"))
        with self.watch("model"):
            save_model(fitted, stage / "model", spark_version=self.spark.version)
        return fitted


def write_report(result: Result, stage: Path, plan: Plan, watch: Stopwatch) -> dict[str, Any]:
    """Write `report.html` and `report.json`; returns the content of the latter."""
    # The page is drawn before the time it takes is known; `orchard report` draws it again with all of it.
    with watch("report"):
        write_page(make_facts(result, plan, watch), stage, plan.source)
    facts = make_facts(result, plan, watch)
    (stage / "report.json").write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return facts


def make_facts(result: Result, plan: Plan, watch: Stopwatch) -> dict[str, Any]:
    """The content of `report.json`, as of now."""
    return RunFacts(
        created=plan.created,
        options=plan.options,
        labels=result.labels,
        tasks=result.tasks,
        backbone=plan.backbone,
        fingerprint=plan.weights.fingerprint,
        projection=result.fitted,
        seconds=watch.total(),
        spark=result.spark,
        image=os.environ.get("ORCHARD_IMAGE"),
    ).to_dict()


def check_tasks(tasks: Sequence[TaskReport], listed: int, options: JobOptions) -> None:
    """Raise `InputError` when no photo, or too few, could be featurized; every photo must be accounted for."""
    rejections = [rejection for task in tasks for rejection in task.rejections]
    featurized = sum(task.featurized for task in tasks)
    if featurized + len(rejections) != listed:
        raise AssertionError(f"{listed} photos listed, but {featurized} featurized and {len(rejections)} rejected")
    if not rejections or (featurized and len(rejections) <= options.max_rejected * listed):
        return
    reasons = ", ".join(f"{count} {reason}" for reason, count in Counter(rejection.reason for rejection in rejections).most_common())
    limit = f", more than --max-rejected {options.max_rejected:g} allows" if featurized else ""
    first = f"the first is {rejections[0].path} ({rejections[0].detail})"
    raise InputError(f"--input {options.input}: {len(rejections)} of {listed} photos rejected{limit}: {reasons}; {first}")
