"""The facts of a run, and `report.json` made of them. Pure."""

from __future__ import annotations

import importlib.metadata
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import app
from app.backbones import Backbone
from app.features import TaskReport
from app.options import JobOptions
from app.projection import Projection

if TYPE_CHECKING:
    from app.session import SparkFacts

SCHEMA_VERSION = 1
# Listing goes on while Spark starts, so the stages add up to a little more than the total.
STAGES = ("start", "list", "featurize", "fit", "transform", "model", "report", "total")


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """Everything a report says about one finished run.

    Attributes:
        created: ISO 8601 time of the run's start, UTC.
        labels: photos listed for each variety, in order.
        tasks: one report for each partition, in order.
        fingerprint: SHA-256 of the weights that were used.
        seconds: wall-clock time by stage, and "total".
        image: tag of the container image, None outside of one.
    """

    created: str
    options: JobOptions
    labels: Mapping[str, int]
    tasks: Sequence[TaskReport]
    backbone: Backbone
    fingerprint: str
    projection: Projection
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
            "rejected_by_reason": dict(Counter(rejection.reason for task in self.tasks for rejection in task.rejections)),
            "partitions": [[task.partition, task.photos] for task in self.tasks],
            "backbone": {"name": self.backbone.name, "feature_size": self.backbone.feature_size, "fingerprint": self.fingerprint},
            "runtime": self.options.runtime,
            "pca": self._pca(),
            "seconds": {stage: round(self.seconds[stage], 3) for stage in STAGES if stage in self.seconds},
            "task_seconds": self._task_seconds(),
            "images_per_second": round(self._counts()["listed"] / self.seconds["featurize"], 2),
            "spark": asdict(self.spark),
            "versions": versions(),
            "image": self.image,
        }

    def _input(self) -> dict[str, Any]:
        options = self.options
        return {"uri": options.input, "varieties": len(self.labels), "per_variety": options.per_variety, "labels": dict(self.labels)}

    def _counts(self) -> dict[str, int]:
        listed = sum(self.labels.values())
        featurized = sum(task.featurized for task in self.tasks)
        return {"listed": listed, "featurized": featurized, "rejected": sum(len(task.rejections) for task in self.tasks)}

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


def versions() -> dict[str, str]:
    """Versions of what decides the numbers."""
    packages = ("ai-edge-litert", "numpy", "pillow", "pyarrow")
    return {
        "orchard": app.__version__,
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in packages},
    }


def summary(facts: Mapping[str, Any], output: str) -> list[tuple[str, str]]:
    """Names and values of the table that ends a run."""
    counts, pca, spark, seconds = facts["counts"], facts["pca"], facts["spark"], facts["seconds"]
    stages = ", ".join(f"{stage} {value:.1f}" for stage, value in seconds.items() if stage != "total")
    rejected = ", ".join(f"{count} {reason}" for reason, count in facts["rejected_by_reason"].items())
    return [
        ("photos", f"{counts['listed']:,} listed = {counts['featurized']:,} featurized + {counts['rejected']:,} rejected"),
        *([("rejected", rejected)] if rejected else []),
        ("features", f"{facts['backbone']['feature_size']} of {facts['backbone']['name']} ({facts['runtime']})"),
        ("components", f"{pca['k']} keep {pca['cumulative'][pca['k'] - 1]:.1%} of the variance"),
        ("speed", f"{facts['images_per_second']:.0f} photos/s on {spark['master']}, {len(facts['partitions'])} partitions"),
        ("seconds", f"{seconds['total']:.1f} ({stages})"),
        ("report", f"{output}/report.html"),
    ]
