"""Whole runs against features and explained variance that were computed independently, with Keras and NumPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession

from app.weights import BakedWeights
from tests.runs import Output, link_photos, orchard, run_in

FEATURES_TOLERANCE = 1e-4
RATIO_TOLERANCE = 1e-5
PARTITIONS = [[0, 13], [1, 13], [2, 13], [3, 11]]


class Golden:
    def __init__(self, shared: Path, name: str, folder: Path) -> None:
        with np.load(shared / "golden" / f"{name}.npz") as content:
            self.paths = [str(path) for path in content["paths"]]
            self.features = content["features"]
            self.ratio = content["explained_variance_ratio"]
            self.k = int(content["k90"])
        self.photos = link_photos(folder / name, shared / "fruits-360", self.paths)

    def assert_same(self, output: Output) -> None:
        rows = {row["path"]: row["features"] for row in output.rows("features")}
        found = np.array([rows["/".join(path.split("/")[-2:])] for path in self.paths])
        np.testing.assert_allclose(found, self.features, atol=FEATURES_TOLERANCE)
        pca = output.report["pca"]
        assert pca["k"] == self.k
        ratio = pca["explained_variance_ratio"]
        np.testing.assert_allclose(ratio, self.ratio[: len(ratio)], atol=RATIO_TOLERANCE)
        np.testing.assert_allclose(self.ratio[len(ratio) :], 0, atol=RATIO_TOLERANCE)
        assert output.matrix("components", "components").shape == (len(self.paths), self.k)


@pytest.fixture(scope="module", params=["sample50", "original20"])
def golden(request: pytest.FixtureRequest, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Golden:
    return Golden(shared, request.param, tmp_path_factory.mktemp("golden"))


@pytest.mark.parametrize("runtime", ["litert", "tensorflow"])
def test_both_runtimes_give_the_golden_features(
    spark: SparkSession, weights: BakedWeights, golden: Golden, runtime: str, tmp_path: Path
) -> None:
    output = run_in(spark, input=golden.photos, output=tmp_path / "out", runtime=runtime)
    golden.assert_same(output)
    assert output.report["runtime"] == runtime
    assert output.report["counts"] == {"listed": len(golden.paths), "featurized": len(golden.paths), "rejected": 0}
    if len(golden.paths) == 50:
        assert output.report["partitions"] == PARTITIONS


def test_command_line_runs_the_reference_experiment(shared: Path, weights: BakedWeights, tmp_path: Path) -> None:
    golden = Golden(shared, "sample50", tmp_path)
    done = orchard("run", "--input", golden.photos, "--output", tmp_path / "out", "--partitions", 4, "--master", "local[2]")
    assert done.returncode == 0, done.stderr
    output = Output(tmp_path / "out")
    golden.assert_same(output)
    assert output.report["partitions"] == PARTITIONS
    assert "50 listed = 50 featurized + 0 rejected" in done.stdout
    assert "17 keep 90.2% of the variance" in done.stdout
    assert "Traceback" not in done.stderr
    assert "WARN" not in done.stderr
