"""The content of compare.json, and which backbones no other one beats. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from orchard.compare import bootstrap, dollars
from orchard.compare.bootstrap import Interval, Numbers
from orchard.compare.measures import Measures
from orchard.compare.options import CompareOptions
from orchard.versions import versions

SCHEMA_VERSION = 1
FEW, MANY = 1_000, 90_000  # photos of the runs that are priced: a delivery, and the whole of Fruits-360
_DEFINITIONS = {
    "interval": f"{bootstrap.LEVEL:.0%} percentile interval of {bootstrap.RESAMPLES:,} resamples of the test labels, "
    f"seed {bootstrap.SEED}",
    "difference": "of accuracies, to the first backbone, on the same resamples",
    "photos_per_second_per_core": "photos by the seconds that Spark's tasks took to read, decode and featurize them",
    "dollars": f"of a run with a driver and 2 executors of 4 vCPU and 16 GB, {dollars.FIXED_SECONDS} s and the photos' "
    f"own time after {dollars.PROVISION_SECONDS} s for the workers, all billed; computed, nothing was run on AWS",
    "milliseconds": "median time of the exported file for a photo, on one thread, decoding not included",
}


def make_facts(options: CompareOptions, found: Sequence[Measures]) -> dict[str, Any]:
    """The content of compare.json, of the backbones in the order they were named."""
    rows = [_row(one, found[0]) for one in found]
    return {
        "schema_version": SCHEMA_VERSION,
        "input": options.input,
        "test": options.test,
        "rule": options.labels,
        "photos": sum(label.photos for label in found[0].labels.values()),
        "labels": len(found[0].labels),
        "classes": sorted({label.of_class for label in found[0].labels.values()}),
        "shared_photos": found[0].shared,
        "backbones": rows,
        "frontier": frontier(rows),
        "definitions": _DEFINITIONS,
        "prices": dollars.PRICES,
        "versions": versions("ai-edge-litert", "numpy", "pillow"),
    }


def _row(one: Measures, first: Measures) -> dict[str, Any]:
    accuracy, balanced = _resampled(one)
    same = one is not first and [*one.labels] == [*first.labels]
    difference = _difference(one.accuracy - first.accuracy, accuracy - _resampled(first)[0], one) if same else None
    return {
        "backbone": one.backbone,
        "network": one.network,
        "fingerprint": one.fingerprint,
        "accuracy": bootstrap.interval(one.accuracy, accuracy, len(one.labels))._asdict(),
        "balanced_accuracy": bootstrap.interval(one.balanced_accuracy, balanced, len(one.labels))._asdict(),
        "difference": difference,
        "accuracy_without_shared": one.accuracy_without_shared,
        "photos_per_second_per_core": one.per_core,
        "features": one.features,
        "k": one.k,
        "file_bytes": one.file_bytes,
        "milliseconds": one.file_milliseconds,
        "dollars": {str(photos): one.per_core and dollars.run_dollars(photos, one.per_core) for photos in (FEW, MANY)},
        "labels": {name: label._asdict() for name, label in one.labels.items()},
    }


def _difference(value: float, resampled: Numbers, one: Measures) -> dict[str, Any]:
    found: Interval = bootstrap.interval(value, resampled, len(one.labels))
    return found._asdict()


def _resampled(one: Measures) -> tuple[Numbers, Numbers]:
    """Accuracy and balanced accuracy of every resample of the labels."""
    labels = [one.labels[name] for name in sorted(one.labels)]
    photos, right = (np.array([getattr(label, name) for label in labels], np.float64) for name in ("photos", "right"))
    classes = np.unique([label.of_class for label in labels], return_inverse=True)[1]
    draws = bootstrap.resample(len(labels))
    return (bootstrap.accuracies(draws, photos, right), bootstrap.balanced_accuracies(draws, photos, right, classes))


def frontier(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Backbones to which no other is preferable: none is as accurate and cheaper, or as cheap and more accurate.

    The cheapest comes first; those without a price are left out.
    """
    points = [(row["dollars"][str(MANY)], -row["accuracy"]["value"], row["backbone"]) for row in rows]
    known = sorted(point for point in points if point[0] is not None)

    def beaten(price: float, loss: float) -> bool:
        return any(p <= price and q <= loss and (p, q) != (price, loss) for p, q, _ in known)

    return [name for price, loss, name in known if not beaten(price, loss)]
