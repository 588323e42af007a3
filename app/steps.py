"""The steps of a run on Spark, and the report at its end: what is computed, in which order, and where it goes."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app import features, manifest, reduction, tables
from app.console import Reporter
from app.errors import InputError
from app.features import TaskReport
from app.model import save_model
from app.options import JobOptions
from app.plan import Plan
from app.progress import make_row_counter
from app.projection import Projection
from app.render import write_page
from app.report import RunFacts
from app.session import SparkFacts, spark_facts
from app.sources import Photo
from app.stopwatch import Stopwatch

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class Result:
    """What a run computed: photos by variety, what each task did, the fit, and where it all happened."""

    labels: Mapping[str, int]
    tasks: Sequence[TaskReport]
    fitted: Projection
    spark: SparkFacts


@dataclass(frozen=True)
class Job:
    """A run whose session is open. The steps, in order, are those of `finish`."""

    spark: SparkSession
    plan: Plan
    stage: Path
    background: Executor
    watch: Stopwatch
    reporter: Reporter

    def finish(self, photos: Sequence[Photo]) -> Result:
        """Featurize, reduce and save; everything but the report."""
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
