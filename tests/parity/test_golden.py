"""Whole runs against features and explained variance that were computed independently, with Keras and NumPy."""

from __future__ import annotations

from pathlib import Path

import pytest
from orchard.network.weights import BakedWeights
from pyspark.sql import SparkSession

from tests.golden import PARTITIONS, Golden
from tests.runs import Output, orchard, run_in


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
    done = orchard(
        "run", "--input", golden.photos, "--output", tmp_path / "out", "--partitions", 4, "--master", "local[2]"
    )
    assert done.returncode == 0, done.stderr
    output = Output(tmp_path / "out")
    golden.assert_same(output)
    assert output.report["partitions"] == PARTITIONS
    assert "50 listed = 50 featurized + 0 rejected" in done.stdout
    assert "17 keep 90.2% of the variance" in done.stdout
    assert "Traceback" not in done.stderr
    assert "WARN" not in done.stderr
