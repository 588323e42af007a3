"""Keras weights as plain arrays: read from HDF5 as data only, told apart by a fingerprint.

Three kinds of file are understood, all by the names of the layers in them:
`.h5` weights, `.h5` whole models (group `model_weights`, of which only the network's own layers are taken), and Keras 3 `.weights.h5`.
Nothing is ever unpickled, and no model description in a file is ever followed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from orchard.errors import WeightsError

Array = npt.NDArray[np.float32]

# Layer name -> the shapes of its arrays; layers in the order of `model.layers`, arrays in that of `layer.weights`.
Layout = Mapping[str, Sequence[tuple[int, ...]]]


def fingerprint(arrays: Iterable[Array]) -> str:
    """SHA-256 over the raw little-endian float32 bytes of `arrays`, in their order: the same whatever file they came in."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array, "<f4").tobytes())
    return digest.hexdigest()


def check_fingerprint(arrays: Iterable[Array], expected: str) -> None:
    """Raise `WeightsError`, with both values, unless the fingerprint of `arrays` is `expected`."""
    actual = fingerprint(arrays)
    if actual != expected:
        raise WeightsError(f"fingerprint is {actual}, expected {expected}")


def sha256(path: Path) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_sha256(path: Path, expected: str) -> None:
    """Raise `WeightsError`, with both values, unless the SHA-256 of a file is `expected`."""
    actual = sha256(path)
    if actual != expected:
        raise WeightsError(f"SHA-256 of {path.name} is {actual}, expected {expected}")


def read_arrays(path: Path, layout: Layout) -> list[Array]:
    """Read the arrays of the layers in `layout`, in its order, from a Keras HDF5 file.

    Raises:
        WeightsError: not HDF5, truncated, a layer is missing, or its arrays are not what `layout` says; with the file's SHA-256.
    """
    try:
        with h5py.File(path, "r") as file:
            layers = _find_layers(file)
            return [array for name, shapes in layout.items() for array in _read_layer(name, layers.get(name), shapes)]
    except WeightsError as exc:
        raise WeightsError(f"{exc} (SHA-256 of the file {sha256(path)})") from exc
    except Exception as exc:  # h5py raises nearly anything on damaged files
        raise WeightsError(f"not a readable HDF5 file ({_one_line(exc)}; {_file_facts(path)})") from exc


def _find_layers(file: Any) -> dict[str, list[Any]]:
    """Layer name -> its HDF5 data sets, not read yet."""
    layers: dict[str, list[Any]] = {}

    def visit(path: str, item: Any) -> None:
        if not isinstance(item, h5py.Group):
            return
        if (
            "weight_names" in item.attrs
        ):  # Keras 1 and 2, and `.h5` of Keras 3: one group a layer, with the order in an attribute
            layers[path.removeprefix("model_weights/")] = [item[_text(name)] for name in item.attrs["weight_names"]]
        elif path.endswith("/vars") and "name" in item.attrs:  # Keras 3: groups by class, `vars/0`, `vars/1` ... inside
            layers[_text(item.attrs["name"])] = [item[str(index)] for index in range(len(item))]

    file.visititems(visit)
    return layers


def _read_layer(name: str, datasets: list[Any] | None, shapes: Sequence[tuple[int, ...]]) -> list[Array]:
    if datasets is None:
        raise WeightsError(f"no layer {name!r} in it")
    # Before a byte is read: a damaged header can claim any size.
    stored = [dataset.shape for dataset in datasets]
    if stored != list(shapes):
        raise WeightsError(f"layer {name!r} has arrays of shape {_shapes(stored)}, the network wants {_shapes(shapes)}")
    return [_read_array(name, dataset) for dataset in datasets]


def _read_array(name: str, dataset: Any) -> Array:
    if (dataset.dtype.kind, dataset.dtype.itemsize) != ("f", 4):
        raise WeightsError(f"layer {name!r} is stored as {dataset.dtype}, not as float32")
    array = np.asarray(dataset[()], "<f4")
    if not np.isfinite(array).all():
        raise WeightsError(f"layer {name!r} holds values that are not finite numbers")
    return array


def _file_facts(path: Path) -> str:
    try:
        return f"{path.stat().st_size} bytes, SHA-256 {sha256(path)}"
    except OSError as exc:
        return f"{exc.strerror}"


def _shapes(shapes: Iterable[tuple[int, ...]]) -> str:
    return ", ".join("x".join(map(str, shape)) or "scalar" for shape in shapes) or "none"


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _one_line(exc: Exception) -> str:
    return " ".join(str(exc).split())
