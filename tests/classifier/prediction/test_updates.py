"""A table of predictions that is brought up to date, or left alone."""

from __future__ import annotations

import io
import pickle
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from orchard.classifier.options import PredictOptions
from orchard.classifier.prediction.table import describe, predict_table
from orchard.classifier.saved import Saved
from orchard.console import Reporter
from orchard.errors import InputError, OutputError, UsageError
from orchard.tables.columns import PREDICTIONS
from pyspark import SparkContext

from tests.classifier.prediction.predicting import NOTHING, Predicted, assert_same, predict_in, saved_as
from tests.runs import Output, run_in

pytestmark = pytest.mark.usefixtures("weights")


def test_update_adds_changes_and_removes(
    context: SparkContext, saved: Saved, output: Predicted, photos: Path, tmp_path: Path
) -> None:
    before, files = output.predictions(), sorted(photos.rglob("*.jpg"))
    (photos / "New").mkdir()
    shutil.copy(files[2], photos / "New" / "1.jpg")
    (photos / "New" / "bad.jpg").write_bytes(b"junk")
    files[1].write_bytes(files[9].read_bytes())
    files[7].unlink()
    changed, removed = (str(files[index].relative_to(photos)) for index in (1, 7))
    predict_in(context, saved, input=photos, output=output.folder)
    assert output.report["update"] == {"new": 2, "changed": 1, "removed": 1, "kept": 22, "retried": 0}
    after = output.predictions()
    assert after.keys() == (before.keys() | {"New/1.jpg"}) - {removed}
    assert {path for path in before if path in after and after[path] != before[path]} == {changed}
    assert [row["reason"] for row in output.rows("rejected")] == ["not_an_image"]
    assert output.report["rejected_by_reason"] == {"not_an_image": 1}
    assert_same(output, predict_in(context, saved, input=photos, output=tmp_path / "fresh"))


def test_update_keep_removed(context: SparkContext, saved: Saved, output: Predicted, photos: Path) -> None:
    next(photos.rglob("*.jpg")).unlink()
    predict_in(context, saved, input=photos, output=output.folder, keep_removed=True)
    assert len(output.predictions()) == 24
    predict_in(context, saved, input=photos, output=output.folder)
    assert len(output.predictions()) == 23
    assert output.report["update"] == NOTHING | {"removed": 1, "kept": 23}


def test_up_to_date_starts_nothing(saved: Saved, output: Predicted, drawn: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in output.folder.rglob("*")}

    def no_spark(*_: object, **__: object) -> Any:
        raise AssertionError("Spark was started")

    options = PredictOptions(classifier="c", input=str(drawn), output=str(output.folder))
    facts = predict_table(saved, options, Reporter(io.StringIO()), open_context=no_spark)
    assert facts == output.report | {"update": NOTHING | {"kept": 24}}
    assert {path: path.stat().st_mtime_ns for path in output.folder.rglob("*")} == before


def test_up_to_date_needs_no_pyspark(saved: Saved, output: Predicted, drawn: Path, tmp_path: Path) -> None:
    (tmp_path / "saved").write_bytes(pickle.dumps(saved))
    code = """
import pickle, sys
from pathlib import Path
sys.modules["pyspark"] = None  # an import of it would fail
from orchard.classifier.options import PredictOptions
from orchard.classifier.prediction.table import predict_table
from orchard.console import Reporter
saved, photos, output = sys.argv[1:]
saved = pickle.loads(Path(saved).read_bytes())
predict_table(saved, PredictOptions(classifier="c", input=photos, output=output), Reporter())
"""
    arguments = [tmp_path / "saved", drawn, output.folder]
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("other", ["folder", "threshold", "limit"])
def test_predict_table_other_classifier(
    other: str, context: SparkContext, saved: Saved, output: Predicted, drawn: Path
) -> None:
    changes: dict[str, Any] = {} if other == "folder" else {other: getattr(saved.model, other) * 0.99}
    folder = "model-fedcba987654" if other == "folder" else saved.facts["folder"]
    another = saved_as(replace(saved.model, **changes), folder)
    with pytest.raises(OutputError, match="--overwrite") as caught:
        predict_in(context, another, input=drawn, output=output.folder)
    assert "\n" not in str(caught.value)
    if other != "folder":
        return
    predict_in(context, another, input=drawn, output=output.folder, overwrite=True)
    assert output.report["update"] == NOTHING | {"new": 24}
    assert output.report["settings"]["classifier"] == "model-fedcba987654"
    assert output.files() == output.live_files()


@pytest.mark.parametrize("name", ["decoding", "fingerprint"])
def test_predict_table_other_features(
    name: str, context: SparkContext, saved: Saved, drawn: Path, tmp_path: Path
) -> None:
    foreign = saved_as(replace(saved.model, settings={**saved.model.settings, name: "0"}))
    with pytest.raises(InputError, match=name):
        predict_in(context, foreign, input=drawn, output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_overwrite_interrupted(context: SparkContext, saved: Saved, output: Predicted, drawn: Path) -> None:
    (output.folder / "predictions.json").unlink()
    predict_in(context, saved, input=drawn, output=output.folder, overwrite=True)
    assert output.report["update"] == NOTHING | {"kept": 24}
    predict_in(context, saved, input=drawn, output=output.folder, overwrite=True)
    assert output.report["update"] == NOTHING | {"new": 24}


def test_max_rejected(context: SparkContext, saved: Saved, output: Predicted, photos: Path) -> None:
    for number in range(6):
        (photos / f"bad{number}.jpg").write_bytes(b"junk")
    with pytest.raises(InputError, match="--max-rejected"):
        predict_in(context, saved, input=photos, output=output.folder, max_rejected=0.1)
    predict_in(context, saved, input=photos, output=output.folder, max_rejected=0.2)
    assert output.report["counts"] == {"listed": 30, "predicted": 24, "rejected": 6}


def test_predict_table_few_photos(context: SparkContext, saved: Saved, drawn: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "0.jpg").write_bytes(b"")
    output = predict_in(context, saved, input=tmp_path / "in", output=tmp_path / "out")
    assert output.report["counts"] == {"listed": 1, "predicted": 0, "rejected": 1}
    assert output.report["rejected_by_reason"] == {"empty": 1}
    assert output.table("predictions").schema.equals(PREDICTIONS)
    shutil.copy(next(drawn.rglob("*.jpg")), tmp_path / "in" / "0.jpg")
    predict_in(context, saved, input=tmp_path / "in", output=tmp_path / "out")
    assert output.report["update"] == NOTHING | {"changed": 1}
    assert output.paths("predictions") == ["0.jpg"]


def test_outputs_of_others_are_refused(
    context: SparkContext, saved: Saved, features: Output, whole: Predicted, drawn: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine" / "predictions").mkdir(parents=True)
    (tmp_path / "mine" / "predictions" / "mine.csv").write_text("a,b")
    for folder, error in ((features.folder, OutputError), (tmp_path / "mine", OutputError), (drawn, UsageError)):
        for overwrite in (False, True):
            with pytest.raises(error, match="--output"):
                predict_in(context, saved, input=drawn, output=folder, overwrite=overwrite)
    with pytest.raises(OutputError, match="--output"):
        run_in(context, input=drawn, output=whole.folder, overwrite=True)


def test_describe_writes_nothing(saved: Saved, photos: Path, tmp_path: Path) -> None:
    options = PredictOptions(classifier="c", input=str(photos), output=str(tmp_path / "out"), partitions=4)
    plan = describe(saved, options)
    assert (plan["to featurize"], plan["update"], plan["classifier"]) == (
        24,
        NOTHING | {"new": 24},
        saved.facts["folder"],
    )
    assert plan["partitions"] == [[0, 6], [1, 6], [2, 6], [3, 6]]
    assert not (tmp_path / "out").exists()
