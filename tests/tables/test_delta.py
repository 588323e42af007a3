"""One table, on a disk and on S3, read back by readers that are not the job's."""

from __future__ import annotations

from pathlib import Path

import deltalake
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from orchard.errors import OutputError
from orchard.storage.stores import open_store
from orchard.tables import columns, parquet
from orchard.tables.columns import COMPONENTS
from orchard.tables.delta import Table
from orchard.tables.parquet import DataFile
from pyspark.sql import SparkSession

SETTINGS = {"backbone": "mobilenet_v2", "fingerprint": "c009"}


def rows_of(*names: str) -> pa.Table:
    vectors = np.array([[len(name), 1.5] for name in names], np.float32).reshape(-1, 2)
    arrays = [columns.strings(names), columns.strings(["a"] * len(names)), columns.float_lists(vectors)]
    return pa.table(arrays, schema=COMPONENTS)


def open_table(uri: object) -> Table:
    return Table(open_store(str(uri)), "components", COMPONENTS)


def write(table: Table, *names: str) -> DataFile:
    return parquet.write(table.store, table.name, 0, rows_of(*names))


@pytest.fixture(params=["folder", "s3", "folder with a difficult name"])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "s3":
        return f"{request.getfixturevalue('bucket')}/deep/er"
    return str(tmp_path / ("out" if request.param == "folder" else "[1] 50% of: été #?"))


def test_table_append_replace_remove(uri: str) -> None:
    table = open_table(uri)
    assert (table.exists, table.version, table.files, table.settings) == (False, -1, [], {})
    table.claim(7, SETTINGS)
    assert table.settings == SETTINGS
    table.append([write(table, "a/1", "a/2"), write(table, "it's \\ %41 ☂")])
    table.append([write(table, "b/1")], model=99)
    assert sorted(table.read("path").column("path").to_pylist()) == ["a/1", "a/2", "b/1", "it's \\ %41 ☂"]
    table.remove(["a/2", "it's \\ %41 ☂", "not there"])
    again = open_table(uri)
    assert sorted(again.read("path").column("path").to_pylist()) == ["a/1", "b/1"]
    assert (again.rows, again.model, again.settings) == (2, 99, SETTINGS)
    table.replace([write(table, "c/1")])
    assert table.paths() == {table.files[0]: ["c/1"]}
    assert table.files[0].rows == 1
    assert len(table.store.read(table.files[0].key)) == table.files[0].size


def test_table_claim_ends_earlier_writers(uri: str) -> None:
    first = open_table(uri)
    first.claim(1, SETTINGS)
    first.append([write(first, "a/1")])
    second = open_table(uri)
    second.claim(2, SETTINGS)
    with pytest.raises(OutputError, match="another run"):
        first.append([write(first, "a/2")])
    with pytest.raises(OutputError, match="another run"):
        first.replace([write(first, "a/3")])
    with pytest.raises(OutputError, match="another run"):
        first.remove(["a/1"])
    second.append([write(second, "b/1")])
    assert sorted(open_table(uri).read("path").column("path").to_pylist()) == ["a/1", "b/1"]


def test_table_claim_at_once_has_one_winner(uri: str) -> None:
    one, other = open_table(uri), open_table(uri)
    one.claim(1, SETTINGS)
    with pytest.raises(OutputError, match="another run"):
        other.claim(2, SETTINGS)
    one, other = open_table(uri), open_table(uri)
    one.claim(3, SETTINGS)
    with pytest.raises(OutputError, match="another run"):
        other.claim(4, SETTINGS)


def test_table_claim_anew_empties_and_ends_earlier_writers(uri: str) -> None:
    first = open_table(uri)
    first.claim(1, SETTINGS)
    first.append([write(first, "a/1")])
    second = open_table(uri)
    second.claim(2, {"backbone": "other"}, anew=True)
    assert (second.rows, second.settings) == (0, {"backbone": "other"})
    with pytest.raises(OutputError, match="another run"):
        first.append([write(first, "a/2")])


def test_table_unused_names_removed_and_stray_files(uri: str) -> None:
    table = open_table(uri)
    table.claim(1, SETTINGS)
    removed, live = write(table, "a/1"), write(table, "a/2")
    table.append([removed])
    table.replace([live])
    stray = write(table, "a/3")
    assert set(table.unused()) == {removed.key, stray.key}
    assert table.is_newest()
    open_table(uri).claim(2, SETTINGS)
    assert not table.is_newest()


def test_table_is_read_alike_by_every_reader(spark: SparkSession, tmp_path: Path) -> None:
    table = open_table(tmp_path)
    table.claim(1, SETTINGS)
    table.append([write(table, "a/1", "a/2"), write(table, "b/1"), write(table)])
    folder = str(tmp_path / "components")
    expected = {"a/1": [3.0, 1.5], "a/2": [3.0, 1.5], "b/1": [3.0, 1.5]}
    frames = [
        pd.read_parquet(folder),
        pq.read_table(folder).to_pandas(),
        # Not DeltaTable.to_pandas: it can abort the process at its exit (delta-rs 2184).
        pa.table(
            deltalake.QueryBuilder().register("t", deltalake.DeltaTable(folder)).execute("select * from t").read_all()
        ).to_pandas(),
        spark.read.parquet(folder).toPandas(),
    ]
    for frame in frames:
        assert list(frame.columns) == COMPONENTS.names
        assert {row.path: list(row.components) for row in frame.itertuples()} == expected


def test_table_that_is_damaged_is_one_line(tmp_path: Path) -> None:
    table = open_table(tmp_path)
    table.claim(1, SETTINGS)
    (tmp_path / "components" / "_delta_log" / f"{0:020}.json").write_text("{damaged")
    with pytest.raises(OutputError, match="--overwrite") as caught:
        open_table(tmp_path)
    assert "\n" not in str(caught.value)
