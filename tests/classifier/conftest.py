"""A run on drawn photos, and a classifier trained on it, by the commands themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
from orchard.network.weights import BakedWeights
from orchard.sample import draw_samples

from tests.runs import orchard


@pytest.fixture(scope="session")
def fruit(tmp_path_factory: pytest.TempPathFactory, weights: BakedWeights) -> Path:
    """A folder with drawn `photos` of 4 varieties, the output `out` of a run on them, and a `classifier` of that."""
    folder = tmp_path_factory.mktemp("fruit")
    draw_samples(folder / "photos", varieties=4, per_variety=12, seed=3)
    for command in (
        ("run", "--input", folder / "photos", "--output", folder / "out"),
        ("train", "--features", folder / "out", "--output", folder / "classifier"),
    ):
        done = orchard(*command, "--master", "local[2]")
        assert done.returncode == 0, done.stderr
    return folder
