"""An output that is brought up to date: deliveries, changes, removals, kept models."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from orchard.console import Reporter
from orchard.errors import OutputError
from orchard.options import JobOptions
from orchard.plan import describe
from orchard.run import run
from pyspark import SparkContext

from tests.runs import Output, run_in

pytestmark = pytest.mark.usefixtures("weights")


@pytest.fixture
def photos(drawn: Path, tmp_path: Path) -> Path:
    """A copy of the drawn photos, to be changed."""
    return Path(shutil.copytree(drawn, tmp_path / "in"))


def update_of(output: Output) -> dict[str, int]:
    return dict(output.report["update"])


def assert_like_new(output: Output, context: SparkContext, photos: Path, fresh: Path) -> None:
    """The output is, row by row, that of a run from nothing; and its folders hold nothing else."""
    new = run_in(context, input=photos, output=fresh)
    assert output.features() == new.features()
    assert output.components().keys() == new.components().keys()
    for path, components in output.components().items():
        np.testing.assert_allclose(components, new.components()[path], atol=1e-5)
    assert output.rows("rejected") == new.rows("rejected")
    assert output.files() == output.live_files()


def change(photos: Path) -> tuple[str, str, str]:
    """Add one photo, change one, remove one; their paths."""
    files = sorted(photos.rglob("*.jpg"))
    added, changed, removed = photos / "New" / "1.jpg", files[1], files[7]
    added.parent.mkdir()
    shutil.copy(files[2], added)
    changed.write_bytes(files[9].read_bytes())
    removed.unlink()
    return tuple(str(path.relative_to(photos)) for path in (added, changed, removed))  # type: ignore[return-value]


def test_update_adds_changes_and_removes(context: SparkContext, photos: Path, tmp_path: Path) -> None:
    output = run_in(context, input=photos, output=tmp_path / "out")
    before = output.features()
    added, changed, removed = change(photos)
    run_in(context, input=photos, output=tmp_path / "out")
    assert update_of(output) == {"new": 1, "changed": 1, "removed": 1, "kept": 22, "retried": 0}
    after = output.features()
    assert after.keys() == (before.keys() | {added}) - {removed}
    assert {path for path in before if path in after and after[path] != before[path]} == {changed}
    assert_like_new(output, context, photos, tmp_path / "fresh")


def test_update_of_an_output_that_is_up_to_date_starts_nothing(
    context: SparkContext, photos: Path, tmp_path: Path
) -> None:
    output = run_in(context, input=photos, output=tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in output.folder.rglob("*")}

    def no_spark(*_: object, **__: object) -> Any:
        raise AssertionError("Spark was started")

    options = JobOptions(input=str(photos), output=str(tmp_path / "out"))
    facts = run(options, Reporter(io.StringIO()), open_context=no_spark)
    assert facts["update"] == {"new": 0, "changed": 0, "removed": 0, "kept": 24, "retried": 0}
    assert {path: path.stat().st_mtime_ns for path in output.folder.rglob("*")} == before


def test_update_with_other_components_fits_again(context: SparkContext, photos: Path, tmp_path: Path) -> None:
    output = run_in(context, input=photos, output=tmp_path / "out")
    files = {path for path in output.files() if path.startswith("features")}
    run_in(context, input=photos, output=tmp_path / "out", components=3)
    assert output.matrix("components", "components").shape == (24, 3)
    assert {path for path in output.files() if path.startswith("features")} == files
    assert update_of(output)["kept"] == 24


def test_update_keep_model_transforms_new_photos_only(context: SparkContext, photos: Path, tmp_path: Path) -> None:
    output = run_in(context, input=photos, output=tmp_path / "out")
    before, files = output.components(), output.files()
    shutil.copy(next(photos.rglob("*.jpg")), photos / "new.jpg")
    run_in(context, input=photos, output=tmp_path / "out", keep_model=True)
    after = output.components()
    assert after.keys() == before.keys() | {"new.jpg"}
    for path in before:
        assert after[path].tobytes() == before[path].tobytes()
    assert {path for path in files if not path.startswith("rejected")} < output.files()
    assert "fit" not in output.report["seconds"]
    added, changed, removed = change(photos)
    run_in(context, input=photos, output=tmp_path / "out", keep_model=True)
    after = output.components()
    assert after.keys() == (before.keys() | {"new.jpg", added}) - {removed}
    assert not np.array_equal(after[changed], before[changed])
    assert output.files() == output.live_files()


def test_update_keep_model_takes_a_model_from_elsewhere(
    context: SparkContext, photos: Path, drawn: Path, tmp_path: Path
) -> None:
    other = run_in(context, input=drawn, output=tmp_path / "other", components=4)
    with pytest.raises(OutputError, match="--keep-model"):
        run_in(context, input=photos, output=tmp_path / "out", keep_model=True)
    assert not (tmp_path / "out").exists()
    shutil.copytree(other.folder / "model", tmp_path / "out" / "model")
    output = run_in(context, input=photos, output=tmp_path / "out", keep_model=True)
    for path, components in other.components().items():
        np.testing.assert_array_equal(output.components()[path], components)


def test_update_after_keep_model_fits_again(context: SparkContext, photos: Path, tmp_path: Path) -> None:
    run_in(context, input=photos, output=tmp_path / "out")
    change(photos)
    run_in(context, input=photos, output=tmp_path / "out", keep_model=True)
    output = run_in(context, input=photos, output=tmp_path / "out")  # no photo changed, but the fit is of others
    assert "fit" in output.report["seconds"]
    assert_like_new(output, context, photos, tmp_path / "fresh")


def test_update_replaces_a_model_that_is_gone_or_another(
    context: SparkContext, photos: Path, drawn: Path, tmp_path: Path
) -> None:
    output = run_in(context, input=photos, output=tmp_path / "out")
    shutil.rmtree(output.folder / "model")
    run_in(context, input=photos, output=tmp_path / "out")
    assert (output.folder / "model" / "metadata").is_dir()
    other = run_in(context, input=drawn, output=tmp_path / "other", components=4)
    shutil.rmtree(output.folder / "model")
    shutil.copytree(other.folder / "model", output.folder / "model")
    run_in(context, input=photos, output=tmp_path / "out", keep_model=True)
    assert output.matrix("components", "components").shape == (24, 4)


@pytest.mark.parametrize("damage", ["log", "missing file", "damaged file"])
def test_overwrite_replaces_a_damaged_output(damage: str, context: SparkContext, photos: Path, tmp_path: Path) -> None:
    output = run_in(context, input=photos, output=tmp_path / "out")
    file = next((output.folder / "features").glob("*.parquet"))
    if damage == "log":
        (output.folder / "features" / "_delta_log" / f"{0:020}.json").write_text("{damaged")
    elif damage == "missing file":
        file.unlink()
    else:
        file.write_bytes(b"PAR1" + bytes(100))
    with pytest.raises(OutputError, match="--overwrite"):
        run_in(context, input=photos, output=tmp_path / "out")
    run_in(context, input=photos, output=tmp_path / "out", overwrite=True)
    assert_like_new(output, context, photos, tmp_path / "fresh")


def test_update_keep_removed(context: SparkContext, photos: Path, tmp_path: Path) -> None:
    output = run_in(context, input=photos, output=tmp_path / "out")
    gone = next(photos.rglob("*.jpg"))
    gone.unlink()
    shutil.copy(next(photos.rglob("*.jpg")), photos / "new.jpg")
    run_in(context, input=photos, output=tmp_path / "out", keep_removed=True)
    assert len(output.paths("features")) == 25
    assert update_of(output) == {"new": 1, "changed": 0, "removed": 0, "kept": 23, "retried": 0}
    run_in(context, input=photos, output=tmp_path / "out")
    assert str(gone.relative_to(photos)) not in output.paths("features")
    assert_like_new(output, context, photos, tmp_path / "fresh")


def test_update_retries_what_the_storage_refused(context: SparkContext, photos: Path, tmp_path: Path) -> None:
    refused, broken = sorted(photos.rglob("*.jpg"))[3:5]
    content = refused.read_bytes()
    refused.unlink()
    refused.symlink_to(tmp_path / "unmounted" / "photo.jpg")
    broken.write_bytes(b"junk")
    output = run_in(context, input=photos, output=tmp_path / "out")
    assert [row["reason"] for row in output.rows("rejected")] == ["gone", "not_an_image"]
    (tmp_path / "unmounted").mkdir()
    (tmp_path / "unmounted" / "photo.jpg").write_bytes(content)
    run_in(context, input=photos, output=tmp_path / "out")
    assert [row["reason"] for row in output.rows("rejected")] == ["not_an_image"]
    assert update_of(output)["changed"] == 1
    assert_like_new(output, context, photos, tmp_path / "fresh")


def test_update_refuses_the_photos_of_another_input(
    context: SparkContext, photos: Path, drawn: Path, tmp_path: Path
) -> None:
    output = run_in(context, input=photos, output=tmp_path / "out")
    before = output.features()
    moved = Path(shutil.copytree(drawn, tmp_path / "other" / "deeper")).parent
    with pytest.raises(OutputError, match="--overwrite"):
        run_in(context, input=moved, output=tmp_path / "out")
    assert output.features() == before
    run_in(context, input=moved, output=tmp_path / "out", overwrite=True)
    assert output.features().keys() == {f"deeper/{path}" for path in before}


def test_overwrite_starts_anew_when_the_run_had_ended(context: SparkContext, photos: Path, tmp_path: Path) -> None:
    output = run_in(context, input=photos, output=tmp_path / "out")
    files = output.files()
    run_in(context, input=photos, output=tmp_path / "out", overwrite=True)
    assert update_of(output)["new"] == 24
    assert files.isdisjoint(output.files())
    # Without its report it counts as interrupted, and is continued.
    os.unlink(output.folder / "report.json")
    run_in(context, input=photos, output=tmp_path / "out", overwrite=True)
    assert update_of(output) == {"new": 0, "changed": 0, "removed": 0, "kept": 24, "retried": 0}


def test_describe_tells_what_a_run_would_do(context: SparkContext, photos: Path, tmp_path: Path) -> None:
    options = JobOptions(input=str(photos), output=str(tmp_path / "out"))
    assert describe(options)["to featurize"] == 24
    assert not (tmp_path / "out").exists()
    output = run_in(context, input=photos, output=tmp_path / "out")
    change(photos)
    before = {path: path.stat().st_mtime_ns for path in output.folder.rglob("*")}
    plan = describe(options)
    assert (plan["to featurize"], plan["partitions"]) == (2, [[0, 1], [1, 1], [2, 0], [3, 0]])
    assert plan["update"] == {"new": 1, "changed": 1, "removed": 1, "kept": 22, "retried": 0}
    assert {path: path.stat().st_mtime_ns for path in output.folder.rglob("*")} == before
