from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from orchard.features.task import TaskReport
from orchard.pca.projection import Projection
from orchard.photos.copies import Copies, SharedFolders
from orchard.plan import Plan, Survey
from orchard.report.contents import Contents
from orchard.report.writing import make_facts
from orchard.tables.changes import Changes

from tests.report.example import CUMULATIVE, RATIO, REPORT

TASKS = [
    TaskReport(1, 3, waiting=0.25, decoding=0.5, retries=1, attempt=1),
    TaskReport(0, 4, predicting=3.0, retries=2),
]


def made(
    tasks: list[TaskReport] = TASKS,
    components: int | None = None,
    lineage: dict[str, str] | None = None,
    **seconds: float,
) -> dict[str, Any]:
    """Facts of a run with 17 photos featurized and 3 rejected."""
    options = SimpleNamespace(input="photos", per_variety=None, components=components, variance=0.9, runtime="litert")
    tables = {name: {"version": 1, "rows": 17, "files": 1} for name in ("features", "rejected", "components")}
    output = SimpleNamespace(features=SimpleNamespace(rows=17), versions=lambda: tables)
    plan = SimpleNamespace(
        created="now",
        options=options,
        output=output,
        settings=REPORT["settings"],
        backbone=SimpleNamespace(name="mobilenet_v2", feature_size=1280),
        weights=SimpleNamespace(lineage=lineage),
    )
    found = Survey(20, {".txt": 1}, Changes([], 20, 0, 0, 0, 0, [], []))
    copies = Copies(2, 1, [SharedFolders("a", "b", 1)], 1)
    contents = Contents({"Äpfel 🍎": 20}, {"truncated": 2, "empty": 1}, {}, copies)
    fitted = Projection(np.zeros(8), np.ones(8), np.eye(8)[:, :3], np.array(RATIO))
    spark = {"version": "3.5.6", "master": "local[2]", "executors": 1, "cores": 2}
    return make_facts(cast(Plan, plan), found, tasks, fitted, contents, spark, seconds)


def test_make_facts_keys() -> None:
    facts = made(fit=0.5, featurize=2.0, start=1.0, total=4.5)
    assert list(facts) == list(REPORT)
    for name in ("input", "counts", "update", "backbone", "pca", "spark", "task_seconds"):
        assert list(facts[name]) == list(REPORT[name])
    assert set(facts["copies"]) == set(REPORT["copies"])
    assert list(facts["seconds"]) == ["start", "featurize", "fit", "total"]
    assert json.loads(json.dumps(facts)) == facts


def test_make_facts_of_fine_tuned_weights() -> None:
    assert made(lineage={"parent": "mobilenet_v2"}, total=1.0)["backbone"]["lineage"] == {"parent": "mobilenet_v2"}


def test_make_facts_counts_the_tables_and_the_work_of_this_call() -> None:
    facts = made(featurize=2.0)
    assert facts["counts"] == {"listed": 20, "featurized": 17, "rejected": 3}
    assert facts["rejected_by_reason"] == {"empty": 1, "truncated": 2}
    assert facts["partitions"] == [[0, 4], [1, 3]]
    assert (facts["read_retries"], facts["task_retries"]) == (3, 1)
    assert facts["task_seconds"] == {"waiting": 0.25, "decoding": 0.5, "predicting": 3.0}
    assert facts["images_per_second"] == 3.5
    assert facts["copies"]["folders"] == [{"first": "a", "second": "b", "photos": 1}]


def test_make_facts_of_a_call_without_tasks() -> None:
    facts = made([], total=1.0)
    assert (facts["partitions"], facts["images_per_second"]) == ([], 0.0)
    assert facts["seconds"] == {"total": 1.0}


@pytest.mark.parametrize(("components", "target"), [(None, 0.9), (3, None)])
def test_make_facts_pca(components: int | None, target: float | None) -> None:
    pca = made(components=components)["pca"]
    assert (pca["k"], pca["variance_target"], pca["explained_variance_ratio"]) == (3, target, RATIO)
    assert pca["cumulative"] == pytest.approx(CUMULATIVE)
