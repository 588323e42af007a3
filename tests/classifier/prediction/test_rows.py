"""Rows of predictions/ and what is told of them: what the model says of the features of a run."""

from __future__ import annotations

import collections
import itertools
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from orchard.classifier.prediction.rows import count_answers, predictions_table
from orchard.classifier.prediction.table import summary
from orchard.classifier.saved import Saved, open_classifier_output, read_classifier, write_classifier
from orchard.photos.photo import Photo
from orchard.tables.columns import PREDICTIONS
from pyspark import SparkContext

from tests.classifier.examples import FACTS
from tests.classifier.prediction.predicting import NOTHING, Predicted, assert_same, predict_in
from tests.runs import Output

pytestmark = pytest.mark.usefixtures("weights")


def test_predict_table(whole: Predicted, features: Output, saved: Saved) -> None:
    said = saved.model.predict(features.matrix("features", "features"))
    rows = whole.rows("predictions")
    assert [row["path"] for row in rows] == features.paths("features")
    np.testing.assert_allclose([row["probabilities"] for row in rows], said.probabilities, atol=1e-6)
    np.testing.assert_allclose([row["probability"] for row in rows], said.probabilities.max(axis=1), atol=1e-6)
    np.testing.assert_allclose([row["unfamiliarity"] for row in rows], said.unfamiliarity, rtol=1e-6, atol=1e-4)
    assert [row["class"] for row in rows] == [saved.model.classes[best] for best in said.best]
    assert [row["unsure"] for row in rows] == said.unsure.tolist()
    assert 0 < said.unsure.sum() < 24
    for row, known in zip(rows, features.rows("features"), strict=True):
        assert {name: row[name] for name in row.keys() & known} == {name: known[name] for name in row.keys() & known}
    assert whole.table("predictions").schema.equals(PREDICTIONS)
    assert whole.files() == whole.live_files()


def test_predict_table_saved_classifier(
    context: SparkContext, saved: Saved, drawn: Path, whole: Predicted, tmp_path: Path
) -> None:
    training = pa.table({"path": ["a"], "label": ["a"], "sha256": ["0"], "fold": [0]})
    write_classifier(
        open_classifier_output(str(tmp_path / "it")), saved.model, training, FACTS, spark_version=context.version
    )
    read = read_classifier(str(tmp_path / "it"))
    output = predict_in(context, read, input=drawn, output=tmp_path / "out")
    assert_same(output, whole)
    assert output.report["settings"]["classifier"] == read.facts["folder"]
    # Read from another place, it is the same: nothing is to be done.
    shutil.move(tmp_path / "it", tmp_path / "moved")
    report = predict_in(context, read_classifier(str(tmp_path / "moved")), input=drawn, output=tmp_path / "out").report
    assert report["update"] == NOTHING | {"new": 24}


def test_report_counts_the_answers(whole: Predicted, saved: Saved) -> None:
    report, rows = whole.report, whole.rows("predictions")
    sure = collections.Counter(row["class"] for row in rows if not row["unsure"])
    assert report["answers"] == {name: sure[name] for name in saved.model.classes}
    assert report["unsure"] == sum(row["unsure"] for row in rows)
    assert report["unfamiliar"] == sum(row["unfamiliarity"] > saved.model.limit for row in rows) > 0
    assert report["counts"] == {"listed": 24, "predicted": 24, "rejected": 0}
    assert report["update"] == NOTHING | {"new": 24}
    assert report["classifier"]["folder"] == saved.facts["folder"]
    assert list(report["seconds"]) == ["start", "list", "featurize", "report", "total"]
    assert report["tables"].keys() == {"predictions", "rejected"}


def test_summary_of_a_prediction(whole: Predicted) -> None:
    rows = dict(summary(whole.report, "there/"))
    assert rows["photos"] == "24 = 24 classified + 0 rejected"
    assert rows["predictions"] == "there/predictions"
    assert {"answers", "unsure", "classifier", "speed", "update", "seconds"} < rows.keys()
    assert not {"rejected", "skipped", "hint"} & rows.keys()


def test_summary_of_many_classes(whole: Predicted) -> None:
    answers = {f"c{number}": number for number in range(20)}
    row = dict(summary(whole.report | {"answers": answers}, "out"))["answers"]
    assert row.split(", ")[0] == "19 c19"
    assert row.split(", ")[-1] == f"{sum(range(12))} others"


def test_predictions_table_of_many_rows(saved: Saved) -> None:
    """More rows than are computed at a time, and every byte of the packed flags."""
    rng = np.random.default_rng(1)
    size, count = saved.model.projection.mean.size, 1029
    vectors = rng.normal(saved.model.projection.mean, saved.model.projection.std, (count, size)).astype(np.float32)
    kept = [(Photo(f"a/{number}", "a", number, number), f"{number:064x}") for number in range(count)]
    table = predictions_table(saved.model, kept, vectors)
    said = saved.model.predict(vectors)
    assert table.schema.equals(PREDICTIONS)
    table.validate(full=True)
    assert table.column("unsure").to_pylist() == said.unsure.tolist()
    np.testing.assert_allclose(table.column("probability").to_pylist(), said.probabilities.max(axis=1), atol=1e-6)
    assert table.column("sha256").to_pylist() == [sha256 for _, sha256 in kept]


def test_count_answers_rounding(saved: Saved) -> None:
    model = replace(saved.model, limit=0.1)
    distances = [np.float32(0.1), np.nextafter(np.float32(0.1), np.float32(1)), np.float32(0.05)]
    names = list(itertools.islice(itertools.cycle(model.classes), 3))
    table = pa.table(
        {"class": names, "unsure": [False, True, True], "unfamiliarity": pa.array(distances, pa.float32())}
    )
    counted = count_answers(table, model)
    assert (counted["unsure"], counted["unfamiliar"]) == (2, 1)
    assert sum(counted["answers"].values()) == 1
