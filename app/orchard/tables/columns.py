"""Arrow columns straight from NumPy and Python memory.

`pyarrow.array` imports pandas to ask whether its argument is a Series: half a second and 60 MB in every process. The tasks
and the driver of a run need no pandas, so these build columns from buffers instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orchard.errors import InputError

# Arrow counts the bytes of a column of strings in 32 bits.
_MOST_TEXT = 2**31 - 1
FEATURES = pa.list_(pa.float32())


def strings(values: Sequence[str]) -> pa.Array:
    """A string column; every value must be valid UTF-8.

    Raises:
        InputError: more text than one column can hold.
    """
    encoded = [value.encode() for value in values]
    if sum(map(len, encoded)) > _MOST_TEXT:
        raise InputError(
            f"a table of {len(values):,} photos has more than 2 GB of names: cut the input by prefix into runs of their own"
        )
    offsets = np.zeros(len(encoded) + 1, np.int32)
    np.cumsum([len(value) for value in encoded], out=offsets[1:])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(encoded), buffers)


def numbers(values: npt.ArrayLike, dtype: npt.DTypeLike, kind: pa.DataType) -> pa.Array:
    """A column of fixed-width numbers (or timestamps): `values` as NumPy `dtype`, read as Arrow `kind`."""
    array: npt.NDArray[Any] = np.ascontiguousarray(values, dtype)
    return pa.Array.from_buffers(kind, len(array), [None, pa.py_buffer(array)])


def float_lists(matrix: npt.NDArray[np.float32]) -> pa.Array:
    """A list<float> column with one row of `matrix` (n, width) in each place; shares its memory."""
    rows, width = matrix.shape
    values = numbers(matrix.reshape(-1), np.float32, pa.float32())
    offsets = np.arange(rows + 1, dtype=np.int32) * np.int32(width)
    return pa.Array.from_buffers(FEATURES, rows, [None, pa.py_buffer(offsets)], children=[values])


def float_matrix(column: pa.Array, width: int) -> npt.NDArray[np.float32]:
    """The inverse of `float_lists`: float32 (n, width), sharing the column's memory where it can.

    Raises:
        ValueError: a row that is null or not `width` long.
    """
    values = column.flatten()
    if column.null_count or values.null_count or len(values) != len(column) * width:
        raise ValueError(
            f"expected {len(column)} rows of {width} features, got {len(values)} numbers and {column.null_count} nulls"
        )
    numbers = (
        np.frombuffer(values.buffers()[1], np.float32, len(values), 4 * values.offset)
        if len(values)
        else np.zeros(0, np.float32)
    )
    return numbers.reshape(len(column), width)
