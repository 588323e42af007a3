"""What runs a backbone: LiteRT (the default) or TensorFlow (the reference). The only door to either, imported when asked for."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from orchard.errors import UsageError
from orchard.network.backbones import Backbone
from orchard.photos.decoding import Pixels

Features = npt.NDArray[np.float32]
Predict = Callable[[Pixels], Features]


def make_predict(backbone: Backbone, runtime: str, folder: str) -> Predict:
    """Load a backbone from a baked folder into memory, once.

    Args:
        runtime: "litert" or "tensorflow".

    Returns:
        A function from uint8 RGB pixels (n, height, width, 3) to float32 features (n, feature_size).
        One thread; not for use from several threads at once.
    """
    try:
        make = _MAKERS[runtime]
    except KeyError:
        raise UsageError(f"unknown runtime {runtime!r}: known ones are {', '.join(_MAKERS)}") from None
    return make(backbone, folder)


def _make_litert_predict(backbone: Backbone, folder: str) -> Predict:
    interpreter = _litert_interpreter(os.path.join(folder, backbone.tflite_file))
    input_index = interpreter.get_input_details()[0]["index"]
    output_index = interpreter.get_output_details()[0]["index"]
    input_view = interpreter.tensor(input_index)
    scale, offset = np.float32(backbone.pixel_scale), np.float32(backbone.pixel_offset)

    def fill(pixels: Pixels) -> None:
        # Written straight into the model's own memory; the view must be gone before invoke().
        view = input_view()[0]
        np.multiply(pixels, scale, out=view)
        view += offset

    def predict(batch: Pixels) -> Features:
        features = np.empty((len(batch), backbone.feature_size), np.float32)
        # One photo an invoke: measured faster than 2 to 16, whose activations leave the cache.
        for pixels, row in zip(batch, features, strict=True):
            fill(pixels)
            interpreter.invoke()
            row[:] = interpreter.get_tensor(output_index)[0]
        return features

    return predict


def _litert_interpreter(path: str) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    with _quiet_stderr():  # the XNNPACK delegate announces itself from C++, once a process
        interpreter = Interpreter(path, num_threads=1)
        interpreter.allocate_tensors()
    return interpreter


@contextlib.contextmanager
def _quiet_stderr() -> Iterator[None]:
    saved = os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(null)
        os.close(saved)


def _make_tensorflow_predict(backbone: Backbone, folder: str) -> Predict:
    tensorflow = _import_tensorflow()
    network = getattr(tensorflow.keras.applications, backbone.keras_class)
    model = network(weights=None, include_top=False, pooling="avg", input_shape=(*backbone.input_size[::-1], 3))
    model.load_weights(os.path.join(folder, backbone.keras_file))
    call = tensorflow.function(lambda images: model(images, training=False))

    def predict(batch: Pixels) -> Features:
        images = batch.astype(np.float32) * np.float32(backbone.pixel_scale) + np.float32(backbone.pixel_offset)
        return np.asarray(call(tensorflow.constant(images)), np.float32)

    return predict


def _import_tensorflow() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # oneDNN reorders sums from run to run
    import tensorflow

    with contextlib.suppress(RuntimeError):  # already running: keep the threads it has
        tensorflow.config.threading.set_intra_op_parallelism_threads(1)
        tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    return tensorflow


_MAKERS: dict[str, Callable[[Backbone, str], Predict]] = {
    "litert": _make_litert_predict,
    "tensorflow": _make_tensorflow_predict,
}
