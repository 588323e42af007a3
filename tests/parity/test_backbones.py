"""A comparison of real photos: the accuracies that Keras, NumPy and scikit-learn give."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from orchard.network.backbones import BACKBONES

from bench.backbones_independent import SIZES, check
from tests.conftest import bake
from tests.parity.processes import apart
from tests.runs import orchard

# On one worker: the comparison is made once.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("backbones")]
NAMES = ("mobilenet_v2", *SIZES)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Path:
    """A comparison of the networks whose published weights can be had."""
    for name in NAMES:
        bake(BACKBONES[name])
    folder, fruits = tmp_path_factory.mktemp("compared"), shared / "fruits-360"
    words = "--input", fruits / "Training", "--test", fruits / "Test", "--labels", "first-word"
    done = orchard("compare", *words, "--backbones", ",".join(NAMES), "--output", folder, timeout=1800)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_accuracies_are_those_of_keras_and_scikit_learn(report: Path, name: str) -> None:
    content: dict[str, Any] = json.loads((report / "compare.json").read_text())
    (row,) = (row for row in content["backbones"] if row["backbone"] == name)
    found = apart(check, report, row)
    assert found["k"][0] == found["k"][1]
    assert found["points"] <= 0.5
