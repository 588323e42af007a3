"""From pixels to features: by LiteRT, or by TensorFlow as the reference. Either is imported when it is used first."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from orchard.errors import MachineError, UsageError
from orchard.network.backbone import Backbone

Pixels = npt.NDArray[np.uint8]
Features = npt.NDArray[np.float32]
Predict = Callable[[Pixels], Features]


def make_predict(backbone: Backbone, runtime: str, folder: str) -> Predict:
    """Load a backbone from a baked folder into memory, by "litert" or "tensorflow"; `UsageError` for another runtime.

    What it returns maps RGB pixels (n, height, width, 3) to features (n, feature_size), on one thread at a time.
    """
    makers = {"litert": _make_litert_predict, "tensorflow": _make_tensorflow_predict}
    if runtime not in makers:
        raise UsageError(f"unknown runtime {runtime!r}: known ones are {', '.join(makers)}")
    return makers[runtime](backbone, folder)


def _make_litert_predict(backbone: Backbone, folder: str) -> Predict:
    from ai_edge_litert.interpreter import Interpreter

    with quiet(2):  # the XNNPACK delegate announces itself from C++, once a process
        interpreter = Interpreter(os.path.join(folder, backbone.tflite_file), num_threads=1)
        interpreter.allocate_tensors()
    input_view = interpreter.tensor(interpreter.get_input_details()[0]["index"])
    output_index = interpreter.get_output_details()[0]["index"]
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


def _make_tensorflow_predict(backbone: Backbone, folder: str) -> Predict:
    tensorflow = import_tensorflow()
    model = make_keras_model(backbone)
    model.load_weights(os.path.join(folder, backbone.keras_file))
    call = tensorflow.function(lambda images: model(images, training=False))

    def predict(batch: Pixels) -> Features:
        images = batch.astype(np.float32) * np.float32(backbone.pixel_scale) + np.float32(backbone.pixel_offset)
        return np.asarray(call(tensorflow.constant(images)), np.float32)

    return predict


def make_keras_model(backbone: Backbone) -> Any:
    """The backbone in Keras: average pooled, without its last layer, with random weights."""
    return backbone.build(import_tensorflow().keras, backbone.shape)


def import_tensorflow() -> Any:
    """TensorFlow, on one thread of the CPU; `MachineError` where it cannot be imported."""
    os.environ["KERAS_BACKEND"] = "tensorflow"  # whatever the user's keras.json says
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # oneDNN reorders sums from run to run
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")  # other sums than a CPU's
    try:
        import tensorflow
    except ImportError as exc:
        raise MachineError(f"TensorFlow cannot be imported ({exc}): `pip install 'orchard[job]'`") from exc
    with contextlib.suppress(RuntimeError):  # already running: keep the threads it has
        tensorflow.config.threading.set_intra_op_parallelism_threads(1)
        tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    return tensorflow


@contextlib.contextmanager
def quiet(*descriptors: int) -> Iterator[None]:
    """Discard what this process, whichever thread, writes to these file descriptors, from C++ too."""
    saved = {descriptor: os.dup(descriptor) for descriptor in descriptors}
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        _redirect(dict.fromkeys(descriptors, nowhere))
        yield
    finally:
        _redirect(saved)
        for copy in (nowhere, *saved.values()):
            os.close(copy)


def _redirect(targets: dict[int, int]) -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # as in a process without a terminal
            stream.flush()
    for descriptor, target in targets.items():
        os.dup2(target, descriptor)
