"""The command as a user calls it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from orchard.classifier.options import parse_words
from orchard.cli import command_line, main, what_is_left
from orchard.network.backbones import BACKBONES
from orchard.network.weights import BakedWeights
from orchard.sample import draw_samples
from pyspark import SparkContext

from tests.conftest import bake
from tests.network.baked import copy_baked
from tests.runs import orchard, run_in

NAMES = ("mobilenet_v2", "efficientnet_lite0")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn photos: to train on, to test on, and of one label only."""
    folder = tmp_path_factory.mktemp("compared")
    draw_samples(folder / "train", varieties=3, per_variety=8, seed=1)
    draw_samples(folder / "test", varieties=3, per_variety=4, seed=2)
    draw_samples(folder / "one", varieties=1, per_variety=4, seed=3)
    (folder / "other" / "Zebra").mkdir(parents=True)
    shutil.copy(next((folder / "one").rglob("*.jpg")), folder / "other" / "Zebra" / "1.jpg")
    (folder / "none").mkdir()
    return folder


def words(photos: Path, report: Path, **changes: object) -> list[str]:
    values: dict[str, object] = {"input": photos / "train", "test": photos / "test", "output": report}
    values |= {"backbones": "mobilenet_v2"} | changes
    return ["compare", *(text for name, value in values.items() for text in (f"--{name}", str(value)))]


@pytest.mark.parametrize(
    ("changes", "code", "named"),
    [
        ({"backbones": "mobilenet_v2,resnet9000"}, 2, "resnet9000"),
        ({"backbones": "mobilenet_v2,mobilenet_v2"}, 2, "--backbones"),
        ({"backbones": ""}, 2, "--backbones"),
        ({"input": "one"}, 1, "--input"),
        ({"test": "other"}, 1, "Zebra"),
        ({"test": "none"}, 1, "--test"),
        ({"test": "nowhere"}, 1, "--test"),
        ({"labels": "none.csv"}, 1, "--labels"),
        ({"weights": "nowhere"}, 1, "nowhere"),
        ({"output": "train"}, 1, "--output"),
        ({"output": "train/deep"}, 2, "--output"),
    ],
)
def test_wrong_words(
    photos: Path,
    tmp_path: Path,
    weights: BakedWeights,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, str],
    code: int,
    named: str,
) -> None:
    places = {name: photos / value for name, value in changes.items() if name in ("input", "test", "output", "weights")}
    assert main(words(photos, tmp_path / "report", **{**changes, **places})) == code
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert named in lines[0]
    assert not (tmp_path / "report").exists()


def test_dry_run(photos: Path, tmp_path: Path, weights: BakedWeights, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words(photos, tmp_path / "report"), "--dry-run", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["photos to featurize"] == {"mobilenet_v2": 36}
    assert not (tmp_path / "report").exists()


def test_features_of_other_weights_are_refused(
    photos: Path, tmp_path: Path, weights: BakedWeights, context: SparkContext, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is done."""
    place, other = tmp_path / "report" / "mobilenet_v2" / "train", tmp_path / "weights"
    copy_baked(weights.folder, other, fingerprint="f" * 64)
    run_in(context, input=photos / "train", output=place, weights=other)
    assert main(words(photos, tmp_path / "report")) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert str(place) in line
    assert "fingerprint" in line
    assert "--overwrite" in line
    assert not (tmp_path / "report" / "mobilenet_v2" / "test").exists()


def test_what_ctrl_c_leaves(photos: Path) -> None:
    assert "is kept" in what_is_left(parse_words(command_line(), words(photos, Path("out"))))


@pytest.mark.slow
def test_two_networks_for_real_and_again(photos: Path, tmp_path: Path) -> None:
    for name in NAMES:
        bake(BACKBONES[name])
    command = words(photos, tmp_path / "report", backbones=",".join(NAMES), labels="folder")
    first = orchard(*command, "--json")
    assert first.returncode == 0, first.stderr
    found = json.loads(first.stdout)
    assert [row["backbone"] for row in found["backbones"]] == [*NAMES]
    assert (found["photos"], found["labels"]) == (12, 3)
    assert found["frontier"]
    for row in found["backbones"]:
        folder = tmp_path / "report" / row["backbone"]
        evaluation = json.loads((folder / "classifier" / "evaluation.json").read_text())
        assert row["accuracy"]["value"] == evaluation["accuracy"]
        assert row["balanced_accuracy"]["value"] == evaluation["balanced_accuracy"]
        assert row["file_bytes"] == (folder / "classifier.tflite").stat().st_size
        assert row["photos_per_second_per_core"] > 0
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "report").rglob("*") if path.parent.name in NAMES}
    again = orchard(*command, "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout) == found
    assert {path: path.stat().st_mtime_ns for path in files} == files
