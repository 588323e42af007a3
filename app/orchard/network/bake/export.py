"""TensorFlow at bake time: arrays in, the Keras weights and the LiteRT model out. Quiet, and the same bytes every time."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

from orchard.errors import MachineError, OrchardError
from orchard.network.backbones import Backbone
from orchard.network.bake.arrays import Array, Layout


class Network(Protocol):
    """A backbone without weights, ready to be given some."""

    layout: Layout

    def export(self, arrays: Sequence[Array], folder: Path) -> dict[str, str]:
        """Write the Keras weights and the LiteRT model into `folder`; return tool name -> version."""


class KerasNetwork:
    """A backbone as Keras builds it, average pooled, without its last layer.

    Raises:
        MachineError: TensorFlow cannot be imported.
    """

    def __init__(self, backbone: Backbone) -> None:
        self._backbone = backbone
        with quiet():
            self._tensorflow = _import_tensorflow()
            # Keras numbers unnamed layers over the whole process, and the LiteRT model holds the names.
            self._tensorflow.keras.backend.clear_session()
            build = getattr(self._tensorflow.keras.applications, backbone.keras_class)
            shape = (*backbone.input_size[::-1], 3)
            self._model = build(weights=None, include_top=False, pooling="avg", input_shape=shape)
        self._layers = [layer for layer in self._model.layers if layer.weights]
        self.layout: Layout = {layer.name: [tuple(array.shape) for array in layer.weights] for layer in self._layers}

    def export(self, arrays: Sequence[Array], folder: Path) -> dict[str, str]:
        """Write the Keras weights and the float32 LiteRT model into `folder`; return tool name -> version.

        Args:
            arrays: one for each shape in `layout`, in its order.
        """
        remaining = iter(arrays)
        for layer in self._layers:
            layer.set_weights([next(remaining) for _ in layer.weights])
        with quiet():
            self._model.save_weights(str(folder / self._backbone.keras_file))
            converted = self._tensorflow.lite.TFLiteConverter.from_keras_model(self._model).convert()
        (folder / self._backbone.tflite_file).write_bytes(converted)
        return self._versions()

    def _versions(self) -> dict[str, str]:
        import h5py
        import numpy as np

        tensorflow = self._tensorflow
        return {
            "python": platform.python_version(),
            "tensorflow": tensorflow.__version__,
            "keras": tensorflow.keras.__version__,
            "numpy": np.__version__,
            "h5py": h5py.__version__,
        }


def _import_tensorflow() -> Any:
    os.environ["KERAS_BACKEND"] = "tensorflow"  # whatever the user's keras.json says: only TensorFlow can convert
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # oneDNN reorders sums from run to run
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")  # nothing here is worth starting a GPU for
    try:
        import tensorflow
    except ImportError as exc:
        raise MachineError(
            f"TensorFlow cannot be imported ({exc}): baking needs it; install this project's dependencies"
        ) from exc
    return tensorflow


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hold back what TensorFlow and LiteRT print, from Python and from C++; show it after all if the block fails."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        try:
            with _redirected(log), contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
                yield
        except OrchardError:  # says all there is to say
            raise
        except Exception:
            log.seek(0)
            sys.stderr.write(log.read())
            raise


@contextlib.contextmanager
def _redirected(log: IO[str]) -> Iterator[None]:
    """Point file descriptors 1 and 2 at `log`: C++ writes there whatever `sys.stdout` is."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = {descriptor: os.dup(descriptor) for descriptor in (1, 2)}
    try:
        for descriptor in saved:
            os.dup2(log.fileno(), descriptor)
        yield
    finally:
        log.flush()
        for descriptor, copy in saved.items():
            os.dup2(copy, descriptor)
            os.close(copy)
