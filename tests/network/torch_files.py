"""PyTorch files as PyTorch wrote them before 1.6, made without PyTorch."""

from __future__ import annotations

import pickle
import struct
import sys
import types
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001


class Storage:
    """What a tensor's pickle refers to."""

    def __init__(self, key: str, kind: type, count: int) -> None:
        self.key, self.kind, self.count = key, kind, count


class Tensor:
    """Pickled as PyTorch pickles its own."""

    def __init__(self, storage: Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> None:
        self.facts: tuple[Any, ...] = storage, offset, shape, strides, False, OrderedDict()

    def __reduce__(self) -> tuple[Any, ...]:
        return sys.modules["torch._utils"]._rebuild_tensor_v2, self.facts


class _Pickler(pickle.Pickler):
    def persistent_id(self, thing: Any) -> Any:
        if isinstance(thing, Storage):
            return "storage", thing.kind, thing.key, "cpu", thing.count, None
        return None


@contextmanager
def fake_torch() -> Iterator[Any]:
    """Modules with PyTorch's names, for as long as a pickle is made."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")

    def _rebuild_tensor_v2(*args: Any) -> None:
        raise AssertionError("called while a file is read")

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2  # type: ignore[attr-defined]
    for name in ("FloatStorage", "LongStorage", "HalfStorage"):
        setattr(torch, name, type(name, (), {"__module__": "torch", "__qualname__": name}))
    sys.modules.update({"torch": torch, "torch._utils": utils})
    try:
        yield torch
    finally:
        del sys.modules["torch"], sys.modules["torch._utils"]


def dump(thing: Any) -> bytes:
    stream = BytesIO()
    _Pickler(stream, protocol=2).dump(thing)
    return stream.getvalue()


def header() -> bytes:
    return dump(MAGIC) + dump(PROTOCOL) + dump({"protocol_version": PROTOCOL, "little_endian": True})


def write_tensors(tensors: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """A state dictionary, with the attribute that PyTorch gives it, each tensor in a storage of its own.

    Those with more than one axis are stored in another order than their elements', as views with strides.
    """
    with fake_torch() as torch:
        storages = []
        things: OrderedDict[str, Tensor] = OrderedDict()
        for number, (name, array) in enumerate(tensors.items()):
            kind = torch.FloatStorage if array.dtype.kind == "f" else torch.LongStorage
            stored = np.asarray(array, "<f4" if array.dtype.kind == "f" else "<i8").copy(order="F")
            strides = tuple(step // stored.itemsize for step in stored.strides)
            things[name] = Tensor(Storage(str(number), kind, stored.size), 0, stored.shape, strides)
            storages.append(struct.pack("<q", stored.size) + stored.tobytes(order="A"))
        things._metadata = OrderedDict({"": {"version": 1}})  # type: ignore[attr-defined]
        keys = dump([str(number) for number in range(len(storages))])
        return header() + dump(things) + keys + b"".join(storages)
