"""Columns that are built from buffers are those that pyarrow builds."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from orchard.tables import columns


@given(st.lists(st.booleans(), max_size=40))
def test_booleans(values: list[bool]) -> None:
    column = columns.booleans(np.array(values, bool))
    column.validate(full=True)
    assert column.equals(pa.array(values, pa.bool_()))


@given(st.lists(st.floats(width=32, allow_nan=False), max_size=9))
def test_floats(values: list[float]) -> None:
    assert columns.floats(np.array(values, np.float64)).equals(pa.array(values, pa.float32()))
