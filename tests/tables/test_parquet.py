"""Files of a table that are not what was written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from orchard.errors import OutputError
from orchard.storage.stores import Store, open_store
from orchard.tables import columns, parquet


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return open_store(str(tmp_path) if request.param == "folder" else request.getfixturevalue("bucket"), "--features")


def test_files_that_are_missing_or_damaged(store: Store) -> None:
    numbers = columns.floats(np.random.default_rng(0).random(1000))
    key = parquet.write(store, "features", 0, pa.table([numbers], names=["x"])).key
    assert parquet.read(store, key).column("x").combine_chunks().equals(numbers)
    content = store.read(key)
    damaged = b"", b"junk", content[:-100], content[:4] + bytes(50) + content[54:]
    for bad in (None, *damaged):
        if bad is None:
            store.delete([key])
        else:
            store.write(key, bad)
        for read in (lambda: parquet.read(store, key, ["x"]), lambda: list(parquet.batches(store, key, ["x"], 9))):
            with pytest.raises(OutputError, match="--overwrite") as caught:
                read()
            assert str(caught.value).startswith(f"--features {store.uri}/{key}")
            assert "\n" not in str(caught.value)
