"""The command, with a saved classifier."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from orchard.classifier.evaluation.evaluate import describe, evaluate
from orchard.classifier.options import EvaluateOptions
from orchard.classifier.saved import open_classifier_output, write_classifier
from orchard.console import Reporter
from orchard.errors import InputError, OutputError, UsageError

from tests.classifier.evaluation.example import SETTINGS, facts, features, model, output, training

PHOTOS = [(f"{('Apple 1', 'Cherry 1', 'Tomato 1')[number % 3]}/{number}.jpg", f"{number}") for number in range(12)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier and two outputs."""
    made = tmp_path_factory.mktemp("evaluate")
    output(made / "features", PHOTOS, features(3, 12, [0, 1, 2] * 4))
    output(made / "others", [("Grape/0.jpg", "g"), ("Apple 7/0.jpg", "a")], np.ones((2, 5), np.float32))
    described = facts()["training"] | {"mapping": {"Apple 1": "Apple", "Cherry 1": "Cherry"}}
    trained = training([("Apple Rotten/0.jpg", "0", 0)])
    store = open_classifier_output(str(made / "classifier"))
    write_classifier(store, model(), trained, {"training": described}, spark_version="3.5.6")
    return made


def options(folder: Path, **changes: Any) -> EvaluateOptions:
    places = {name: str(folder / name) for name in ("classifier", "features")}
    return EvaluateOptions(**{**places, "output": str(folder / "report"), **changes})


def test_evaluate(folder: Path) -> None:
    found = evaluate(options(folder, unfamiliar=str(folder / "others")), Reporter())
    assert json.loads((folder / "report" / "evaluation.json").read_text()) == found
    assert (found["photos"], found["flatters"]["shared_photos"]) == (12, 1)
    assert found["classifier"]["uri"] == str(folder / "classifier")
    assert (found["unfamiliar"]["photos"], found["unfamiliar"]["left_out"]) == (1, {"Apple 7": 1})
    assert str(folder / "classifier") in (folder / "report" / "evaluation.html").read_text()


def test_describe_writes_nothing(folder: Path, tmp_path: Path) -> None:
    plan = describe(options(folder, output=str(tmp_path / "new")))
    assert (plan["photos"], plan["labels"], plan["classes"]) == (12, 3, ["Apple", "Cherry", "Tomato"])
    assert not (tmp_path / "new").exists()


def test_evaluate_labels(folder: Path, tmp_path: Path) -> None:
    csv = tmp_path / "labels.csv"
    csv.write_text("label,class\nApple 1,Cherry\nCherry 1,Cherry\nTomato 1,Tomato\n")
    assert describe(options(folder, labels=str(csv)))["classes"] == ["Cherry", "Tomato"]
    csv.write_text("label,class\nApple 1,Apple\nCherry 1,Cherry\n")
    with pytest.raises(InputError, match="'Tomato 1'"):
        describe(options(folder, labels=str(csv)))
    with pytest.raises(InputError, match="'Apple 1', 'Cherry 1', 'Tomato 1'"):
        describe(options(folder, labels="folder"))


def test_evaluate_labels_in_other_capitals(folder: Path, tmp_path: Path) -> None:
    output(tmp_path / "lower", [("apple 9/0.jpg", "0"), ("CHERRY/1.jpg", "1")], features(3, 2, [0, 1]))
    for labels in (None, "first-word"):
        assert describe(options(folder, features=str(tmp_path / "lower"), labels=labels))["classes"] == [
            "Apple",
            "Cherry",
        ]


@pytest.mark.parametrize("flag", ["features", "unfamiliar"])
def test_evaluate_other_settings(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flag: str) -> None:
    monkeypatch.setitem(SETTINGS, "fingerprint", "other")
    output(tmp_path, PHOTOS[:2], np.ones((2, 5), np.float32))
    with pytest.raises(InputError, match=f"--{flag}.*fingerprint"):
        describe(options(folder, **{flag: str(tmp_path)}))


def test_evaluate_error_flags(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "features" / "_delta_log").mkdir(parents=True)
    (tmp_path / "features" / "_delta_log" / "00000000000000000000.json").write_text("no table")
    for flag in ("features", "unfamiliar"):
        with pytest.raises(UsageError, match=f"^--{flag} gs://x"):
            describe(options(folder, **{flag: "gs://x"}))
        with pytest.raises(OutputError, match=f"^--{flag} {tmp_path}") as raised:
            describe(options(folder, **{flag: str(tmp_path)}))
        assert "--overwrite" not in str(raised.value)
    with pytest.raises(InputError, match=f"^--features {folder / 'others'}"):
        describe(options(folder, features=str(folder / "others")))


def test_evaluate_output_not_writable(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder" / "evaluation.html").mkdir(parents=True)
    for place in ("file", "file/new", "folder"):
        with pytest.raises(OutputError, match=f"^--output {tmp_path / place}"):
            describe(options(folder, output=str(tmp_path / place)))


def test_evaluate_output_in_a_table(folder: Path) -> None:
    for place in (folder / "others" / "features", folder / "others" / "features" / "report"):
        with pytest.raises(UsageError, match="is inside"):
            describe(options(folder, output=str(place)))


@pytest.mark.parametrize("content", ['{"input": "x"}', '{"input": null}', "[1]", "{"])
def test_evaluate_with_an_odd_report_of_the_run(folder: Path, tmp_path: Path, content: str) -> None:
    shutil.copytree(folder / "features", tmp_path / "test")
    (tmp_path / "test" / "report.json").write_text(content)
    assert describe(options(folder, features=str(tmp_path / "test")))["photos"] > 0


@pytest.mark.parametrize("flag", ["features", "unfamiliar"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_evaluate_not_finite(folder: Path, tmp_path: Path, flag: str, value: float) -> None:
    matrix = features(3, 12, [0, 1, 2] * 4)
    matrix[8, 2] = value
    bad = [(path.replace("Tomato", "Grape"), content) for path, content in PHOTOS] if flag == "unfamiliar" else PHOTOS
    output(tmp_path / "bad", bad, matrix)
    with pytest.raises(InputError, match=rf"^--{flag} {tmp_path / 'bad'}: .*{bad[8][0]}"):
        evaluate(options(folder, **{flag: str(tmp_path / "bad"), "output": str(tmp_path / "report")}), Reporter())
    assert not (tmp_path / "report").exists()


def test_evaluate_without_features(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--features"):
        describe(options(folder, features=str(tmp_path)))
