"""The flow: what is done again and what is not. The steps themselves are tested where they are; here are others."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from orchard.classifier.options import ExportOptions, TrainOptions
from orchard.compare.comparison import Steps, compare
from orchard.compare.options import CompareOptions
from orchard.console import Reporter
from orchard.network.backbones import BACKBONES
from orchard.network.weights import BakedWeights, cached_weights_folder
from orchard.options import JobOptions
from orchard.sample import draw_samples

from tests.network.baked import write_baked

A, B = "mobilenet_v2", "efficientnet_lite0"


@dataclass
class Invented:
    """Steps that write what the real ones leave in a folder, and note that they were called."""

    done: list[tuple[str, str]] = field(default_factory=list)
    fails_at: tuple[str, str] | None = None
    created: str = "2026-11-27T00:00:00+00:00"
    photos: int = 6
    test_labels: dict[str, int] = field(default_factory=lambda: {"apple": 3, "pear": 3})

    def steps(self) -> Steps:
        return Steps(self.run, self.train, self.export)

    def note(self, step: str, place: str) -> None:
        name = Path(place).parent.name
        if (step, name) == self.fails_at:
            raise KeyboardInterrupt
        self.done.append((step, name))

    def run(self, options: JobOptions, reporter: Reporter) -> dict[str, Any]:
        self.note(Path(options.output).name, options.output)
        return {
            "created": self.created,
            "tables": {"features": {"version": 1}},
            "input": {"labels": self.test_labels if options.output.endswith("test") else {"apple": 3, "pear": 3}},
            "partitions": [[0, self.photos]],
            "task_seconds": {"waiting": 0.0, "decoding": 0.1, "predicting": 0.2},
        }

    def train(self, options: TrainOptions, reporter: Reporter) -> dict[str, Any]:
        self.note("training", options.output)
        Path(options.output).mkdir(parents=True, exist_ok=True)
        Path(options.output, "classifier.json").write_text("{}")
        labels = {name: {"class": name, "photos": 3, "accuracy": 2 / 3} for name in ("apple", "pear")}
        settings = {"backbone": Path(options.output).parent.name, "fingerprint": "f"}
        evaluation = {"labels": labels, "accuracy": 2 / 3, "balanced_accuracy": 2 / 3, "accuracy_without_shared": None}
        return {
            "classifier": {"settings": settings, "feature_size": 1280, "k": 3},
            "evaluation": {**evaluation, "flatters": {"shared_photos": 0}},
        }

    def export(self, options: ExportOptions, reporter: Reporter) -> dict[str, Any]:
        self.note("export", options.output)
        Path(options.output).write_bytes(b"file")
        return {"bytes": 4, "comparison": {"milliseconds": {"backbone": 1.0, "file": 2.0}}}


ALL = [(step, name) for name in (A, B) for step in ("train", "test", "training", "export")]
RUNS = [(step, name) for name in (A, B) for step in ("train", "test")]


@pytest.fixture
def asked(tmp_path: Path, weights: BakedWeights) -> CompareOptions:
    """Options with drawn photos, and a folder of weights: the real ones, and what looks like some of another."""
    for name in ("photos", "others"):
        draw_samples(tmp_path / name, varieties=2, per_variety=3, seed=len(name))
    for name in (A, B):
        write_baked(tmp_path / "weights" / name, BACKBONES[name])
    places = {"input": tmp_path / "photos", "test": tmp_path / "others", "output": tmp_path / "report"}
    words: dict[str, Any] = {name: str(place) for name, place in places.items()}
    return CompareOptions(**words, backbones=(A, B), weights=str(tmp_path / "weights"))


def call(asked: CompareOptions, invented: Invented) -> dict[str, Any]:
    invented.done = []
    return compare(asked, Reporter(io.StringIO()), steps=invented.steps())


def test_a_second_call_does_nothing_again(asked: CompareOptions) -> None:
    invented = Invented()
    first = call(asked, invented)
    assert invented.done == ALL
    assert call(asked, invented) == first
    assert invented.done == RUNS  # which say themselves that they are up to date
    assert json.loads(Path(asked.output, "compare.json").read_text()) == first
    assert first["backbones"][0]["photos_per_second_per_core"] == pytest.approx(20)


@pytest.mark.parametrize("step", ALL)
def test_a_killed_call_continues(asked: CompareOptions, step: tuple[str, str]) -> None:
    invented = Invented(fails_at=step)
    with pytest.raises(KeyboardInterrupt):
        call(asked, invented)
    assert not Path(asked.output, "compare.json").exists()
    invented.fails_at = None
    assert len(call(asked, invented)["backbones"]) == 2
    again = [one for one in invented.done if one[0] in ("training", "export")]
    assert again == [one for one in ALL if one[0] in ("training", "export") and (one[1] == B or step[1] == A)]


def test_other_features_are_trained_on_again(asked: CompareOptions) -> None:
    invented = Invented()
    call(asked, invented)
    invented.created = "2026-11-28T00:00:00+00:00"
    call(asked, invented)
    assert invented.done == ALL


def test_another_class_of_a_test_label_is_evaluated_again(asked: CompareOptions, tmp_path: Path) -> None:
    """The rule, a CSV, is mended in a label that the training photos do not have."""
    labels = {path.name for place in (asked.input, asked.test) for path in Path(place).iterdir()}
    rule, invented = tmp_path / "rule.csv", Invented()
    invented.test_labels = {"plum": 3}

    def write(plum: str) -> None:
        classes = {**{name: name[0] for name in labels}, "apple": "a", "pear": "p", "plum": plum}
        rule.write_text("label,class\n" + "".join(f"{label},{name}\n" for label, name in classes.items()))

    asked = replace(asked, labels=str(rule))
    write("p")
    call(asked, invented)
    call(asked, invented)
    assert invented.done == RUNS
    write("a")
    call(asked, invented)
    assert invented.done == ALL


def test_the_speed_is_that_of_most_photos(asked: CompareOptions) -> None:
    """A later run that takes one photo in would tell less; so would one that is killed before it measures."""
    invented = Invented()
    call(asked, invented)
    invented.created, invented.photos, invented.fails_at = "2026-11-28T00:00:00+00:00", 1, ("training", A)
    with pytest.raises(KeyboardInterrupt):
        call(asked, invented)
    invented.fails_at = None
    assert call(asked, invented)["backbones"][0]["photos_per_second_per_core"] == pytest.approx(20)
    invented.created, invented.photos = "2026-11-29T00:00:00+00:00", 12
    assert call(asked, invented)["backbones"][0]["photos_per_second_per_core"] == pytest.approx(40)


@pytest.mark.parametrize("lost", ["classifier.tflite", "measures.json"])
def test_what_is_lost_is_made_again(asked: CompareOptions, lost: str) -> None:
    invented = Invented()
    call(asked, invented)
    Path(asked.output, A, lost).unlink()
    call(asked, invented)
    assert [one for one in ALL if one in RUNS or one[1] == A] == invented.done


def test_measures_of_a_classifier_that_is_replaced_are_not_used(asked: CompareOptions) -> None:
    """A call with another rule, killed after it trained, then the first one again."""
    invented = Invented()
    call(asked, invented)
    Path(asked.input).rename(f"{asked.input}-before")
    draw_samples(asked.input, varieties=2, per_variety=3, seed=99)
    invented.created, invented.fails_at = "2026-11-28T00:00:00+00:00", ("export", A)
    with pytest.raises(KeyboardInterrupt):
        call(asked, invented)
    invented.created, invented.fails_at = Invented.created, None
    call(asked, invented)
    assert ("training", A) in invented.done


def test_the_real_weights_are_found_without_a_folder(asked: CompareOptions, weights: BakedWeights) -> None:
    invented = Invented()
    call(replace(asked, weights=None, backbones=(A,)), invented)
    assert invented.done == ALL[:4]
    assert cached_weights_folder(BACKBONES[A]).is_dir()
