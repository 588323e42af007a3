"""Keras files read into the network, and fingerprints."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from orchard.errors import WeightsError
from orchard.network.backbones import MOBILENET_V2
from orchard.network.bake.models import Network, fingerprint
from orchard.network.bake.sources import from_file
from orchard.network.runtimes import make_keras_model
from orchard.network.weights import BakedWeights


def test_fingerprint_is_sha256_of_little_endian_float32_bytes() -> None:
    arrays = [np.array([1.0, -2.5], np.float32), np.array([[3.0], [0.25]], np.float32)]
    raw = b"".join(bytes.fromhex(value) for value in ("0000803f", "000020c0", "00004040", "0000803e"))
    assert fingerprint(arrays) == hashlib.sha256(raw).hexdigest()


def test_fingerprint_does_not_depend_on_byte_order_or_memory_layout() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert fingerprint([array]) == fingerprint([np.asfortranarray(array)]) == fingerprint([array.astype(">f4")])


@pytest.fixture(scope="module")
def network() -> Network:
    return Network(MOBILENET_V2)


def write_h5(group: Any, weights: BakedWeights) -> None:
    """As Keras 1 and 2 do: one group a layer, the order of its arrays in an attribute; layers in any order."""
    model = make_keras_model(MOBILENET_V2)
    model.load_weights(f"{weights.folder}/{MOBILENET_V2.keras_file}")
    layers = {layer.name: layer.get_weights() for layer in reversed(model.layers) if layer.get_weights()}
    group.attrs["layer_names"] = [name.encode() for name in layers]
    for name, arrays in layers.items():
        names = [f"{name}/{'dcba'[index]}:0" for index in range(len(arrays))]
        group.create_group(name).attrs["weight_names"] = [item.encode() for item in names]
        for item, array in zip(names, arrays, strict=True):
            group[name][item] = array


def write_model(file: Any, weights: BakedWeights) -> None:
    """A whole model: the network, and a head."""
    group = file.create_group("model_weights")
    write_h5(group, weights)
    group.attrs["layer_names"] = np.array([*group.attrs["layer_names"], "head"], "S")
    group.create_group("head").attrs["weight_names"] = [b"kernel"]
    group["head"]["kernel"] = np.zeros((5, 2), np.float32)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Keras' own deprecations
@pytest.mark.parametrize("write", [write_h5, write_model])
def test_load_of_h5(
    network: Network, weights: BakedWeights, tmp_path: Path, write: Callable[[Any, BakedWeights], None]
) -> None:
    with h5py.File(tmp_path / "w.h5", "w") as file:
        write(file, weights)
    assert network.load(tmp_path / "w.h5") == MOBILENET_V2.fingerprint
    with h5py.File(tmp_path / "w.h5", "r+") as file:
        group = file.get("model_weights", file)
        group.attrs["layer_names"] = np.array(
            [name for name in group.attrs["layer_names"] if name not in ("Conv1", b"Conv1")], "S"
        )
    with pytest.raises(WeightsError):
        from_file(tmp_path / "w.h5").load(network)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_load_refuses_damaged_and_other_files_in_one_line(
    network: Network, weights: BakedWeights, tmp_path: Path
) -> None:
    content = Path(weights.folder, MOBILENET_V2.keras_file).read_bytes()
    path = tmp_path / "w.weights.h5"
    for damaged in (content[: len(content) // 2], b"", b"no HDF5", None):
        path.unlink(missing_ok=True)
        if damaged is not None:
            path.write_bytes(damaged)
        with pytest.raises(WeightsError) as caught:
            from_file(path).load(network)
        assert "\n" not in str(caught.value)
    path.write_bytes(content)
    assert network.load(path) == MOBILENET_V2.fingerprint
