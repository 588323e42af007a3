"""Networks by name, whose weights no test downloads: with seeded random weights, and against Keras' own code.

The hashes of the published files are those in Keras' source.
"""

from __future__ import annotations

import importlib
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from orchard.errors import WeightsError
from orchard.network.backbone import Address, Backbone
from orchard.network.backbones import BACKBONES
from orchard.network.bake.bake import bake
from orchard.network.bake.models import Network
from orchard.network.bake.sources import from_file
from orchard.network.runtimes import import_tensorflow, make_keras_model, make_predict
from orchard.network.weights import check_weights, sha256

# Keras' module, and its name of the network there.
KERAS = {
    "mobilenet_v3_large": ("mobilenet_v3", "MobileNetV3Large"),
    "xception": ("xception", "Xception"),
    "efficientnet_b0": ("efficientnet", "EfficientNetB0"),
    "efficientnet_v2_b0": ("efficientnet_v2", "EfficientNetV2B0"),
    "resnet50": ("resnet", "ResNet50"),
    "convnext_tiny": ("convnext", "ConvNeXtTiny"),
}
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in KERAS]


class FetchedError(Exception):
    """Raised where Keras would download."""


class Downloads:
    """Stands for Keras' module of downloads: notes what it is asked for, and gives a file, if it has one."""

    def __init__(self, file: Path | None = None) -> None:
        self.file, self.asked = file, ("", "")

    def get_file(self, name: str, url: str, *, file_hash: str, **_: Any) -> str:
        self.asked = url, file_hash
        if self.file is None:
            raise FetchedError
        return str(self.file)


def from_keras(name: str, downloads: Downloads, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The network as Keras makes it with its published weights, but for the download."""
    module, network = KERAS[name]
    import_tensorflow()
    source = importlib.import_module(f"keras.src.applications.{module}")
    monkeypatch.setattr(source, "file_utils", downloads)
    width, height = BACKBONES[name].input_size
    return getattr(source, network)(include_top=False, pooling="avg", input_shape=(height, width, 3))


@pytest.mark.parametrize("name", SLOW)
def test_address_and_hash_are_those_of_keras(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    downloads, (source,) = Downloads(), BACKBONES[name].sources
    with pytest.raises(FetchedError):
        from_keras(name, downloads, monkeypatch)
    assert isinstance(source, Address)
    assert (source.url, source.digest) == downloads.asked


def randomized(backbone: Backbone, folder: Path) -> Path:
    """A file of seeded random weights; batch norms know what comes to them, so that numbers neither vanish nor grow.

    What ResNet's blocks add is made less than what goes past them, so that rounding does not grow by depth.
    """
    keras = import_tensorflow().keras
    keras.backend.clear_session()
    keras.utils.set_random_seed(1)
    model = make_keras_model(backbone)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
            if layer.name.endswith("_3_bn"):
                layer.gamma.assign(layer.gamma * 0.2)
    pictures = np.random.default_rng(1).integers(0, 256, (4, *backbone.shape)).astype(np.float32)
    model(pictures * np.float32(backbone.pixel_scale) + np.float32(backbone.pixel_offset), training=True)
    path = folder / "random.weights.h5"
    model.save_weights(str(path))
    return path


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Keras' own deprecations
@pytest.mark.parametrize("name", KERAS)
def test_bake_of_random_weights(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a published file is taken; both run-times agree with each other and with Keras' own way from pixels."""
    unknown = BACKBONES[name]
    path = randomized(unknown, tmp_path)
    with pytest.raises(WeightsError, match="none of the published"):
        bake(unknown, tmp_path / "out", [from_file(path, unknown.sources)], lambda line: None)
    backbone = replace(unknown, sources=(Address("", sha256(path)),))
    assert bake(backbone, tmp_path / "out", [from_file(path, backbone.sources)], lambda line: None)
    baked = check_weights(backbone, str(tmp_path / "out"))
    assert baked.fingerprint == Network(backbone).load(path)
    pixels = np.random.default_rng(0).integers(0, 256, (2, *backbone.shape), np.uint8)
    litert, keras = (make_predict(backbone, runtime, baked.folder)(pixels) for runtime in ("litert", "tensorflow"))
    assert litert.shape == (2, backbone.feature_size)
    assert 0.01 < np.abs(keras).max() < 1000
    np.testing.assert_allclose(litert, keras, atol=1e-4, rtol=0)
    published = from_keras(name, Downloads(path), monkeypatch)
    preprocess = importlib.import_module(f"keras.src.applications.{KERAS[name][0]}").preprocess_input
    expected = np.asarray(published(preprocess(pixels.astype(np.float32)), training=False))
    np.testing.assert_allclose(keras, expected, atol=1e-4, rtol=0)
    shutil.rmtree(baked.folder)
