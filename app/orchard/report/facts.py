"""The facts of a run, and `report.json` made of them. Pure."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import orchard
from orchard.features.job import TaskReport
from orchard.legacy.ledger import Commit, Identity
from orchard.network.backbones import Backbone
from orchard.options import JobOptions
from orchard.pca.projection import Projection
from orchard.photos.duplicates import Duplicates

if TYPE_CHECKING:
    from orchard.spark.session import SparkFacts

SCHEMA_VERSION = 1
# Listing goes on while Spark starts, so the stages add up to a little more than the total.
STAGES = ("start", "list", "featurize", "rewrite", "fit", "transform", "model", "report", "total")


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """Everything a report says about one finished run.

    Attributes:
        created: ISO 8601 time of the run's start, UTC.
        identity: what the result depends on, see `orchard.legacy.plan.identify`.
        labels: photos listed for each variety, in order.
        tasks: one report for each partition, in order.
        commits: what each chunk of this run gave, in order.
        resumed: how many of those were done before this process began.
        extension: what the run added to an earlier output, None if it made a new one.
        seconds: wall-clock time by stage, and "total".
        image: tag of the container image, None outside of one.
    """

    created: str
    identity: Identity
    options: JobOptions
    labels: Mapping[str, int]
    tasks: Sequence[TaskReport]
    commits: Sequence[Commit]
    resumed: int
    extension: Mapping[str, Any] | None
    backbone: Backbone
    projection: Projection
    duplicates: Duplicates
    seconds: Mapping[str, float]
    spark: SparkFacts
    image: str | None

    def to_dict(self) -> dict[str, Any]:
        """The content of `report.json`."""
        return {
            "schema_version": SCHEMA_VERSION,
            "created": self.created,
            "input": self._input(),
            "counts": self._counts(),
            "rejected_by_reason": dict(
                Counter(rejection.reason for task in self.tasks for rejection in task.rejections)
            ),
            "duplicates": asdict(self.duplicates),
            "read_retries": sum(task.retries for task in self.tasks),
            "partitions": [[task.partition, task.photos] for task in self.tasks],
            "chunks": {"total": len(self.commits), "resumed": self.resumed},
            "since_last": dict(self.extension) if self.extension else None,
            "task_retries": sum(task.attempt for task in self.tasks),
            "backbone": {
                "name": self.backbone.name,
                "feature_size": self.backbone.feature_size,
                "fingerprint": self.identity["weights"],
            },
            "runtime": self.options.runtime,
            "pca": self._pca(),
            "seconds": {stage: round(self.seconds[stage], 3) for stage in STAGES if stage in self.seconds},
            "task_seconds": self._task_seconds(),
            "images_per_second": self._rate(),
            "spark": asdict(self.spark),
            "versions": versions(self.options.runtime),
            "image": self.image,
            "identity": dict(self.identity),
        }

    def _input(self) -> dict[str, Any]:
        options = self.options
        return {
            "uri": options.input,
            "varieties": len(self.labels),
            "per_variety": options.per_variety,
            "labels": dict(self.labels),
        }

    def _counts(self) -> dict[str, int]:
        listed = sum(self.labels.values())
        featurized = sum(task.featurized for task in self.tasks)
        return {
            "listed": listed,
            "featurized": featurized,
            "rejected": sum(len(task.rejections) for task in self.tasks),
        }

    def _rate(self) -> float:
        photos, seconds = (sum(getattr(commit, name) for commit in self.commits) for name in ("photos", "seconds"))
        return round(photos / seconds, 2) if seconds else 0.0

    def _pca(self) -> dict[str, Any]:
        ratio = self.projection.explained_variance_ratio
        return {
            "k": self.projection.k,
            "variance_target": None if self.options.components else self.options.variance,
            "explained_variance_ratio": ratio.tolist(),
            "cumulative": ratio.cumsum().tolist(),
        }

    def _task_seconds(self) -> dict[str, float]:
        kinds = ("waiting", "decoding", "predicting")
        return {kind: round(sum(getattr(task, kind) for task in self.tasks), 3) for kind in kinds}


def versions(runtime: str = "litert") -> dict[str, str]:
    """Versions of what decides the numbers."""
    packages = ["ai-edge-litert", "numpy", "pillow", "pyarrow"]
    installed = {name: importlib.metadata.version(name) for name in packages}
    if runtime == "tensorflow":
        installed["tensorflow"] = _tensorflow_version()
    return {"orchard": orchard.__version__, "python": platform.python_version(), **installed}


def _tensorflow_version() -> str:
    for name in ("tensorflow-cpu", "tensorflow"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(name)
    return "none"


def to_json(facts: Mapping[str, Any]) -> bytes:
    """The content of the file `report.json`."""
    return (json.dumps(facts, indent=1, ensure_ascii=False) + "\n").encode()


def summary(facts: Mapping[str, Any], output: str) -> list[tuple[str, str]]:
    """Names and values of the table that ends a run."""
    counts, pca, spark, seconds = facts["counts"], facts["pca"], facts["spark"], facts["seconds"]
    stages = ", ".join(f"{stage} {value:.1f}" for stage, value in seconds.items() if stage != "total")
    rejected = ", ".join(f"{count} {reason}" for reason, count in facts["rejected_by_reason"].items())
    return [
        (
            "photos",
            f"{counts['listed']:,} listed = {counts['featurized']:,} featurized + {counts['rejected']:,} rejected",
        ),
        *([("rejected", rejected)] if rejected else []),
        *([("copies", _copies(facts["duplicates"]))] if facts.get("duplicates", {}).get("exact") else []),
        *([("retries", f"{retries:,} reads tried again")] if (retries := facts.get("read_retries")) else []),
        ("features", f"{facts['backbone']['feature_size']} of {facts['backbone']['name']} ({facts['runtime']})"),
        ("components", f"{pca['k']} keep {pca['cumulative'][pca['k'] - 1]:.1%} of the variance"),
        (
            "speed",
            f"{facts['images_per_second']:.0f} photos/s on {spark['master']}, {len(facts['partitions'])} partitions",
        ),
        *([("since last", line)] if (line := _since_last(facts)) else []),
        *([("went on", line)] if (line := _went_on(facts)) else []),
        ("seconds", f"{seconds['total']:.1f} ({stages})"),
        ("report", f"{output}/report.html"),
    ]


def _copies(duplicates: Mapping[str, int]) -> str:
    across = (
        f", {duplicates['test_in_training']:,} of them in Test with the same bytes in Training"
        if duplicates["test_in_training"]
        else ""
    )
    return f"{duplicates['exact']:,} photos have the bytes of an earlier one{across}"


def _went_on(facts: Mapping[str, Any]) -> str:
    chunks, retries = facts.get("chunks", {}), facts.get("task_retries", 0)
    resumed = f"{chunks['resumed']} of {chunks['total']} chunks were done before" if chunks.get("resumed") else ""
    retried = f"{retries} task{'s' if retries > 1 else ''} tried again" if retries else ""
    return "; ".join(filter(None, (resumed, retried)))


def _since_last(facts: Mapping[str, Any]) -> str:
    if not (since := facts.get("since_last")):
        return ""
    model = "model fitted again" if since["refit"] else "model kept"
    gone = f", {since['removed']:,} gone from the input but kept here" if since["removed"] else ""
    return f"{since['added']:,} photos added, {since['modified']:,} replaced, {since['kept']:,} as they were{gone}; {model}"
