"""The content of compare.json."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchard.compare.contents import FEW, MANY, frontier
from orchard.compare.dollars import run_dollars
from orchard.compare.measures import measures_from, measures_of

from tests.compare.examples import LABELS, facts, measures


def row(name: str, dollars: float | None, accuracy: float) -> dict[str, Any]:
    return {"backbone": name, "dollars": {str(MANY): dollars}, "accuracy": {"value": accuracy}}


def test_frontier() -> None:
    rows = [
        row("dear", 3, 0.9),
        row("cheap", 1, 0.7),
        row("worse", 2, 0.6),
        row("middle", 2, 0.8),
        row("none", None, 1),
    ]
    assert frontier(rows) == ["cheap", "middle", "dear"]


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 5)), min_size=1, max_size=8))
def test_frontier_is_what_nothing_beats(points: list[tuple[int, int]]) -> None:
    rows = [row(str(number), price, accuracy) for number, (price, accuracy) in enumerate(points)]
    best = {points[int(name)] for name in frontier(rows)}
    assert best == {(p, a) for p, a in points if not any(q <= p and b >= a and (q, b) != (p, a) for q, b in points)}
    assert [points[int(name)][0] for name in frontier(rows)] == sorted(points[int(name)][0] for name in frontier(rows))


def test_facts_of_two() -> None:
    better = measures("b", LABELS | {"Cherry 1": ("Cherry", 10, 9)}, tasks_seconds=20.0)
    found = facts(measures("a"), better)
    first, second = found["backbones"]
    assert (found["photos"], found["labels"], found["classes"]) == (100, 3, ["Apple", "Cherry"])
    assert found["frontier"] == ["a", "b"]
    assert first["accuracy"]["value"] == 0.85
    assert first["accuracy"]["low"] <= 0.85 <= first["accuracy"]["high"]
    assert first["difference"] is None
    assert second["difference"]["value"] == pytest.approx(0.08)
    assert second["difference"]["low"] == 0  # of resamples without cherries
    assert first["photos_per_second_per_core"] == 200
    assert first["dollars"] == {str(photos): run_dollars(photos, 200) for photos in (FEW, MANY)}
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_facts_without_a_speed_and_of_one_label() -> None:
    found = facts(measures("a", {"Apple 1": ("Apple", 60, 30)}, tasks_photos=0, tasks_seconds=0.0))
    (one,) = found["backbones"]
    assert found["frontier"] == []
    assert one["photos_per_second_per_core"] is None
    assert one["dollars"] == {str(FEW): None, str(MANY): None}
    assert one["accuracy"] == {"value": 0.5, "low": None, "high": None}


def test_a_difference_needs_the_same_labels() -> None:
    found = facts(measures("a"), measures("b", {"Apple 1": ("Apple", 60, 54), "Pear 1": ("Pear", 1, 1)}))
    assert found["backbones"][1]["difference"] is None


def test_measures_through_json() -> None:
    assert measures_from(json.loads(json.dumps(dataclasses.asdict(measures())))) == measures()


def test_measures_of_what_the_steps_return() -> None:
    runs: list[dict[str, Any]] = [
        {"partitions": [[0, 7], [1, 5]], "task_seconds": {"waiting": 1.0, "decoding": 1.0, "predicting": 2.0}},
        {"partitions": [], "task_seconds": {"waiting": 0.0, "decoding": 0.0, "predicting": 0.0}},
    ]
    classifier = {"settings": {"backbone": "a", "fingerprint": "f"}, "feature_size": 1280, "k": 9}
    evaluation = {
        "labels": {"Apple 1": {"class": "Apple", "photos": 49, "accuracy": 41 / 49}},
        "accuracy": 41 / 49,
        "balanced_accuracy": 0.5,
        "flatters": {"shared_photos": 3},
        "accuracy_without_shared": None,
    }
    exported = {"bytes": 10, "comparison": {"milliseconds": {"backbone": 1.0, "file": 2.0}}}
    found = measures_of("mine", runs, classifier, evaluation, exported)
    assert found.per_core == 3
    assert (found.backbone, found.network) == ("mine", "a")
    assert found.labels["Apple 1"] == ("Apple", 49, 41)
    assert (found.k, found.shared, found.file_milliseconds) == (9, 3, 2.0)
