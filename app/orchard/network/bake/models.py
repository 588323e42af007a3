"""Keras at bake time: weights loaded and identified by a fingerprint; models written, the same bytes every time."""

import contextlib
import hashlib
import os
import platform
import re
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from orchard.errors import WeightsError
from orchard.network.backbone import Backbone
from orchard.network.bake.torch_file import read_tensors, set_tensors
from orchard.network.runtimes import import_tensorflow, make_keras_model, make_predict, quiet

TOLERANCE = 1e-4


class Network:
    """A backbone in Keras; `MachineError` where TensorFlow cannot be imported."""

    def __init__(self, backbone: Backbone) -> None:
        self._backbone = backbone
        with quiet(1, 2):
            self._tensorflow = import_tensorflow()
            # Keras numbers unnamed layers over the whole process, and the LiteRT model holds the names.
            self._tensorflow.keras.backend.clear_session()
            self._model = make_keras_model(backbone)

    def load(self, path: Path) -> str:
        """Load weights from a file, as data only, and return their fingerprint.

        The file is `.weights.h5` of this backbone; `.h5` of Keras, of weights or a whole model that has its layers; or
        `.pth` of PyTorch, whose modules are named like the layers. `WeightsError` where an array is missing; Keras and
        h5py raise nearly anything for a damaged or another file.
        """
        self._forget()
        if path.suffix == ".pth":
            set_tensors(self._model, read_tensors(path))
        elif path.name.endswith(".weights.h5"):
            self._load(path)
        else:
            self._load_h5(path)
        arrays = [array for layer in self._model.layers for array in layer.get_weights()]
        if any(np.isnan(array).any() for array in arrays):
            raise WeightsError("it lacks some of the weights, or they are not numbers")
        return fingerprint(arrays)

    def _load_h5(self, path: Path) -> None:
        """By name, since a whole model has more layers; by order where Keras has renamed some since."""
        with contextlib.suppress(ValueError):
            self._load(path, by_name=True)
        if any(np.isnan(array).any() for array in self._model.get_weights()):
            self._forget()
            self._load(path)

    def _load(self, path: Path, **options: bool) -> None:
        with quiet(1, 2):
            self._model.load_weights(str(path), **options)

    def _forget(self) -> None:
        # Not-a-number where a file leaves a gap; what counts photos is an integer.
        arrays = self._model.get_weights()
        self._model.set_weights([np.full_like(one, np.nan if one.dtype.kind == "f" else 0) for one in arrays])

    def export(self, folder: Path) -> dict[str, str]:
        """Write the Keras weights and the LiteRT model, both float32, into `folder`; return the tools' versions."""
        with quiet(1, 2):
            save_weights(self._model, folder / self._backbone.keras_file)
            converted = self._tensorflow.lite.TFLiteConverter.from_keras_model(self._model).convert()
        (folder / self._backbone.tflite_file).write_bytes(converted)
        verify(self._backbone, folder)
        own = {"python": platform.python_version(), "tensorflow": self._tensorflow.__version__}
        return own | {name: version(name) for name in ("keras", "numpy", "h5py")}


def save_weights(model: Any, path: Path) -> None:
    """Write a Keras model's weights as `.weights.h5`; `OSError` for a full disk, of which HDF5 makes another error."""
    try:
        model.save_weights(str(path))
    except RuntimeError as exc:
        if not (found := re.search(r"errno = (\d+)", str(exc))):
            raise
        raise OSError(int(found[1]), os.strerror(int(found[1])), str(path)) from exc


def fingerprint(arrays: Iterable[npt.NDArray[np.float32]]) -> str:
    """SHA-256 over the raw little-endian float32 bytes of `arrays`, in order: the same whatever file they came in."""
    return hashlib.sha256(b"".join(np.ascontiguousarray(array, "<f4").tobytes() for array in arrays)).hexdigest()


def verify(backbone: Backbone, folder: Path) -> float:
    """The largest difference between both run-times' features of one picture; `WeightsError` above `TOLERANCE`."""
    pixels = np.random.default_rng(0).integers(0, 256, (1, *backbone.shape), np.uint8)
    try:
        with quiet(1, 2):
            litert, keras = (make_predict(backbone, name, str(folder))(pixels) for name in ("litert", "tensorflow"))
    except ValueError as exc:  # LiteRT's and Keras' of a damaged file; NumPy's of other shapes
        raise WeightsError(f"a baked model cannot be used ({exc})") from exc
    difference = float(np.max(np.abs(litert - keras)))
    # Written so that not-a-number fails too.
    if not (difference <= TOLERANCE and keras.any()):
        raise WeightsError(f"LiteRT and Keras differ by {difference:.3g} (limit {TOLERANCE:g}), or are 0")
    return difference
