"""Reading Keras HDF5 files as data, and fingerprints."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchard.errors import WeightsError
from orchard.network.bake.arrays import Array, Layout, check_fingerprint, check_sha256, fingerprint, read_arrays

LAYOUT: Layout = {"Conv1": [(3, 3, 3, 2)], "bn_Conv1": [(2,), (2,), (2,), (2,)], "Conv_1": [(1, 1, 2, 5)]}
VARIABLES = {"Conv1": ["kernel"], "bn_Conv1": ["gamma", "beta", "moving_mean", "moving_variance"], "Conv_1": ["kernel"]}


def make_layers(seed: int = 0) -> dict[str, list[Array]]:
    random = np.random.default_rng(seed)
    return {name: [random.random(shape, np.float32) for shape in shapes] for name, shapes in LAYOUT.items()}


def flat(layers: Mapping[str, Sequence[Array]]) -> list[Array]:
    return [array for arrays in layers.values() for array in arrays]


def write_legacy(group: Any, layers: Mapping[str, Sequence[Array]]) -> None:
    """As Keras 1 and 2 do: data sets in alphabetical order, the real order in an attribute."""
    for name, arrays in layers.items():
        names = [f"{name}/{variable}:0" for variable in VARIABLES[name]]
        group.create_group(name).attrs["weight_names"] = [item.encode() for item in names]
        for item, array in zip(names, arrays, strict=True):
            group[name][item] = array


def write_keras_3(group: Any, layers: Mapping[str, Sequence[Array]]) -> None:
    """As Keras 3 does: groups named by class, in an order that is not the network's; the layer's name in an attribute."""
    for index, (name, arrays) in enumerate(reversed(list(layers.items()))):
        variables = group.create_group(f"layers/layer_{index}/vars")
        variables.attrs["name"] = name
        for position, array in enumerate(arrays):
            variables[str(position)] = array


@pytest.mark.parametrize("write", [write_legacy, write_keras_3])
def test_reads_arrays_in_the_order_of_the_layout(tmp_path: Path, write: Any) -> None:
    layers = make_layers()
    with h5py.File(tmp_path / "w.h5", "w") as file:
        write(file, layers)
    for actual, expected in zip(read_arrays(tmp_path / "w.h5", LAYOUT), flat(layers), strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_takes_only_the_networks_layers_from_a_whole_model(tmp_path: Path) -> None:
    layers = make_layers()
    with h5py.File(tmp_path / "model.h5", "w") as file:
        file.attrs["model_config"] = '{"class_name": "Lambda"}'
        write_legacy(file.create_group("model_weights"), layers)
        head = file["model_weights"].create_group("dense")
        head.attrs["weight_names"] = [b"dense/kernel:0"]
        head["dense/kernel:0"] = np.zeros((5, 2), np.float32)
        file.create_group("optimizer_weights").attrs["weight_names"] = []
    assert fingerprint(read_arrays(tmp_path / "model.h5", LAYOUT)) == fingerprint(flat(layers))


def test_layers_without_variables_are_no_hindrance(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "w.h5", "w") as file:
        write_legacy(file, make_layers())
        file.create_group("Conv1_relu").attrs["weight_names"] = np.array([], "S1")
    assert len(read_arrays(tmp_path / "w.h5", LAYOUT)) == 6


def test_fingerprint_is_sha256_of_little_endian_float32_bytes() -> None:
    arrays = [np.array([1.0, -2.5], np.float32), np.array([[3.0], [0.25]], np.float32)]
    raw = b"".join(bytes.fromhex(value) for value in ("0000803f", "000020c0", "00004040", "0000803e"))
    assert fingerprint(arrays) == hashlib.sha256(raw).hexdigest()


def test_fingerprint_does_not_depend_on_byte_order_or_memory_layout() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert fingerprint([array]) == fingerprint([np.asfortranarray(array)]) == fingerprint([array.astype(">f4")])


def test_big_endian_files_give_the_same_fingerprint(tmp_path: Path) -> None:
    layers = make_layers()
    with h5py.File(tmp_path / "w.h5", "w") as file:
        write_legacy(file, {name: [array.astype(">f4") for array in arrays] for name, arrays in layers.items()})
    assert fingerprint(read_arrays(tmp_path / "w.h5", LAYOUT)) == fingerprint(flat(layers))


@given(position=st.integers(0, 71), seed=st.integers(0, 3))
def test_any_changed_value_changes_the_fingerprint(position: int, seed: int) -> None:
    arrays = flat(make_layers(seed))
    before = fingerprint(arrays)
    index = 0
    while position >= arrays[index].size:
        position, index = position - arrays[index].size, index + 1
    arrays[index].flat[position] = np.nextafter(arrays[index].flat[position], np.float32(9))
    assert fingerprint(arrays) != before


def test_check_fingerprint_reports_both_values() -> None:
    arrays = flat(make_layers())
    check_fingerprint(arrays, fingerprint(arrays))
    with pytest.raises(WeightsError, match=f"{fingerprint(arrays)}, expected {'0' * 64}"):
        check_fingerprint(arrays, "0" * 64)


def test_check_sha256_reports_both_values(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"abc")
    actual = hashlib.sha256(b"abc").hexdigest()
    check_sha256(path, actual)
    with pytest.raises(WeightsError, match=f"{actual}, expected {'0' * 64}"):
        check_sha256(path, "0" * 64)


def _without_a_layer(layers: dict[str, list[Array]]) -> dict[str, list[Array]]:
    return {name: arrays for name, arrays in layers.items() if name != "Conv_1"}


def _of_another_width(layers: dict[str, list[Array]]) -> dict[str, list[Array]]:
    return {**layers, "Conv_1": [np.zeros((1, 1, 2, 4), np.float32)]}


def _in_half_precision(layers: dict[str, list[Array]]) -> dict[str, list[Any]]:
    return {**layers, "Conv_1": [layers["Conv_1"][0].astype(np.float16)]}


def _not_finite(layers: dict[str, list[Array]]) -> dict[str, list[Array]]:
    return {**layers, "Conv_1": [np.full((1, 1, 2, 5), np.nan, np.float32)]}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_without_a_layer, "no layer 'Conv_1'"),
        (_of_another_width, "layer 'Conv_1' has arrays of shape 1x1x2x4, the network wants 1x1x2x5"),
        (_in_half_precision, "stored as float16, not as float32"),
        (_not_finite, "not finite"),
    ],
)
def test_other_networks_are_refused(tmp_path: Path, damage: Any, message: str) -> None:
    path = tmp_path / "w.h5"
    with h5py.File(path, "w") as file:
        write_legacy(file, damage(make_layers()))
    with pytest.raises(WeightsError, match=message) as caught:
        read_arrays(path, LAYOUT)
    assert hashlib.sha256(path.read_bytes()).hexdigest() in str(caught.value)


def test_a_header_that_claims_a_huge_array_is_refused_unread(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "w.h5", "w") as file:
        write_legacy(file, _without_a_layer(make_layers()))
        file.create_group("Conv_1").attrs["weight_names"] = [b"kernel"]
        file["Conv_1"].create_dataset("kernel", (1 << 20, 1 << 20), np.float32, chunks=(64, 64))
    with pytest.raises(WeightsError, match="1048576x1048576"):
        read_arrays(tmp_path / "w.h5", LAYOUT)


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.6, 0.99])
def test_truncated_files_are_refused_on_one_line_with_their_hash(tmp_path: Path, share: float) -> None:
    path = tmp_path / "w.h5"
    with h5py.File(path, "w") as file:
        write_legacy(file, make_layers())
    content = path.read_bytes()[: int(path.stat().st_size * share)]
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="not a readable HDF5 file") as caught:
        read_arrays(path, LAYOUT)
    assert f"{len(content)} bytes, SHA-256 {hashlib.sha256(content).hexdigest()}" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"not HDF5 at all", b"\x80\x04\x95pickle", b"PK\x03\x04"])
def test_other_formats_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.h5").write_bytes(content)
    with pytest.raises(WeightsError, match="not a readable HDF5 file"):
        read_arrays(tmp_path / "w.h5", LAYOUT)


def test_missing_and_dangling_entries_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "w.h5", "w") as file:
        write_legacy(file, make_layers())
        del file["Conv_1/Conv_1/kernel:0"]
    with pytest.raises(WeightsError, match="not a readable HDF5 file"):
        read_arrays(tmp_path / "w.h5", LAYOUT)
    with pytest.raises(WeightsError, match="No such file"):
        read_arrays(tmp_path / "absent.h5", LAYOUT)
