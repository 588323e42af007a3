"""Runs that ended before their time and go on: in one process, at a moment of the test's choosing."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from orchard.errors import InputError, OutputError, UsageError
from orchard.features.job import TaskReport
from orchard.legacy.steps import check_landed
from orchard.network.weights import BakedWeights
from orchard.pca import job as reduction
from orchard.pca.model import read_model
from orchard.storage.stores import Stored, open_store
from orchard.tables import parquet
from pyspark.sql import SparkSession

from tests.runs import Output, identities, orchard, run_in

pytestmark = pytest.mark.usefixtures("weights")
# 24 good photos and 2 bad ones in partitions of 3: chunks of 6, 6, 6, 6 and 2.
CUT: dict[str, Any] = {"partitions": 9, "chunk": 6}


@pytest.fixture
def photos(drawn: Path, tmp_path: Path) -> Path:
    """Photos of which the last two are bad."""
    shutil.copytree(drawn, tmp_path / "in")
    for number in range(2):
        (tmp_path / "in" / "Zucchini").mkdir(exist_ok=True)
        (tmp_path / "in" / "Zucchini" / f"{number}.jpg").write_bytes(b"junk")
    return tmp_path / "in"


def cut_off(spark: SparkSession, photos: Path, output: Path, **more: Any) -> set[tuple[int, int]]:
    """A run that fails in its last chunk, the one with the bad photos; the feature files that it leaves."""
    with pytest.raises(InputError, match="2 of 26 photos rejected, more than --max-rejected 0") as failure:
        run_in(spark, input=photos, output=output, max_rejected=0.0, **{**CUT, **more})
    assert failure.value.__notes__ == ["5 of 5 chunks are kept: continue with --resume"]
    return identities(output.glob(".partial/chunks/*/*.parquet"))


def test_a_resumed_run_is_an_unbroken_one_to_the_bit(spark: SparkSession, photos: Path, tmp_path: Path) -> None:
    unbroken = run_in(spark, input=photos, output=tmp_path / "unbroken", **CUT)
    left = cut_off(spark, photos, tmp_path / "out")
    for number in (1, 3):  # and as if it had ended there
        (tmp_path / "out" / ".partial" / "chunks" / f"00000{number}.json").unlink()
    resumed = run_in(spark, input=photos, output=tmp_path / "out", resume=True, **CUT)
    for table in ("features", "components", "manifest", "rejected"):
        assert resumed.table(table).equals(unbroken.table(table))
    assert resumed.table("manifest").column("chunk").to_pylist() == [0] * 6 + [1] * 6 + [2] * 6 + [3] * 6 + [4] * 2
    assert len(left & identities((tmp_path / "out" / "features").glob("*.parquet"))) == 4  # those of chunks 0 and 2
    assert resumed.report["chunks"] == {"total": 5, "resumed": 3}
    for fact in ("counts", "partitions", "pca", "rejected_by_reason"):
        assert resumed.report[fact] == unbroken.report[fact]
    assert sorted(path.name for path in resumed.folder.iterdir() if path.name.startswith(".")) == []


def test_a_resumed_run_is_fitted_as_it_began_on_whatever_slots(
    spark: SparkSession, photos: Path, tmp_path: Path
) -> None:
    unbroken = run_in(spark, input=photos, output=tmp_path / "unbroken", **CUT)
    cut_off(spark, photos, tmp_path / "out")
    first = tmp_path / "out" / ".partial" / "chunks" / "000000.json"
    began = json.loads(first.read_text())
    assert began["slots"] == spark.sparkContext.defaultParallelism != 7
    first.write_text(json.dumps({**began, "slots": 7}))
    resumed = run_in(spark, input=photos, output=tmp_path / "out", resume=True, **CUT)
    store = open_store(str(resumed.folder))
    expected = reduction.fit(spark, store, parquet.files(store, "features"), feature_size=1280, slots=7)
    ours, other = (
        read_model(open_store(str(run.folder)), "model", expected.explained_variance_ratio)
        for run in (resumed, unbroken)
    )
    assert ours.loadings.tobytes() == expected.loadings.tobytes() != other.loadings.tobytes()


def test_chunks_do_not_change_the_result(spark: SparkSession, photos: Path, tmp_path: Path) -> None:
    many, one = (
        run_in(spark, input=photos, output=tmp_path / str(chunk), partitions=9, chunk=chunk) for chunk in (1, 100)
    )
    assert (many.report["chunks"]["total"], one.report["chunks"]["total"]) == (9, 1)
    for table in ("features", "components", "rejected"):
        assert many.table(table).equals(one.table(table))
    names = [[path.name[:10] for path in sorted((run.folder / "features").glob("*.parquet"))] for run in (many, one)]
    assert names[0] == names[1] == [f"part-{number:05}" for number in range(9)][: len(names[0])]


def test_more_may_be_rejected_than_when_it_began(spark: SparkSession, photos: Path, tmp_path: Path) -> None:
    cut_off(spark, photos, tmp_path / "out")
    with pytest.raises(InputError, match=r"--max-rejected 0.01 allows"):
        run_in(spark, input=photos, output=tmp_path / "out", resume=True, max_rejected=0.01, **CUT)
    report = run_in(spark, input=photos, output=tmp_path / "out", resume=True, max_rejected=0.5, **CUT).report
    assert report["chunks"] == {"total": 5, "resumed": 5}


def test_another_run_than_the_one_that_was_cut_off_is_refused(
    spark: SparkSession, photos: Path, weights: BakedWeights, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    cut_off(spark, photos, out)
    shutil.copytree(weights.folder, tmp_path / "weights")
    baked = json.loads((tmp_path / "weights" / "manifest.json").read_text())
    (tmp_path / "weights" / "manifest.json").write_text(json.dumps({**baked, "fingerprint": "f00"}))
    for other, difference in (
        ({"varieties": 3}, "has --varieties unset, this one 3"),
        ({"per_variety": 5}, "has --per-variety unset, this one 5"),
        ({"partitions": 8}, "has --partitions 9, this one 8"),
        ({"variance": 0.5}, "has --variance 0.9, this one 0.5"),
        ({"components": 4}, "has --components unset, this one 4"),
        ({"runtime": "tensorflow"}, "has --runtime litert, this one tensorflow"),
        ({"weights": tmp_path / "weights"}, f"has weights with fingerprint {weights.fingerprint}, this one f00"),
        ({"input": photos / "Zucchini"}, f"has --input {photos}, this one {photos}/Zucchini"),
    ):
        with pytest.raises(UsageError, match=r"--resume: the unfinished run in .*out") as refusal:
            run_in(spark, **{"input": photos, "output": out, "resume": True, **CUT, **other})
        assert difference in str(refusal.value)
        assert "give it the same, or start again with --overwrite" in str(refusal.value)
    with pytest.raises(
        OutputError, match="holds 5 of 5 chunks of an unfinished run: continue it with --resume, or start again"
    ):
        run_in(spark, input=photos, output=out, **CUT)
    assert run_in(spark, input=photos, output=out, overwrite=True, **CUT).report["chunks"]["resumed"] == 0


def test_a_changed_input_is_refused(spark: SparkSession, photos: Path, tmp_path: Path) -> None:
    cut_off(spark, photos, tmp_path / "out")
    first = next(path for path in sorted(photos.iterdir()) if path.is_dir()) / "2_100.jpg"
    kept, name, stamp = first.read_bytes(), f"{first.parent.name}/2_100.jpg", first.stat().st_mtime_ns

    def refusal() -> str:
        with pytest.raises(InputError, match="changed since the unfinished run listed it") as refused:
            run_in(spark, input=photos, output=tmp_path / "out", resume=True, **CUT)
        return str(refused.value)

    first.unlink()
    assert f"1 removed; the first is {name}: put it back" in refusal()
    first.write_bytes(kept)
    assert f"1 modified; the first is {name}: put it back" in refusal()
    os.utime(first, ns=(stamp, stamp))
    shutil.copy(first, photos / "new.jpg")
    assert "1 added; the first is new.jpg: put it back" in refusal()
    (photos / "new.jpg").unlink()
    assert run_in(spark, input=photos, output=tmp_path / "out", resume=True, **CUT).report["chunks"]["resumed"] == 5


def test_resuming_what_is_not_there_begins_and_what_is_finished_is_done(
    spark: SparkSession, drawn: Path, tmp_path: Path
) -> None:
    first = run_in(spark, input=drawn, output=tmp_path / "out", resume=True)
    files = {path: path.stat().st_mtime_ns for path in first.folder.rglob("*")}
    again = orchard("run", "--input", drawn, "--output", tmp_path / "out", "--resume", "--json")
    assert (again.returncode, json.loads(again.stdout)) == (0, first.report)
    assert again.stderr == f"orchard: {tmp_path / 'out'} is finished, since {first.report['created']}: nothing to do\n"
    assert {path: path.stat().st_mtime_ns for path in first.folder.rglob("*")} == files
    other = orchard("run", "--input", drawn, "--output", tmp_path / "out", "--resume", "--components", 3)
    assert other.returncode == 2
    assert "the finished run in" in other.stderr
    assert "has --components unset, this one 3" in other.stderr


def test_a_finished_run_is_not_done_where_the_input_has_changed(
    spark: SparkSession, photos: Path, tmp_path: Path
) -> None:
    run_in(spark, input=photos, output=tmp_path / "out")
    shutil.copy(next(photos.rglob("0_100.jpg")), photos / "new.jpg")
    with pytest.raises(
        InputError, match=r"the finished run listed it: 1 added; the first is new.jpg: extend the output with --since"
    ):
        run_in(spark, input=photos, output=tmp_path / "out", resume=True)


def test_an_output_that_was_to_be_replaced_is_not_taken_for_the_new_one(
    spark: SparkSession, photos: Path, tmp_path: Path
) -> None:
    run_in(spark, input=photos, output=tmp_path / "out", per_variety=3, components=3)
    cut_off(spark, photos, tmp_path / "out", overwrite=True)
    for commit in tmp_path.glob("out/.partial/chunks/*.json"):
        commit.unlink()  # as if the process had been killed before the first
    after = run_in(spark, input=photos, output=tmp_path / "out", resume=True, **CUT)
    assert after.report["chunks"] == {"total": 5, "resumed": 0}
    assert len(after.rows("manifest")) == 26


def test_features_that_a_worker_kept_to_itself_are_missed(tmp_path: Path) -> None:
    tasks = [TaskReport(0, 3, 3), TaskReport(1, 3, 0), TaskReport(2, 3, 3)]
    check_landed([Stored("x/part-00000-a.parquet", 1), Stored("x/part-00002-a.parquet", 1)], tasks, "out")
    with pytest.raises(
        OutputError, match=r"2 tasks wrote features, and 1 of their files are there: name a folder that every machine"
    ):
        check_landed([Stored("x/part-00000-a.parquet", 1)], tasks, "out")


def test_a_run_that_replaces_an_output_can_be_gone_on_with_too(
    spark: SparkSession, photos: Path, tmp_path: Path
) -> None:
    before = run_in(spark, input=photos, output=tmp_path / "out", components=3).report
    cut_off(spark, photos, tmp_path / "out", overwrite=True)
    assert Output(tmp_path / "out").report == before
    planned = orchard(
        "run", "--input", photos, "--output", tmp_path / "out", "--partitions", 9, "--resume", "--dry-run", "--json"
    )
    assert json.loads(planned.stdout)["done"] == "5 of 5 chunks"
    run_in(spark, input=photos, output=tmp_path / "out", resume=True, **CUT)
    assert Output(tmp_path / "out").report["pca"]["k"] != 3
