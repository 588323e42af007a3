"""Both run-times on the real weights, and what keeps them quiet."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from orchard.errors import UsageError, WeightsError
from orchard.network.backbones import MOBILENET_V2
from orchard.network.bake.models import TOLERANCE, verify
from orchard.network.runtimes import make_predict, quiet
from orchard.network.weights import BakedWeights


def test_litert_features_do_not_depend_on_the_batch(weights: BakedWeights) -> None:
    predict = make_predict(MOBILENET_V2, "litert", weights.folder)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 224, 224, 3), np.uint8)
    together = predict(pixels)
    assert together.shape == (3, 1280)
    assert together.dtype == np.float32
    np.testing.assert_array_equal(together, np.concatenate([predict(pixels[i : i + 1]) for i in range(3)]))


def test_make_predict_with_an_unknown_runtime(weights: BakedWeights) -> None:
    with pytest.raises(UsageError, match="litert, tensorflow"):
        make_predict(MOBILENET_V2, "torch", weights.folder)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Keras' own deprecations
def test_verify_compares_both_runtimes(weights: BakedWeights, tmp_path: Path) -> None:
    assert verify(MOBILENET_V2, Path(weights.folder)) <= TOLERANCE
    folder = Path(shutil.copytree(weights.folder, tmp_path / "copy"))
    model = folder / MOBILENET_V2.tflite_file
    content = bytearray(model.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 40_000] = bytes(40_000)
    model.write_bytes(content)
    with pytest.raises(WeightsError):
        verify(MOBILENET_V2, folder)
    model.write_bytes(b"no model")
    with pytest.raises(WeightsError):
        verify(MOBILENET_V2, folder)


def test_quiet_discards_what_is_written_to_the_descriptors(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet(1, 2):
        os.write(1, b"one")
        os.write(2, b"two")
    os.write(2, b"after")
    assert capfd.readouterr() == ("", "after")
