"""PyTorch files read without pickle, and files that try something else."""

from __future__ import annotations

import os
import pickle
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchard.errors import WeightsError
from orchard.network.bake.torch_file import read_tensors

from tests.network.torch_files import Storage, Tensor, dump, fake_torch, header, write_tensors


def read(tmp_path: Path, content: bytes) -> dict[str, Any]:
    path = tmp_path / "w.pth"
    path.write_bytes(content)
    return read_tensors(path)


def example() -> dict[str, Any]:
    random = np.random.default_rng(0)
    shapes = {"a.weight": (4, 3, 2, 2), "a.bias": (4,), "b.weight": (300, 2)}
    tensors = {name: random.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    return tensors | {"a.count": np.array(7, np.int64)}


def test_read_tensors(tmp_path: Path) -> None:
    found = read(tmp_path, write_tensors(example()))
    assert found.keys() == example().keys()
    for name, array in example().items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


class Command:
    """Pickled as a call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def calls(path: Path) -> list[Any]:
    return [
        Command(os.system, f"touch {path}"),
        Command(eval, f"open({str(path)!r}, 'w')"),
        Command(open, str(path), "w"),
    ]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_nothing_is_executed(tmp_path: Path, protocol: int) -> None:
    victim = tmp_path / "victim"
    for call in calls(victim):
        evil = pickle.dumps(call, protocol)
        for content in (evil, dump(call), header() + evil, header() + pickle.dumps({"x": call}, protocol)):
            with pytest.raises(WeightsError) as caught:
                read(tmp_path, content + dump(["0"]) + struct.pack("<qf", 1, 1.0))
            assert "\n" not in str(caught.value)
    assert not victim.exists()


@pytest.mark.parametrize(
    "thing",
    [set(), bytearray(b"x"), np.zeros(2), Path("/"), OrderedDict, {"x": 1.5}, {"x": OrderedDict([("y", Path())])}],
)
def test_other_things_are_refused(tmp_path: Path, thing: object) -> None:
    with pytest.raises(WeightsError):
        read(tmp_path, header() + dump({"x": thing}) + dump([]))


@pytest.mark.parametrize(
    ("count", "offset", "shape", "strides"),
    [
        (4, 0, (5,), (1,)),
        (4, 1, (4,), (1,)),
        (4, 0, (2, 2), (3, 1)),
        (4, -1, (2,), (1,)),
        (4, 3, (2,), (-1,)),
        (4, 0, (1 << 40,), (0,)),
        (4, 0, (2,), (1, 1)),
        (5, 0, (4,), (1,)),
        (1 << 40, 0, (4,), (1,)),
    ],
)
def test_tensors_beyond_their_storage_are_refused(
    tmp_path: Path, count: int, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
) -> None:
    with fake_torch() as torch:
        things = {"x": Tensor(Storage("0", torch.FloatStorage, count), offset, shape, strides)}
        content = header() + dump(things) + dump(["0"]) + struct.pack("<q4f", 4, 1, 2, 3, 4)
    with pytest.raises(WeightsError):
        read(tmp_path, content)


def test_other_types_of_numbers_are_refused(tmp_path: Path) -> None:
    with fake_torch() as torch:
        content = header() + dump({"x": Tensor(Storage("0", torch.HalfStorage, 1), 0, (1,), (1,))})
    with pytest.raises(WeightsError, match=r"torch\.HalfStorage"):
        read(tmp_path, content)


CONTENT = write_tensors(example())


@given(st.integers(0, len(CONTENT) - 1))
def test_cut_files_are_refused(tmp_path_factory: pytest.TempPathFactory, length: int) -> None:
    with pytest.raises(WeightsError):
        read(tmp_path_factory.mktemp("cut"), CONTENT[:length])


@given(st.lists(st.tuples(st.integers(0, len(CONTENT) - 1), st.integers(0, 255)), min_size=1, max_size=8))
def test_damaged_files_give_tensors_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]]
) -> None:
    content = bytearray(CONTENT)
    for position, value in changes:
        content[position] = value
    try:
        found = read(tmp_path_factory.mktemp("damaged"), bytes(content))
    except WeightsError:
        return
    assert all(isinstance(array, np.ndarray) for array in found.values())
