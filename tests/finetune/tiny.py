"""A network of two small blocks on 32 x 32 pixels, known by name; as a module, the `orchard` command that knows it."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from orchard.cli import main
from orchard.network.backbone import Backbone
from orchard.network.backbones import BACKBONES
from orchard.network.bake.bake import write_folder
from orchard.network.bake.models import Network
from orchard.network.runtimes import make_keras_model


def _build(keras: Any, shape: tuple[int, int, int]) -> Any:
    inputs = keras.Input(shape)
    stem = _convolution(keras, inputs, "stem", 8, 2)
    first = _convolution(keras, stem, "block_1", 12, 2)
    branch = _convolution(keras, first, "block_2", 12, 1)
    both = keras.layers.Add(name="block_2_add")([first, branch])
    top = _convolution(keras, both, "top", 16, 1)
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D(name="pool")(top))


def _convolution(keras: Any, inputs: Any, name: str, filters: int, stride: int) -> Any:
    layers = keras.layers
    start = keras.initializers.HeNormal(seed=len(name) + filters)
    options = {"padding": "same", "use_bias": False, "kernel_initializer": start}
    found = layers.Conv2D(filters, 3, stride, name=f"{name}_conv", **options)(inputs)
    return layers.ReLU(6.0, name=f"{name}_relu")(layers.BatchNormalization(name=f"{name}_BN")(found))


TINY = Backbone(
    name="tiny",
    build=_build,
    input_size=(32, 32),
    pixel_scale=1 / 127.5,
    pixel_offset=-1.0,
    feature_size=16,
    multiply_adds=1,
    memory=1,
    sources=(),
    fingerprint="",
    licence="",
    description="",
)


def bake_tiny(folder: Path) -> Path:
    """Bake it with its first weights, the same every time."""
    model, file = make_keras_model(TINY), folder.with_name("tiny.weights.h5")
    for layer in model.layers:
        if layer.name.endswith("_BN"):  # statistics unlike the first ones
            random = np.random.default_rng(len(layer.name))
            layer.set_weights([random.uniform(0.5, 1.5, array.shape) for array in layer.get_weights()])
    model.save_weights(str(file))
    network = Network(TINY)
    write_folder(TINY, network, folder, {"fingerprint": network.load(file), "source": {"name": "test"}})
    return folder


if __name__ == "__main__":
    BACKBONES[TINY.name] = TINY
    sys.exit(main())
