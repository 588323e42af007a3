"""The columns of the tables, and Arrow columns straight from NumPy and Python memory.

`pyarrow.array` imports pandas to ask whether its argument is a Series: half a second and 60 MB in every process. These
build columns from buffers instead.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

MODIFIED = pa.timestamp("us", "UTC")
VECTOR = pa.list_(pa.field("element", pa.float32(), nullable=False))


def _schema(**columns: pa.DataType) -> pa.Schema:
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in columns.items()])


# size is in bytes, modified as the storage tells it, features has the backbone's feature size.
FEATURES = _schema(
    path=pa.string(), label=pa.string(), sha256=pa.string(), size=pa.int64(), modified=MODIFIED, features=VECTOR
)
REJECTED = _schema(
    path=pa.string(), label=pa.string(), size=pa.int64(), modified=MODIFIED, reason=pa.string(), detail=pa.string()
)
COMPONENTS = _schema(path=pa.string(), label=pa.string(), components=VECTOR)
# class is the most probable one, probabilities are in the order of the classifier's classes.
PREDICTIONS = _schema(
    path=pa.string(),
    label=pa.string(),
    sha256=pa.string(),
    size=pa.int64(),
    modified=MODIFIED,
    **{"class": pa.string(), "probability": pa.float32(), "unsure": pa.bool_(), "unfamiliarity": pa.float32()},
    probabilities=VECTOR,
)


def strings(values: Sequence[str]) -> pa.Array:
    """A string column; every value must be valid UTF-8, and all together shorter than 2 GB."""
    encoded = [value.encode() for value in values]
    offsets = np.zeros(len(encoded) + 1, np.int32)
    np.cumsum([len(value) for value in encoded], out=offsets[1:])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(encoded), buffers)


def numbers(values: npt.ArrayLike, dtype: npt.DTypeLike, kind: pa.DataType) -> pa.Array:
    """A column of fixed-width numbers (or timestamps): `values` as NumPy `dtype`, read as Arrow `kind`."""
    array: npt.NDArray[Any] = np.ascontiguousarray(values, dtype)
    return pa.Array.from_buffers(kind, len(array), [None, pa.py_buffer(array)])


def integers(values: Sequence[int]) -> pa.Array:
    """An int64 column."""
    return numbers(values, np.int64, pa.int64())


def times(values: Sequence[int]) -> pa.Array:
    """A timestamp[us, UTC] column of microseconds since 1970."""
    return numbers(values, np.int64, MODIFIED)


def floats(values: npt.ArrayLike) -> pa.Array:
    """A float column."""
    return numbers(values, np.float32, pa.float32())


def booleans(values: npt.NDArray[np.bool_]) -> pa.Array:
    """A bool column."""
    bits = np.packbits(values, bitorder="little")
    return pa.Array.from_buffers(pa.bool_(), len(values), [None, pa.py_buffer(bits)])


def float_lists(matrix: npt.NDArray[np.float32]) -> pa.Array:
    """A list<float> column with one row of `matrix` (n, width) in each row; shares its memory."""
    rows, width = matrix.shape
    values = numbers(matrix.reshape(-1), np.float32, pa.float32())
    offsets = np.arange(rows + 1, dtype=np.int32) * np.int32(width)
    return pa.Array.from_buffers(VECTOR, rows, [None, pa.py_buffer(offsets)], children=[values])


def float_matrix(column: pa.Array, width: int) -> npt.NDArray[np.float32]:
    """The inverse of `float_lists`: float32 (n, width), sharing the column's memory where it can.

    Raises:
        ValueError: a row that is null or not `width` long.
    """
    values = column.flatten()
    if column.null_count or values.null_count or len(values) != len(column) * width:
        found = f"{len(values)} numbers and {column.null_count} nulls"
        raise ValueError(f"expected {len(column)} rows of {width} features, got {found}")
    if not len(values):
        return np.zeros((len(column), width), np.float32)
    return np.frombuffer(values.buffers()[1], np.float32, len(values), 4 * values.offset).reshape(len(column), width)
