"""Tensors of a PyTorch file (.pth, as PyTorch wrote it before 1.6), read without pickle: nothing in it is executed.

The pickled part is a small program for a stack machine. Here a machine of its own runs it, which knows the instructions
that tensors need and can make nothing else.
"""

import math
import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from orchard.errors import WeightsError

Tensors = dict[str, npt.NDArray[Any]]
_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_DICT, _TENSOR = "collections OrderedDict", "torch._utils _rebuild_tensor_v2"
_TYPES = {"torch FloatStorage": "<f4", "torch LongStorage": "<i8"}


@dataclass(frozen=True)
class _Known:
    """One of the names that a file may use."""

    name: str


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: str
    count: int


@dataclass(frozen=True)
class _View:
    """A tensor: which elements of a storage."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_tensors(path: Path) -> Tensors:
    """The tensors of a state dictionary by name, float32 or int64; `WeightsError` for a file with anything else."""
    try:
        with open(path, "rb") as stream:
            if [_Machine().run(stream) for _ in range(2)] != [_MAGIC, _PROTOCOL]:
                raise WeightsError("not a PyTorch file of before 1.6")
            _Machine().run(stream)  # the sizes of C types where it was written
            views = _Machine().run(stream)
            storages = _read_storages(stream, _Machine().run(stream), views)
        return {str(name): _materialize(view, storages) for name, view in views.items()}
    except WeightsError:
        raise
    except Exception as exc:  # of any class: the file may be anything
        raise WeightsError(f"not a PyTorch file of tensors of before 1.6 ({type(exc).__name__}: {exc})") from exc


def set_tensors(model: Any, tensors: Mapping[str, npt.NDArray[Any]]) -> None:
    """Give a Keras model's layers the tensors of the PyTorch modules of the same names.

    Layers' names have no underscores at the beginnings of their parts. `WeightsError` where a tensor is missing.
    """
    named = {".".join(part.removeprefix("_") for part in name.split(".")): one for name, one in tensors.items()}
    try:
        for layer in model.layers:
            if layer.weights:
                layer.set_weights(_arrays(type(layer).__name__, layer.name, named))
    except KeyError as exc:
        raise WeightsError(f"it lacks the tensor {exc}") from exc


def _arrays(kind: str, name: str, tensors: Mapping[str, npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
    if kind == "BatchNormalization":
        return [tensors[f"{name}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")]
    # PyTorch has (output, input, height, width), and for a depthwise convolution (channel, 1, height, width).
    order = {"Conv2D": (2, 3, 1, 0), "DepthwiseConv2D": (2, 3, 0, 1)}[kind]
    return [tensors[f"{name}.weight"].transpose(order)]


def _read_storages(stream: BinaryIO, keys: list[str], views: Mapping[str, _View]) -> Tensors:
    """The numbers of the storages, which follow in the order of `keys`, each after its count."""
    expected = {view.storage.key: view.storage for view in views.values()}
    found: Tensors = {}
    for key in keys:
        count, storage = int.from_bytes(stream.read(8), "little"), expected[key]
        content = stream.read(storage.count * np.dtype(storage.dtype).itemsize)
        found[key] = np.frombuffer(content, storage.dtype)
        if not len(found[key]) == count == storage.count:
            raise WeightsError("it ends too early, or its storages have other sizes than it says")
    return found


def _materialize(view: _View, storages: Tensors) -> npt.NDArray[Any]:
    storage = storages[view.storage.key]
    offset, shape, strides = view.offset, view.shape, view.strides
    last = offset + sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True))
    inside = min((offset, *shape, *strides)) >= 0 and math.prod(shape) <= len(storage) and last < len(storage)
    if not inside:
        raise WeightsError("a tensor reaches beyond its storage")
    size = storage.itemsize
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, [stride * size for stride in strides]).copy()


class _Machine:
    """Runs one pickled program: its value, made of dictionaries, lists, tuples, texts, numbers and `_View`."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._marks: list[list[Any]] = []
        self._memo: dict[int, Any] = {}

    def run(self, stream: BinaryIO) -> Any:
        """Run the program that begins here in a stream, and leave the stream behind it."""
        for instruction, argument, _ in pickletools.genops(stream):
            if (step := _STEPS.get(instruction.name)) is None:
                raise WeightsError(f"it has the pickle instruction {instruction.name}: only tensors are read")
            step(self, argument)
        return self._stack.pop()

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def skip(self, _: Any) -> None:
        """For instructions that say nothing to this machine."""

    def mark(self, _: Any) -> None:
        self._marks.append(self._stack)
        self._stack = []

    def to_mark(self) -> list[Any]:
        values, self._stack = self._stack, self._marks.pop()
        return values

    def take(self, count: int) -> tuple[Any, ...]:
        return tuple(reversed([self._stack.pop() for _ in range(count)]))

    def put(self, key: int) -> None:
        self._memo[key] = self._stack[-1]

    def get(self, key: int) -> None:
        self.push(self._memo[key])

    def name(self, name: str) -> None:
        if name not in (_DICT, _TENSOR, *_TYPES):
            raise WeightsError(f"it names {name.replace(' ', '.')}: only tensors are read")
        self.push(_Known(name))

    def reduce(self, _: Any) -> None:
        called, arguments = self.take(2)
        if called == _Known(_DICT) and arguments == ():
            self.push({})
        elif called == _Known(_TENSOR):
            self.push(_View(*arguments[:4]))  # the rest is about gradients
        else:
            raise WeightsError("it calls something else than a tensor: only tensors are read")

    def persistent(self, _: Any) -> None:
        kind, type_, key, _, count, _ = self._stack.pop()
        if kind != "storage":
            raise WeightsError(f"it refers to a {kind}: only tensors are read")
        self.push(_Storage(key, _TYPES[type_.name], count))

    def set_items(self, items: list[Any]) -> None:
        self._stack[-1].update(zip(items[::2], items[1::2], strict=True))

    def append_all(self, items: list[Any]) -> None:
        self._stack[-1].extend(items)


_Step = Callable[[_Machine, Any], None]
_LITERALS = ("LONG1", "BININT", "BININT1", "BININT2", "BINUNICODE")
_STEPS: dict[str, _Step] = {
    **dict.fromkeys(_LITERALS, _Machine.push),
    **dict.fromkeys(("PROTO", "STOP"), _Machine.skip),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), _Machine.put),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), _Machine.get),
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "MARK": _Machine.mark,
    "TUPLE": lambda machine, _: machine.push(tuple(machine.to_mark())),
    "TUPLE1": lambda machine, _: machine.push(machine.take(1)),
    "TUPLE2": lambda machine, _: machine.push(machine.take(2)),
    "TUPLE3": lambda machine, _: machine.push(machine.take(3)),
    "SETITEM": lambda machine, _: machine.set_items([*machine.take(2)]),
    "SETITEMS": lambda machine, _: machine.set_items(machine.to_mark()),
    "APPEND": lambda machine, _: machine.append_all([*machine.take(1)]),
    "APPENDS": lambda machine, _: machine.append_all(machine.to_mark()),
    "GLOBAL": _Machine.name,
    "REDUCE": _Machine.reduce,
    "BINPERSID": _Machine.persistent,
    "BUILD": lambda machine, _: machine.skip(machine.take(1)),  # attributes of a dictionary: versions of modules
}
