"""A file that is fetched piece by piece: the same as the whole one, and less."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from orchard.storage.ranges import RangedFile
from orchard.tables import columns, parquet
from orchard.tables.reading import read_hashes

PLACES = st.integers(0, 80)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.integers(-1, 80)),
        st.tuples(st.just("from the start"), PLACES),
        st.tuples(st.just("onwards"), PLACES),
    )
)


@given(st.binary(max_size=64), STEPS)
def test_it_reads_as_a_file_does(content: bytes, steps: list[tuple[str, int]]) -> None:
    whole, ranged = io.BytesIO(content), RangedFile(len(content), lambda start, length: content[start : start + length])
    for step, number in steps:
        if step == "read":
            assert ranged.read(number) == whole.read(number)
        else:
            whence = io.SEEK_SET if step == "from the start" else io.SEEK_CUR
            assert ranged.seek(number, whence) == whole.seek(number, whence)
        assert ranged.tell() == whole.tell()
    assert ranged.seek(0, io.SEEK_END) == len(content)


@dataclass
class Counting:
    """A store of one file, that knows how much of it was fetched."""

    content: bytes
    fetched: list[int] = field(default_factory=list)

    def open(self, key: str) -> IO[bytes]:
        return RangedFile(len(self.content), self._fetch)  # type: ignore[return-value]

    def _fetch(self, start: int, length: int) -> bytes:
        self.fetched.append(length)
        return self.content[start : start + length]


def test_of_features_only_paths_and_hashes_are_fetched() -> None:
    count = 2000
    paths, hashes = (
        [f"{number}.jpg" for number in range(count)],
        [hashlib.sha256(bytes(number)).hexdigest() for number in range(count)],
    )
    features = columns.float_lists(np.random.default_rng(0).random((count, 1280), np.float32))
    table = pa.table({"path": paths, "label": ["a"] * count, "sha256": hashes, "features": features})
    store: Any = Counting(parquet.to_bytes(table))
    found = list(read_hashes(store, ["features/part-0.parquet"]))
    assert [path for batch, _ in found for path in batch] == paths
    assert [sha256 for _, batch in found for sha256 in batch] == hashes
    assert sum(store.fetched) < 0.05 * len(store.content)
    assert len(store.fetched) < 10
