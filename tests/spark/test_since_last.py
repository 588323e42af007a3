"""Outputs that grow with their input, a delivery at a time."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from orchard.errors import InputError, UsageError
from orchard.legacy.extension import Base, Extension
from orchard.legacy.rewriting import touched
from orchard.photos.access import REASONS
from orchard.photos.sample import draw_samples
from orchard.photos.source import Rejection
from orchard.storage.stores import LocalStore
from pyspark.ml import PipelineModel
from pyspark.ml.functions import array_to_vector
from pyspark.sql import SparkSession
from pyspark.sql.functions import col

from tests.runs import Output, identities, orchard, run_in

pytestmark = pytest.mark.usefixtures("weights")
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def template(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """18 photos, the last of them bad, in `in/`; their output in `out/`; deliveries in `more/`."""
    folder = tmp_path_factory.mktemp("template")
    draw_samples(folder / "more", varieties=4, per_variety=6, seed=11)
    shutil.copytree(folder / "more", folder / "in", ignore=shutil.ignore_patterns("[3-5]_100.jpg"))
    for number in range(6):
        (folder / "in" / "Zucchini").mkdir(exist_ok=True)
        (folder / "in" / "Zucchini" / f"{number}.jpg").write_bytes(
            b"junk" if number == 5 else photo(folder / "more", number)
        )
    run_in(spark, input=folder / "in", output=folder / "out", partitions=6)
    return folder


def photo(folder: Path, number: int) -> bytes:
    return sorted(folder.rglob("*.jpg"))[number].read_bytes()


@pytest.fixture
def place(template: Path, tmp_path: Path) -> Path:
    """A copy of the template that a test may change; the input keeps its place, which is part of what a run is."""
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    for path in template.rglob("in/**/*.jpg"):
        stamp = path.stat().st_mtime_ns
        os.utime(tmp_path / path.relative_to(template), ns=(stamp, stamp))
    report = tmp_path / "out" / "report.json"
    report.write_text(report.read_text().replace(str(template), str(tmp_path)))
    return tmp_path


def deliver(place: Path, number: int) -> list[str]:
    """Put the photos of one number, of every variety, into the input; their paths."""
    found = [path.relative_to(place / "more") for path in sorted(place.glob(f"more/*/{number}_100.jpg"))]
    for path in found:
        shutil.copy(place / "more" / path, place / "in" / path)
    return [str(path) for path in found]


def extend(spark: SparkSession, place: Path, **more: Any) -> Output:
    return run_in(spark, **{"input": place / "in", "output": place / "out", "since_last": True, **more})


def files_of(output: Output, table: str) -> set[tuple[int, int]]:
    return identities((output.folder / table).glob("*.parquet"))


def vectors(output: Output, table: str, column: str) -> dict[str, list[float]]:
    rows = output.rows(table)
    assert len({row["path"] for row in rows}) == len(rows)
    return {row["path"]: row[column] for row in rows}


def test_only_new_photos_are_featurized(spark: SparkSession, place: Path) -> None:
    before = Output(place / "out")
    report, listing = before.report, before.table("manifest")
    files = {table: files_of(before, table) for table in ("features", "components")}
    old = {table: vectors(before, table, table) for table in files}
    model = {
        path.relative_to(place): path.read_bytes() for path in (place / "out" / "model").rglob("*") if path.is_file()
    }
    added = deliver(place, 3)
    after = extend(spark, place)
    assert after.report["counts"] == {"listed": 22, "featurized": 21, "rejected": 1}
    assert after.report["since_last"] == {
        "extends": report["created"], "kept": 18, "added": 4, "modified": 0, "removed": 0, "refit": False,
    }  # fmt: skip
    assert after.table("manifest").slice(0, 18).equals(listing)
    assert after.table("manifest").column("path").to_pylist()[18:] == added
    assert after.table("manifest").column("chunk").to_pylist() == [0] * 18 + [1] * 4
    assert after.report["partitions"] == [*report["partitions"], [6, 1], [7, 1], [8, 1], [9, 1]]
    for table in files:
        new = vectors(after, table, table)
        assert files[table] < files_of(after, table)  # the very files
        assert {path: new[path] for path in old[table]} == old[table]
        assert sorted(set(new) - set(old[table])) == added
    assert {
        path.relative_to(place): path.read_bytes() for path in (place / "out" / "model").rglob("*") if path.is_file()
    } == model
    stock = PipelineModel.load(str(place / "out" / "model"))
    frame = spark.read.parquet(str(place / "out" / "features")).select(
        "path", array_to_vector(col("features")).alias("features")
    )
    reduced = {row.path: row.components.toArray() for row in stock.transform(frame).collect()}
    for path, components in vectors(after, "components", "components").items():
        np.testing.assert_allclose(components, reduced[path], atol=TOLERANCE)
    html = (place / "out" / "report.html").read_text(encoding="utf-8")
    assert "21" in html


def test_a_delivery_after_a_delivery_and_refitting_are_as_one_run(spark: SparkSession, place: Path) -> None:
    deliver(place, 3)
    extend(spark, place, partitions=1)
    deliver(place, 4)
    after = extend(spark, place, refit=True)
    assert after.report["since_last"]["kept"] == 22
    assert after.report["since_last"]["refit"]
    assert [photos for _, photos in after.report["partitions"]][6:] == [4, 1, 1, 1, 1]
    at_once = run_in(spark, input=place / "in", output=place / "at once")
    assert vectors(after, "features", "features") == vectors(at_once, "features", "features")
    assert after.report["pca"]["k"] == at_once.report["pca"]["k"]
    np.testing.assert_allclose(
        after.matrix("components", "components"), at_once.matrix("components", "components"), atol=TOLERANCE
    )
    assert after.rows("rejected") == at_once.rows("rejected")


def test_a_changed_photo_replaces_its_rows_and_a_removed_one_stays(spark: SparkSession, place: Path) -> None:
    before = Output(place / "out")
    created, files, old = (
        before.report["created"],
        files_of(before, "features"),
        vectors(before, "features", "features"),
    )
    changed, broken, mended, gone = "Zucchini/0.jpg", "Zucchini/1.jpg", "Zucchini/5.jpg", sorted(old)[0]
    (place / "in" / changed).write_bytes(photo(place / "more", 17))
    (place / "in" / broken).write_bytes(b"junk now")
    (place / "in" / mended).write_bytes(photo(place / "more", 18))
    (place / "in" / gone).unlink()
    after = extend(spark, place)
    assert after.report["since_last"] == {
        "extends": created, "kept": 15, "added": 0, "modified": 3, "removed": 1, "refit": False,
    }  # fmt: skip
    new = vectors(after, "features", "features")
    assert new.keys() == (old.keys() | {mended}) - {broken}
    assert new.keys() == vectors(after, "components", "components").keys()
    assert [path for path in new if new[path] != old.get(path)] == [changed, mended]
    assert [(row["path"], row["reason"]) for row in after.rows("rejected")] == [(broken, "not_an_image")]
    assert after.report["counts"] == {"listed": 18, "featurized": 17, "rejected": 1}
    assert sum(photos for _, photos in after.report["partitions"]) == 18
    assert len(files & files_of(after, "features")) == 5  # all but the one that has the changed photos' rows
    assert len(after.rows("manifest")) == 18


@dataclass(frozen=True)
class Frugal(LocalStore):
    """A folder of which no whole file is read."""

    def read(self, key: str) -> bytes:
        raise AssertionError(f"{key} is fetched whole")


def test_which_files_have_changed_photos_is_seen_from_their_paths_alone(place: Path) -> None:
    store = Frugal(str(place / "out"))
    for table in ("features", "components"):
        files = sorted(f"{table}/{path.name}" for path in (place / "out" / table).glob("*.parquet"))
        rows = {key: pq.read_table(place / "out" / key, columns=["path"]).column(0).to_pylist() for key in files}
        assert len(files) > 3
        assert touched(store, files, {rows[files[1]][0], rows[files[3]][-1], "nowhere.jpg"}) == [files[1], files[3]]


def test_a_photo_that_never_had_a_row_has_no_file_written_again() -> None:
    base = Base({}, pa.table({}), "", [Rejection("a.jpg", "x", "gone", "")])
    assert Extension(base, frozenset({"a.jpg", "b.jpg"}), removed=0, refit=False).rewritten == {"b.jpg"}


def test_nothing_new_is_nothing_done(spark: SparkSession, place: Path) -> None:
    (place / "in" / "Zucchini" / "0.jpg").unlink()
    files = {path: path.stat().st_mtime_ns for path in (place / "out").rglob("*")}
    done = orchard("run", "--input", place / "in", "--output", place / "out", "--since-last")
    assert done.returncode == 0, done.stderr
    created = Output(place / "out").report["created"]
    assert (
        done.stderr
        == f"orchard: nothing new since {created}: 18 photos are there, 1 of them are gone from the input but kept here\n"
    )
    assert {path: path.stat().st_mtime_ns for path in (place / "out").rglob("*")} == files


def test_without_an_earlier_output_all_photos_are_new(spark: SparkSession, place: Path) -> None:
    first = run_in(spark, input=place / "in", output=place / "other", since_last=True, partitions=6)
    assert first.report["since_last"] is None
    assert first.table("features").equals(Output(place / "out").table("features"))


def test_a_bad_delivery_is_rejected_and_no_more(spark: SparkSession, place: Path) -> None:
    (place / "in" / "bad.jpg").write_bytes(b"junk")
    after = extend(spark, place)
    assert [row["path"] for row in after.rows("rejected")] == ["Zucchini/5.jpg", "bad.jpg"]
    assert after.report["counts"] == {"listed": 19, "featurized": 17, "rejected": 2}
    (place / "in" / "worse.jpg").write_bytes(b"junk")
    with pytest.raises(InputError, match=r"1 of 1 photos rejected, more than --max-rejected 0.9"):
        extend(spark, place, max_rejected=0.9)
    assert Output(place / "out").report == after.report


@pytest.mark.parametrize("reason", sorted(REASONS))
def test_a_photo_that_the_storage_did_not_give_is_asked_for_again(
    spark: SparkSession, place: Path, reason: str
) -> None:
    (file,) = (place / "out" / "rejected").glob("*.parquet")
    table = pq.read_table(file)
    pq.write_table(table.set_column(2, "reason", pa.array([reason])), file)
    after = extend(spark, place)
    assert [(row["path"], row["reason"]) for row in after.rows("rejected")] == [("Zucchini/5.jpg", "not_an_image")]
    assert after.report["counts"] == {"listed": 18, "featurized": 17, "rejected": 1}


def test_what_does_not_go_together_is_refused(spark: SparkSession, place: Path) -> None:
    deliver(place, 3)
    for other, difference in (
        ({"runtime": "tensorflow"}, "has --runtime litert, this one tensorflow"),
        ({"varieties": 2}, "has --varieties unset, this one 2"),
        ({"variance": 0.5}, "has --variance 0.9, this one 0.5"),
        ({"components": 3}, "has --components unset, this one 3"),
        ({"input": place / "more"}, f"has --input {place}/in, this one {place}/more"),
    ):
        with pytest.raises(UsageError, match=r"--since-last: the output in .*out") as refusal:
            extend(spark, place, **other)
        assert difference in str(refusal.value)
    assert extend(spark, place, components=3, refit=True).report["pca"]["k"] == 3


def test_an_extension_that_was_cut_off_goes_on(spark: SparkSession, place: Path) -> None:
    shutil.copytree(place / "out", place / "kept")
    deliver(place, 3)
    (place / "in" / "Zucchini" / "5.jpg").write_bytes(photo(place / "more", 18))
    (place / "in" / "bad.jpg").write_bytes(b"junk")
    cut: dict[str, Any] = {"partitions": 3, "chunk": 2}
    unbroken = extend(spark, place, output=place / "kept", **cut)
    with pytest.raises(InputError, match="1 of 6 photos rejected") as failure:
        extend(spark, place, max_rejected=0.0, **cut)
    assert failure.value.__notes__ == ["3 of 3 chunks are kept: continue with --resume"]
    assert Output(place / "out").report["counts"]["listed"] == 18
    (place / "out" / ".partial" / "chunks" / "000002.json").unlink()
    with pytest.raises(UsageError, match="has --since-last given, this one not given"):
        run_in(spark, input=place / "in", output=place / "out", resume=True, **cut)
    later = deliver(place, 4)  # is for the next time
    resumed = extend(spark, place, resume=True, **cut)
    assert resumed.report["chunks"] == {"total": 3, "resumed": 2}
    for table in ("manifest", "features", "components", "rejected"):
        assert resumed.table(table).equals(unbroken.table(table))
    assert extend(spark, place, resume=True).report["since_last"]["added"] == len(later)
