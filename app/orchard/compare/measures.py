"""What is measured of one backbone. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple


class Label(NamedTuple):
    """A label of the test photos: its class, its photos, and how many of them are classified rightly."""

    of_class: str
    photos: int
    right: int


@dataclass(frozen=True, kw_only=True)
class Measures:
    """What is measured of one backbone.

    Attributes:
        backbone: what the report calls it; network: the known one that it is, or whose architecture it has.
        fingerprint: of its weights.
        features, k: how many, and the components of the classifier, which keep 90 % of the variance.
        labels: of the test photos, by name.
        accuracy, balanced_accuracy: on all test photos.
        shared: test photos with the same bytes as one that was trained on.
        accuracy_without_shared: on the others; None where there are none.
        tasks_photos, tasks_seconds: photos that Spark's tasks read, decoded and ran through the network, and the
            seconds that this took them, summed over all tasks.
        file_bytes, file_milliseconds: of the exported file: its size, and the median time of a photo on one thread.
    """

    backbone: str
    network: str
    fingerprint: str
    features: int
    k: int
    labels: Mapping[str, Label]
    accuracy: float
    balanced_accuracy: float
    shared: int
    accuracy_without_shared: float | None
    tasks_photos: int
    tasks_seconds: float
    file_bytes: int
    file_milliseconds: float

    @property
    def per_core(self) -> float | None:
        """Photos a second on one core; None where no run that ended has featurized any."""
        return self.tasks_photos / self.tasks_seconds if self.tasks_photos and self.tasks_seconds else None


def measures_of(
    name: str,
    runs: Sequence[Mapping[str, Any]],
    classifier: Mapping[str, Any],
    evaluation: Mapping[str, Any],
    exported: Mapping[str, Any],
) -> Measures:
    """The measures, from the reports of the runs, what the training returns, and what the export returns."""
    return Measures(
        backbone=name,
        network=classifier["settings"]["backbone"],
        fingerprint=classifier["settings"]["fingerprint"],
        features=classifier["feature_size"],
        k=classifier["k"],
        labels={name: _label(facts) for name, facts in evaluation["labels"].items()},
        accuracy=evaluation["accuracy"],
        balanced_accuracy=evaluation["balanced_accuracy"],
        shared=evaluation["flatters"]["shared_photos"],
        accuracy_without_shared=evaluation["accuracy_without_shared"],
        tasks_photos=sum(photos for report in runs for _, photos in report["partitions"]),
        tasks_seconds=sum(sum(report["task_seconds"].values()) for report in runs),
        file_bytes=exported["bytes"],
        file_milliseconds=exported["comparison"]["milliseconds"]["file"],
    )


def with_speed(found: Measures, before: Measures | None) -> Measures:
    """With the speed that was measured `before` of the same weights, if it was on more photos.

    A run that takes few new photos in would tell less.
    """
    if not before or before.fingerprint != found.fingerprint or before.tasks_photos <= found.tasks_photos:
        return found
    return replace(found, tasks_photos=before.tasks_photos, tasks_seconds=before.tasks_seconds)


def _label(facts: Mapping[str, Any]) -> Label:
    return Label(facts["class"], facts["photos"], round(facts["accuracy"] * facts["photos"]))


def measures_from(content: Mapping[str, Any]) -> Measures:
    """The measures, from JSON; `TypeError` or `ValueError` where it is of another version."""
    return Measures(**{**content, "labels": {name: Label(*row) for name, row in content["labels"].items()}})
