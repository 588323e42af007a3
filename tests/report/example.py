"""A small run's `report.json`, for the tests of what is made of it."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from orchard.report.figures import Points

RATIO, CUMULATIVE = [0.6, 0.2, 0.15, 0.05], [0.6, 0.8, 0.95, 1.0]
REPORT: dict[str, Any] = {
    "schema_version": 2,
    "created": "2026-11-22T23:26:15+00:00",
    "input": {"uri": "photos", "varieties": 2, "per_variety": 10, "labels": {"Apple": 10, "Pear": 10}, "skipped": {}},
    "counts": {"listed": 20, "featurized": 20, "rejected": 0},
    "rejected_by_reason": {},
    "update": {"new": 20, "changed": 0, "removed": 0, "kept": 0, "retried": 0},
    "copies": {"exact": 0, "across_splits": 0, "pairs": 0, "folders": []},
    "tables": {"features": {"version": 7, "rows": 20, "files": 2}},
    "settings": {"backbone": "mobilenet_v2", "fingerprint": "c009b1f1", "runtime": "litert", "decoding": "2"},
    "backbone": {"name": "mobilenet_v2", "feature_size": 1280, "fingerprint": "c009b1f1"},
    "runtime": "litert",
    "pca": {"k": 3, "variance_target": 0.9, "explained_variance_ratio": RATIO, "cumulative": CUMULATIVE},
    "spark": {"version": "3.5.6", "master": "local[4]", "executors": 1, "cores": 4},
    "versions": {"orchard": "0.1.0", "python": "3.11.7"},
    "image": None,
    "seconds": {"start": 1.6, "list": 0.1, "featurize": 2.0, "fit": 0.5, "report": 0.4, "total": 4.5},
    "partitions": [[0, 12], [1, 8]],
    "read_retries": 0,
    "task_retries": 0,
    "task_seconds": {"waiting": 0.5, "decoding": 1.0, "predicting": 3.0},
    "images_per_second": 10.0,
}


def facts(**changes: Any) -> dict[str, Any]:
    """`REPORT` with some values changed; of values that are dicts, the named keys."""
    made = copy.deepcopy(REPORT)
    for name, value in changes.items():
        made[name] = made[name] | value if name in ("input", "counts", "pca") else value
    return made


def points(count: int = 20) -> Points:
    xy = np.random.default_rng(0).normal(size=(count, 2))
    return ["Apple", "Pear"] * (count // 2), xy
