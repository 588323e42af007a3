"""Whole runs on photos the tests make, in one Spark context."""

from __future__ import annotations

import io
import json
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
from pyspark import SparkContext

from tests.runs import Output, cluster_environ, orchard, run_in

pytestmark = pytest.mark.usefixtures("weights")
TOLERANCE = 1e-5
# Two float32 implementations of one network add up in another order; features reach 6.
RUNTIME_TOLERANCE = 1e-4


def image_bytes(image: Image.Image, kind: str) -> bytes:
    sink = io.BytesIO()
    image.save(sink, kind)
    return sink.getvalue()


def make_mixed_folder(folder: Path, drawn: Path) -> tuple[set[str], dict[str, str]]:
    """Good photos of several kinds and bad ones of several kinds; the good paths, and reason by bad path."""
    jpeg = next(drawn.rglob("0_100.jpg")).read_bytes()
    image = Image.open(io.BytesIO(jpeg))
    good = {
        "Grey/l.png": image_bytes(image.convert("L"), "PNG"),
        "Modes/alpha.png": image_bytes(image.convert("RGBA"), "PNG"),
        "Modes/really a png.jpg": image_bytes(image, "PNG"),
        "Deep/er/and/deeper/0.JPEG": jpeg,
        "Names/%41#1.jpg": jpeg,
        "Names/été à Ōsaka 🍎.jpg": jpeg,
        "at the top.jpg": jpeg,
    }
    bad = {
        "Bad/empty.jpg": (b"", "empty"),
        "Bad/text.jpg": (b"not a photo at all", "not_an_image"),
        "Bad/truncated.jpg": (jpeg[:-700], "truncated"),
        "Bad/huge.png": (image_bytes(Image.new("1", (10_001, 10_000)), "PNG"), "too_large"),
    }
    for path, content in {**good, **{path: content for path, (content, _) in bad.items()}}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    (folder / "Bad" / "dangling.jpg").symlink_to("nowhere")
    (folder / "Bad" / "notes.txt").write_text("not listed")
    return set(good), {**{path: reason for path, (_, reason) in bad.items()}, "Bad/dangling.jpg": "gone"}


def test_run_featurizes_or_rejects_every_photo(context: SparkContext, drawn: Path, tmp_path: Path) -> None:
    good, bad = make_mixed_folder(tmp_path / "in", drawn)
    output = run_in(context, input=tmp_path / "in", output=tmp_path / "out", partitions=3)
    assert set(output.paths("features")) == set(output.paths("components")) == good
    assert {row["path"]: row["reason"] for row in output.rows("rejected")} == bad
    report = output.report
    assert report["counts"] == {"listed": len(good) + len(bad), "featurized": len(good), "rejected": len(bad)}
    assert report["input"]["skipped"] == {".txt": 1}
    assert sum(photos for _, photos in report["partitions"]) == len(good) + len(bad)
    labels = {row["path"]: row["label"] for row in output.rows("features")}
    assert labels["Deep/er/and/deeper/0.JPEG"] == "deeper"
    assert labels["at the top.jpg"] == "in"
    assert output.files() == output.live_files()
    # A dangling link is no failure of the storage: the output is up to date.
    run_in(context, input=tmp_path / "in", output=tmp_path / "out")
    assert output.report == report


def test_run_gives_the_same_rows_in_any_partitioning(context: SparkContext, drawn: Path, tmp_path: Path) -> None:
    one = run_in(context, input=drawn, output=tmp_path / "one", partitions=1)
    files = list(drawn.rglob("*.jpg"))
    random.Random(5).shuffle(files)
    for file in files:  # created in another order, at another time
        copy = tmp_path / "copy" / file.relative_to(drawn)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    other = run_in(context, input=tmp_path / "copy", output=tmp_path / "other", partitions=7)
    assert other.features() == one.features()
    assert other.report["pca"]["k"] == one.report["pca"]["k"]
    assert other.components().keys() == one.components().keys()
    for path, components in other.components().items():
        np.testing.assert_allclose(components, one.components()[path], atol=TOLERANCE)


def test_run_with_either_runtime(context: SparkContext, drawn: Path, tmp_path: Path) -> None:
    one, other = (
        run_in(context, input=drawn, output=tmp_path / runtime, runtime=runtime) for runtime in ("litert", "tensorflow")
    )
    expected, found = (output.matrix("features", "features") for output in (one, other))
    np.testing.assert_allclose(found, expected, rtol=0, atol=RUNTIME_TOLERANCE)
    with pytest.raises(OutputError, match="runtime litert"):
        run_in(context, input=drawn, output=one.folder, runtime="tensorflow")
    again = run_in(context, input=drawn, output=one.folder, runtime="tensorflow", overwrite=True)
    assert again.features() == other.features()


def test_run_on_a_cluster_with_relative_paths(
    context: SparkContext, weights: BakedWeights, drawn: Path, tmp_path: Path
) -> None:
    named = ("--input", drawn.name, "--output", Path("..") / tmp_path.relative_to(drawn.parents[1]) / "out")
    weights_from_here = Path(weights.folder)
    done = orchard(
        "run",
        *named,
        *("--weights", weights_from_here),
        *("--master", "local-cluster[1,1,1024]"),
        environ=cluster_environ(tmp_path),
        cwd=drawn.parent,
    )
    assert done.returncode == 0, done.stderr
    whole = run_in(context, input=drawn, output=tmp_path / "whole")
    output = Output(drawn.parent / named[3])
    assert output.features() == whole.features()
    assert output.report["input"]["uri"] == str(drawn)


def test_run_varieties_per_variety_components(context: SparkContext, drawn: Path, tmp_path: Path) -> None:
    output = run_in(context, input=drawn, output=tmp_path / "out", varieties=2, per_variety=3, components=2)
    names = sorted(folder.name for folder in drawn.iterdir())[:2]
    assert output.paths("features") == [f"{name}/{photo}_100.jpg" for name in names for photo in range(3)]
    assert (output.report["pca"]["k"], output.report["pca"]["variance_target"]) == (2, None)
    assert output.matrix("components", "components").shape == (6, 2)


LOAD_WITHOUT_ORCHARD = """
import json, sys
sys.modules["orchard"] = None  # an import of Orchard's would fail
from pyspark.ml import PipelineModel
from pyspark.ml.functions import array_to_vector, vector_to_array
from pyspark.sql import SparkSession
spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
output = sys.argv[1]
features = spark.read.parquet(output + "/features").select("path", array_to_vector("features").alias("features"))
model = PipelineModel.load(output + "/model")
reduced = model.transform(features).select("path", vector_to_array("components").alias("components"))
ours = spark.read.parquet(output + "/components").withColumnRenamed("components", "ours")
rows = reduced.join(ours, "path").collect()
worst = max(abs(a - b) for row in rows for a, b in zip(row.components, row.ours, strict=True))
print(json.dumps({"rows": len(rows), "rejected": spark.read.parquet(output + "/rejected").count(), "worst": worst}))
"""


def test_run_output_is_loaded_by_stock_pyspark(context: SparkContext, drawn: Path, tmp_path: Path) -> None:
    run_in(context, input=drawn, output=tmp_path / "out")
    command = [sys.executable, "-c", LOAD_WITHOUT_ORCHARD, str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert (result["rows"], result["rejected"]) == (24, 0)
    assert result["worst"] < TOLERANCE


def test_run_refuses_too_little_input(context: SparkContext, drawn: Path, tmp_path: Path) -> None:
    (tmp_path / "none" / "Apple").mkdir(parents=True)
    for photos, options, named in (
        (tmp_path / "nowhere", {}, "--input"),
        (tmp_path / "none", {}, "--input"),
        (drawn, {"varieties": 1, "per_variety": 1}, "got 1"),
        (drawn, {"components": 24}, "--components 24"),
    ):
        with pytest.raises(InputError, match=named):
            run_in(context, input=photos, output=tmp_path / "out", **options)
        assert not (tmp_path / "out").exists()


def test_run_without_a_photo_that_decodes(context: SparkContext, tmp_path: Path) -> None:
    (tmp_path / "in" / "Apple").mkdir(parents=True)
    for name in ("0.jpg", "1.jpg"):
        (tmp_path / "in" / "Apple" / name).write_bytes(b"junk")
    with pytest.raises(InputError, match="2 not_an_image"):
        run_in(context, input=tmp_path / "in", output=tmp_path / "out")
    assert Output(tmp_path / "out").paths("rejected") == ["Apple/0.jpg", "Apple/1.jpg"]


def test_run_max_rejected(context: SparkContext, drawn: Path, tmp_path: Path) -> None:
    photos = tmp_path / "in"
    shutil.copytree(drawn, photos)
    for number in range(6):
        (photos / f"bad{number}.jpg").write_bytes(b"junk")
    with pytest.raises(InputError, match="--max-rejected"):
        run_in(context, input=photos, output=tmp_path / "out", max_rejected=0.1)
    output = run_in(context, input=photos, output=tmp_path / "out", max_rejected=0.2)
    assert output.report["counts"]["rejected"] == 6
    assert output.report["update"]["kept"] == 30


def test_run_never_writes_to_its_input(context: SparkContext, drawn: Path, tmp_path: Path) -> None:
    for output in (drawn, drawn / "out", drawn / "Apple" / "deep"):
        with pytest.raises(UsageError, match="--input"):
            run_in(context, input=drawn, output=output)


def test_run_names_copies_between_folders(context: SparkContext, drawn: Path, tmp_path: Path) -> None:
    photos = sorted(drawn.rglob("*.jpg"))[:3]
    names = {
        "Train/a/0.jpg": 0,
        "Train/a/1.jpg": 1,
        "Train/b/0.jpg": 0,
        "Test/c/0.jpg": 0,
        "Test/c/1.jpg": 1,
        "Test/a/2.jpg": 2,
    }
    for name, number in names.items():
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(photos[number].read_bytes())
    copies = run_in(context, input=tmp_path / "in", output=tmp_path / "out").report["copies"]
    assert (copies["exact"], copies["across_splits"], copies["pairs"]) == (3, 2, 3)
    assert copies["folders"][0] == {"first": "Test/c", "second": "Train/a", "photos": 2}
