"""Whole runs on photos the tests make."""

from __future__ import annotations

import io
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from orchard.errors import InputError, OutputError, UsageError
from orchard.network.weights import BakedWeights
from PIL import Image
from pyspark.sql import SparkSession

from tests.runs import Output, cluster_environ, orchard, run_in

pytestmark = pytest.mark.usefixtures("weights")
TOLERANCE = 1e-5
# Two float32 implementations of one network add up in another order; features reach 6.
RUNTIME_TOLERANCE = 1e-4


def image_bytes(image: Image.Image, kind: str) -> bytes:
    sink = io.BytesIO()
    image.save(sink, kind)
    return sink.getvalue()


def damaged(png: bytes) -> bytes:
    return png[:60] + bytes(40) + png[100:]


def make_orchard_of_troubles(folder: Path, drawn: Path) -> tuple[set[str], dict[str, str]]:
    """Good photos of every kind and bad ones of every kind; the good paths, and reason by bad path."""
    jpeg = next(drawn.rglob("0_100.jpg")).read_bytes()
    image = Image.open(io.BytesIO(jpeg))
    sixteen_bit = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 256)
    good = {
        "Grey/l.png": image_bytes(image.convert("L"), "PNG"),
        "Grey/16.png": image_bytes(sixteen_bit, "PNG"),
        "Modes/palette.gif": image_bytes(image.convert("P"), "GIF"),
        "Modes/alpha.png": image_bytes(image.convert("RGBA"), "PNG"),
        "Modes/cmyk.jpg": image_bytes(image.convert("CMYK"), "JPEG"),
        "Modes/really a png.jpg": image_bytes(image, "PNG"),
        "Deep/er/and/deeper/0.JPEG": jpeg,
        "Names/with space.jpg": jpeg,
        "Names/100%.jpg": jpeg,
        "Names/%41#1.jpg": jpeg,
        "Names/été à Ōsaka.jpg": jpeg,
        "Names/🍎🍐.jpg": jpeg,
        "at the top.jpg": jpeg,
    }
    bad = {
        "Bad/empty.jpg": (b"", "empty"),
        "Bad/text.jpg": (b"not a photo at all", "not_an_image"),
        "Bad/truncated.jpg": (jpeg[:-700], "truncated"),
        "Bad/damaged.png": (damaged(image_bytes(image, "PNG")), "undecodable"),
        "Bad/huge.png": (image_bytes(Image.new("1", (10_001, 10_000)), "PNG"), "too_large"),
    }
    for path, content in {**good, **{path: content for path, (content, _) in bad.items()}}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    (folder / "Bad" / "dangling.jpg").symlink_to("nowhere")
    (folder / "Bad" / "notes.txt").write_text("not listed")
    return set(good), {**{path: reason for path, (_, reason) in bad.items()}, "Bad/dangling.jpg": "gone"}


def test_every_photo_is_featurized_or_rejected(spark: SparkSession, drawn: Path, tmp_path: Path) -> None:
    good, bad = make_orchard_of_troubles(tmp_path / "in", drawn)
    output = run_in(spark, input=tmp_path / "in", output=tmp_path / "out", partitions=3)
    assert {row["path"] for row in output.rows("manifest")} == good | bad.keys()
    assert (
        {row["path"] for row in output.rows("features")} == {row["path"] for row in output.rows("components")} == good
    )
    assert {row["path"]: row["reason"] for row in output.rows("rejected")} == bad
    assert output.report["counts"] == {"listed": len(good) + len(bad), "featurized": len(good), "rejected": len(bad)}
    assert sum(photos for _, photos in output.report["partitions"]) == len(good) + len(bad)
    labels = {row["path"]: row["label"] for row in output.rows("features")}
    assert labels["Deep/er/and/deeper/0.JPEG"] == "deeper"
    assert labels["at the top.jpg"] == "in"
    assert "too_large" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_the_same_photos_give_the_same_result(spark: SparkSession, drawn: Path, tmp_path: Path) -> None:
    one = run_in(spark, input=drawn, output=tmp_path / "one", partitions=1)
    files = list(drawn.rglob("*.jpg"))
    random.Random(5).shuffle(files)
    for file in files:  # created in another order, at another time
        copy = tmp_path / "copy" / file.relative_to(drawn)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    for options in ({"partitions": 7}, {"partitions": 2, "runtime": "tensorflow"}):
        other = run_in(spark, input=tmp_path / "copy", output=tmp_path / "other", overwrite=True, **options)
        assert [row["path"] for row in other.rows("features")] == [row["path"] for row in one.rows("features")]
        exact = "runtime" not in options
        np.testing.assert_allclose(
            other.matrix("features", "features"),
            one.matrix("features", "features"),
            rtol=0,
            atol=0 if exact else RUNTIME_TOLERANCE,
        )
        assert other.report["pca"]["k"] == one.report["pca"]["k"]
        np.testing.assert_allclose(
            other.report["pca"]["explained_variance_ratio"],
            one.report["pca"]["explained_variance_ratio"],
            atol=TOLERANCE,
        )
        components = other.matrix("components", "components"), one.matrix("components", "components")
        np.testing.assert_allclose(*components, atol=TOLERANCE if exact else 50 * RUNTIME_TOLERANCE)


def test_folders_named_from_here_serve_a_cluster_whose_tasks_are_elsewhere(
    spark: SparkSession, weights: BakedWeights, drawn: Path, tmp_path: Path
) -> None:
    named = ("--input", drawn.name, "--output", os.path.relpath(tmp_path / "out", drawn.parent))
    with_weights = ("--weights", os.path.relpath(weights.folder, drawn.parent))
    done = orchard(
        "run",
        *named,
        *with_weights,
        "--master",
        "local-cluster[1,1,1024]",
        environ=cluster_environ(tmp_path),
        cwd=drawn.parent,
    )
    assert done.returncode == 0, done.stderr
    whole = run_in(spark, input=drawn, output=tmp_path / "whole")
    assert Output(tmp_path / "out").table("features").equals(whole.table("features"))


def test_first_varieties_and_photos(spark: SparkSession, drawn: Path, tmp_path: Path) -> None:
    output = run_in(spark, input=drawn, output=tmp_path / "out", varieties=2, per_variety=3, components=2)
    names = sorted(folder.name for folder in drawn.iterdir())[:2]
    assert [row["path"] for row in output.rows("manifest")] == [
        f"{name}/{photo}_100.jpg" for name in names for photo in range(3)
    ]
    assert output.report["pca"]["k"] == 2
    assert output.report["pca"]["variance_target"] is None
    assert output.matrix("components", "components").shape == (6, 2)


LOAD_WITHOUT_ORCHARD = """
import json, sys
sys.modules["app"] = sys.modules["image"] = None  # an import of Orchard's would fail
from pyspark.ml import PipelineModel
from pyspark.ml.functions import array_to_vector, vector_to_array
from pyspark.sql import SparkSession
spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
output = sys.argv[1]
features = spark.read.parquet(output + "/features").select("path", array_to_vector("features").alias("features"))
reduced = PipelineModel.load(output + "/model").transform(features).select("path", vector_to_array("components").alias("components"))
ours = spark.read.parquet(output + "/components").withColumnRenamed("components", "ours")
worst = max(abs(a - b) for row in reduced.join(ours, "path").collect() for a, b in zip(row.components, row.ours, strict=True))
print(json.dumps({"rows": reduced.join(ours, "path").count(), "worst": worst}))
"""


def test_model_loads_where_orchard_is_not(spark: SparkSession, drawn: Path, tmp_path: Path) -> None:
    import json

    run_in(spark, input=drawn, output=tmp_path / "out")
    command = [sys.executable, "-c", LOAD_WITHOUT_ORCHARD, str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["rows"] == 24
    assert result["worst"] < TOLERANCE


def test_too_little_to_work_on(spark: SparkSession, drawn: Path, tmp_path: Path) -> None:
    (tmp_path / "none" / "Apple").mkdir(parents=True)
    (tmp_path / "bad" / "Apple").mkdir(parents=True)
    for name in ("0.jpg", "1.jpg"):
        (tmp_path / "bad" / "Apple" / name).write_bytes(b"junk")
    for photos, options, message in (
        (tmp_path / "nowhere", {}, "does not exist"),
        (tmp_path / "none", {}, "no photos in it"),
        (tmp_path / "bad", {}, "2 of 2 photos rejected: 2 not_an_image; the first is Apple/0.jpg"),
        (drawn, {"varieties": 1, "per_variety": 1}, "at least 2 featurized photos, got 1"),
        (drawn, {"components": 24}, "--components 24 is more than the 23 that 24 photos give"),
    ):
        with pytest.raises(InputError, match=message):
            run_in(spark, input=photos, output=tmp_path / "out", **options)
        assert not (tmp_path / "out").exists()


def test_max_rejected(spark: SparkSession, drawn: Path, tmp_path: Path) -> None:
    photos = tmp_path / "in"
    shutil.copytree(drawn, photos)
    for number in range(6):
        (photos / f"bad{number}.jpg").write_bytes(b"junk")
    with pytest.raises(InputError, match=r"6 of 30 photos rejected, more than --max-rejected 0.1 allows"):
        run_in(spark, input=photos, output=tmp_path / "out", max_rejected=0.1)
    assert run_in(spark, input=photos, output=tmp_path / "out", max_rejected=0.2).report["counts"]["rejected"] == 6


def test_overwrite_replaces_only_when_the_new_output_is_whole(spark: SparkSession, drawn: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    before = run_in(spark, input=drawn, output=out, components=3).report
    with pytest.raises(OutputError, match="--overwrite"):
        run_in(spark, input=drawn, output=out)
    with pytest.raises(InputError):
        run_in(spark, input=drawn, output=out, components=900, overwrite=True)
    assert Output(out).report == before
    assert sorted(path.name for path in out.iterdir()) == [
        "components", "features", "manifest", "model", "rejected", "report.html", "report.json",
    ]  # fmt: skip
    run_in(spark, input=drawn, output=out, components=4, overwrite=True)
    assert Output(out).matrix("components", "components").shape == (24, 4)


def test_input_is_never_written_to(spark: SparkSession, drawn: Path, tmp_path: Path) -> None:
    for output in (drawn, drawn / "out", drawn / "Apple" / "deep"):
        with pytest.raises(UsageError, match="inside --input"):
            run_in(spark, input=drawn, output=output)


def test_command_line_errors_are_one_line(drawn: Path, tmp_path: Path) -> None:
    for arguments, code, message in (
        (["--input", tmp_path / "nowhere"], 1, "does not exist"),
        (["--input", drawn, "--components", 99], 1, "--components 99 is more than the 23"),
        (["--input", drawn, "--variance", 1.5], 2, "--variance is a share"),
        (["--input", drawn, "--weights", tmp_path], 1, "run `orchard weights`"),
        (["--input", drawn, "--backbone", "vgg"], 2, "known ones are mobilenet_v2"),
        (["--input", drawn, "--nonsense"], 2, "unrecognized arguments: --nonsense"),
    ):
        done = orchard("run", "--output", tmp_path / "out", "--master", "local[2]", *arguments)
        assert done.returncode == code, done.stderr
        assert message in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr
        assert done.stdout == ""


def test_sample_dry_run_and_report_commands(spark: SparkSession, tmp_path: Path) -> None:
    import json

    assert orchard("sample", "--output", tmp_path / "photos", "--varieties", 2, "--per-variety", 4).returncode == 0
    planned = json.loads(
        orchard("run", "--input", tmp_path / "photos", "--output", tmp_path / "out", "--dry-run", "--json").stdout
    )
    assert (planned["photos"], planned["partitions"]) == (8, [[0, 2], [1, 2], [2, 2], [3, 2]])
    assert not (tmp_path / "out").exists()
    run_in(spark, input=tmp_path / "photos", output=tmp_path / "out")
    (tmp_path / "out" / "report.html").unlink()
    done = orchard("report", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "8 listed = 8 featurized + 0 rejected" in done.stdout
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000
    assert orchard("report", tmp_path).returncode == 1


def test_whoever_reads_no_further_gets_no_error(weights: BakedWeights, drawn: Path, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [
        sys.executable,
        "-m",
        "orchard",
        "run",
        "--input",
        str(drawn),
        "--output",
        str(tmp_path / "out"),
        "--dry-run",
        "--json",
    ]
    try:
        done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")
