"""Whole runs against features and explained variance that were computed independently, with Keras and NumPy."""

from __future__ import annotations

from pathlib import Path

import pytest
from orchard.network.weights import BakedWeights
from pyspark import SparkContext

from tests.run.golden import PARTITIONS, Golden
from tests.runs import Output, orchard, run_in


@pytest.fixture(scope="module", params=["sample50", "original20"])
def golden(request: pytest.FixtureRequest, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Golden:
    return Golden(shared, request.param, tmp_path_factory.mktemp("golden"))


@pytest.mark.parametrize("runtime", ["litert", "tensorflow"])
def test_run_gives_the_golden_features(
    context: SparkContext, weights: BakedWeights, golden: Golden, runtime: str, tmp_path: Path
) -> None:
    output = run_in(context, input=golden.photos, output=tmp_path / "out", runtime=runtime)
    golden.assert_same(output)
    assert output.report["runtime"] == runtime
    assert output.report["counts"] == {"listed": len(golden.paths), "featurized": len(golden.paths), "rejected": 0}
    if len(golden.paths) == 50:
        assert output.report["partitions"] == PARTITIONS


def test_orchard_run_of_the_reference_experiment(shared: Path, weights: BakedWeights, tmp_path: Path) -> None:
    golden = Golden(shared, "sample50", tmp_path)
    done = orchard(
        "run", "--input", golden.photos, "--output", tmp_path / "out", "--partitions", 4, "--master", "local[2]"
    )
    assert done.returncode == 0, done.stderr
    output = Output(tmp_path / "out")
    golden.assert_same(output)
    assert output.report["partitions"] == PARTITIONS
    assert output.report["pca"]["k"] == 17
    assert "Traceback" not in done.stderr
    assert "WARN" not in done.stderr
