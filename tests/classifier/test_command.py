"""The commands as a user calls them."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from orchard import Classifier
from orchard.classifier.options import parse_words
from orchard.classifier.saved import read_classifier
from orchard.cli import command_line, main, what_is_left
from orchard.network.weights import BakedWeights

from tests.runs import orchard


def photo(fruit: Path, number: int = 0) -> Path:
    return sorted((fruit / "photos").rglob("*.jpg"))[number]


def test_predict_a_photo(fruit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = [str(photo(fruit)), str(photo(fruit, -1))]
    assert main(["predict", str(fruit / "classifier"), *wanted, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["path"] for row in rows] == wanted
    expected = Classifier.load(str(fruit / "classifier")).predict(wanted)
    assert [row["probability"] for row in rows] == [one.probability for one in expected]
    assert main(["predict", str(fruit / "classifier"), *wanted, "--csv"]) == 0
    assert [row["class"] for row in csv.DictReader(io.StringIO(capsys.readouterr().out))] == [
        one.best for one in expected
    ]
    assert main(["predict", str(fruit / "classifier"), *wanted]) == 0
    printed = capsys.readouterr().out
    assert all(f"{path} " in printed for path in wanted)


@pytest.mark.parametrize(
    "words",
    [
        ["--json", "0", "1"],
        ["0", "--json", "1"],
        ["--json", "--", "0", "1"],
        ["0", "--weights", "WEIGHTS", "1", "--json"],
    ],
)
def test_flags_between_photos(
    fruit: Path, weights: BakedWeights, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    places = {"0": str(photo(fruit)), "1": str(photo(fruit, -1)), "WEIGHTS": weights.folder}
    assert main(["predict", str(fruit / "classifier"), *(places.get(word, word) for word in words)]) == 0
    assert [row["path"] for row in json.loads(capsys.readouterr().out)] == [places["0"], places["1"]]


@pytest.mark.parametrize(
    "words",
    [
        ["predict", "c", "a.jpg", "--nope", "b.jpg"],
        ["predict", "c", "--json", "b.jpg", "-x"],
        ["export", "c", "d", "--output", "e"],
        ["export", "c", "--output", "e", "--photos", "p", "d"],
        ["run", "--input", "a", "--output", "b", "c"],
    ],
)
def test_unknown_words_are_errors(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(words)
    assert raised.value.code == 2
    assert "unrecognized arguments" in capsys.readouterr().err


def test_photos_that_look_like_flags(capsys: pytest.CaptureFixture[str]) -> None:
    assert parse_words(command_line(), ["predict", "c", "a.jpg", "--json", "--", "-b.jpg"]).photos == [
        "a.jpg",
        "-b.jpg",
    ]
    assert parse_words(command_line(), ["predict", "c"]).photos == []
    for words, named in ((["predict", "c", "-b.jpg"], "after --"), (["predict"], "CLASSIFIER")):
        with pytest.raises(SystemExit):
            parse_words(command_line(), words)
        error = capsys.readouterr().err.splitlines()[-1]
        assert named in error
        assert "PHOTO" not in error


def test_csv_to_a_closed_pipe(fruit: Path) -> None:
    reading, writing_end = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "orchard", "predict", str(fruit / "classifier"), str(photo(fruit)), "--csv"]
    try:
        done = subprocess.run(command, stdout=writing_end, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(writing_end)
    assert (done.returncode, done.stderr) == (-signal.SIGPIPE, "")


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (["run", "--input", "a", "--output", "b"], True),
        (["predict", "c", "--input", "a", "--output", "b"], True),
        (["predict", "c", "a.jpg"], False),
        (["train", "--features", "a", "--output", "b"], False),
        (["evaluate", "c", "--features", "a", "--output", "b"], False),
        (["export", "c", "--output", "b", "--photos", "p"], False),
        (["report", "a"], False),
    ],
)
def test_what_ctrl_c_leaves(words: list[str], kept: bool) -> None:
    assert ("is kept" in what_is_left(parse_words(command_line(), words))) == kept


def test_predict_goes_on_after_a_bad_photo(fruit: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no photo")
    assert main(["predict", str(fruit / "classifier"), str(tmp_path / "bad.jpg"), str(photo(fruit)), "--json"]) == 1
    bad, good = json.loads(capsys.readouterr().out)
    assert (bad["reason"], bad["class"], good["reason"]) == ("not_an_image", None, None)


@pytest.mark.parametrize(
    ("words", "code", "named"),
    [
        (["predict", "CLASSIFIER"], 2, "--input"),
        (["predict", "CLASSIFIER", "a.jpg", "--input", "b"], 2, "--input"),
        (["predict", "CLASSIFIER", "--input", "b", "--output", "c", "--csv"], 2, "--csv"),
        (["predict", "CLASSIFIER", "a.jpg", "--csv", "--json"], 2, "--csv"),
        (["predict", "CLASSIFIER", "a.jpg", "--max-rejected", "0.1"], 2, "--max-rejected"),
        (["predict", "CLASSIFIER", "a.jpg", "--overwrite"], 2, "--overwrite"),
        (["train", "--features", "gs://x", "--output", "NOTHING"], 2, "--features gs://x"),
        (["evaluate", "CLASSIFIER", "--features", "OUT", "--output", "REPORT"], 1, "--output"),
        (["predict", "CLASSIFIER", "a.jpg", "--dry-run"], 2, "--dry-run"),
        (["predict", "CLASSIFIER", "--input", "", "--output", "c"], 2, "--input"),
        (["predict", "CLASSIFIER", ""], 2, "PHOTO"),
        (["predict", "", "a.jpg"], 2, "CLASSIFIER"),
        (["train", "--features", "", "--output", "NOTHING"], 2, "--features"),
        (["train", "--features", "OUT", "--output", "NOTHING", "--test", ""], 2, "--test"),
        (["train", "--features", "OUT", "--output", "NOTHING", "--master", "local[x]"], 2, "--master"),
        (["evaluate", "CLASSIFIER", "--features", "OUT", "--output", ""], 2, "--output"),
        (["evaluate", "CLASSIFIER", "--features", "OUT", "--output", "NOTHING", "--unfamiliar", ""], 2, "--unfamiliar"),
        (["export", "CLASSIFIER", "--output", "NOTHING", "--photos", " "], 2, "--photos"),
        (["predict", "NOTHING", "a.jpg"], 1, "nothing"),
        (["train", "--features", "OUT", "--output", "NOTHING", "--test", "OUT", "--random-split"], 2, "--random-split"),
        (["train", "--features", "OUT", "--output", "NOTHING", "--holdout", "1"], 2, "--holdout"),
        (["train", "--features", "OUT", "--output", "NOTHING", "--familiar", "nan"], 2, "--familiar"),
        (["train", "--features", "OUT", "--output", "NOTHING", "--regularization", "0"], 2, "--regularization"),
        (["train", "--features", "OUT", "--output", "NOTHING", "--folds", "1"], 2, "--folds"),
        (["train", "--features", "OUT", "--output", "OUT"], 1, "--output"),
        (["train", "--features", "OUT", "--output", "NOTHING", "--labels", "none.csv"], 1, "--labels"),
        (["evaluate", "CLASSIFIER", "--features", "NOTHING", "--output", "NOTHING"], 1, "--features"),
        (["evaluate", "CLASSIFIER", "--features", "OUT", "--output", "PHOTOS"], 2, "--output"),
        (["evaluate", "CLASSIFIER", "--features", "OUT", "--output", "TABLE"], 2, "--output"),
        (["evaluate", "CLASSIFIER", "--features", "OUT", "--output", "APPLES"], 1, "--output"),
        (["export", "CLASSIFIER", "--output", "OUT"], 1, "--output"),
        (["export", "CLASSIFIER", "--output", "s3:///a.tflite"], 2, "--output"),
        (["export", "CLASSIFIER", "--output", "s3://bucket/a.tflite"], 1, "AWS_REGION"),
        (["predict", "CLASSIFIER", "http://host/a.jpg"], 2, "PHOTO http://host/"),
        (["predict", "s3://", "a.jpg"], 2, "classifier s3://"),
    ],
)
def test_wrong_words(
    fruit: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: Sequence[str], code: int, named: str
) -> None:
    places = {"CLASSIFIER": fruit / "classifier", "OUT": fruit / "out", "NOTHING": tmp_path / "nothing"}
    places["REPORT"] = fruit / "out" / "report.json"
    places |= {"PHOTOS": fruit / "photos" / "new", "TABLE": fruit / "out" / "features", "APPLES": tmp_path / "apples"}
    (tmp_path / "apples").mkdir()
    (tmp_path / "apples" / "1.JPG").touch()
    assert main([str(places.get(word, word)) for word in words]) == code
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert named in lines[0]
    assert not (tmp_path / "nothing").exists()


def test_predict_photos_with_escapes_in_their_names(
    fruit: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a b%20c.jpg"
    path.write_bytes(photo(fruit).read_bytes())
    wanted = [str(path), path.as_uri(), str(tmp_path), tmp_path.as_uri()]
    assert main(["predict", str(fruit / "classifier"), *wanted, "--json"]) == 1
    rows = json.loads(capsys.readouterr().out)
    assert [row["path"] for row in rows] == wanted
    assert [row["reason"] for row in rows] == [None, None, "unreadable", "unreadable"]
    assert rows[0]["probability"] == rows[1]["probability"]
    assert all("--input" in row["detail"] for row in rows[2:])


def test_dry_runs(fruit: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    classifier, out, nothing = fruit / "classifier", fruit / "out", tmp_path / "nothing"
    references = len(read_classifier(str(classifier)).model.references)
    for words, key, value in (
        (["train", "--features", out, "--output", nothing], "output", str(nothing)),
        (["evaluate", classifier, "--features", out, "--output", nothing], "photos", 48),
        (["predict", classifier, "--input", fruit / "photos", "--output", nothing], "photos", 48),
        (["export", classifier, "--output", nothing], "references", references),
    ):
        assert main([*map(str, words), "--dry-run", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)[key] == value
        assert main([*map(str, words), "--dry-run"]) == 0
        printed = capsys.readouterr().out
        assert not set("[]{}'") & set(printed.replace(str(tmp_path), "").replace(str(fruit), ""))
        assert "None" not in printed
    assert not nothing.exists()


def test_evaluate(fruit: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["evaluate", fruit / "classifier", "--features", fruit / "out", "--output", tmp_path / "report"]
    assert main([str(word) for word in words]) == 0
    assert "accuracy" in capsys.readouterr().out
    facts = json.loads((tmp_path / "report" / "evaluation.json").read_text())
    training = read_classifier(str(fruit / "classifier")).facts["training"]
    assert facts["photos"] == 48
    assert facts["flatters"]["shared_photos"] == training["photos"]


def test_predict_a_folder_on_spark(fruit: Path, tmp_path: Path) -> None:
    done = orchard(
        "predict",
        fruit / "classifier",
        "--input",
        fruit / "photos",
        "--output",
        tmp_path / "answers",
        "--master",
        "local[2]",
    )
    assert done.returncode == 0, done.stderr
    rows = sorted(pq.read_table(tmp_path / "answers" / "predictions").to_pylist(), key=lambda row: str(row["path"]))
    expected = Classifier.load(str(fruit / "classifier")).predict([fruit / "photos" / row["path"] for row in rows])
    assert [row["class"] for row in rows] == [one.best for one in expected]
    assert [row["unsure"] for row in rows] == [one.unsure for one in expected]
    np.testing.assert_allclose([row["probability"] for row in rows], [one.probability for one in expected], atol=1e-5)
