"""Both stores do the same; errors name the file and the flag."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from orchard.errors import InputError, OutputError, UsageError
from orchard.storage import objects
from orchard.storage.stores import LocalStore, Store, check_outside, check_writable, open_store


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "new %20#" if request.param == "folder" else request.getfixturevalue("bucket")))


def test_store(store: Store) -> None:
    assert (store.names(), store.list(""), store.list("a/")) == (set(), [], [])
    with pytest.raises(FileNotFoundError):
        store.read("a/b/1")
    for key in ("a/b/1", "a/2", "top"):
        store.write(key, b"old")
        store.write(key, key.encode())
    assert (store.names(), store.list(""), store.list("a/")) == (
        {"a", "top"},
        ["a/2", "a/b/1", "top"],
        ["a/2", "a/b/1"],
    )
    assert store.read("a/b/1") == b"a/b/1"
    store.delete(["a/b/1", "a/none", "top"])
    assert store.list("") == ["a/2"]
    store.delete(["a/2"])
    assert store.names() == set()


def test_delete_below(store: Store) -> None:
    for key in ("a/b/1", "a/2", "ab", "top"):
        store.write(key, b"")
    store.delete_below("a/", but={"a/2"})
    assert store.list("") == ["a/2", "ab", "top"]
    store.delete_below("a/")
    store.delete_below("none/")
    assert store.names() == {"ab", "top"}


def test_delete_below_deletes_empty_folders(tmp_path: Path) -> None:
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    (tmp_path / "d").mkdir()
    LocalStore(str(tmp_path)).delete_below("a/")
    assert LocalStore(str(tmp_path)).names() == {"d"}


def test_open_for_some_columns(store: Store) -> None:
    paths = [f"{number}.jpg" for number in range(2000)]
    features = pa.FixedSizeListArray.from_arrays(np.random.default_rng(0).random(2000 * 128, np.float32), 128)
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"path": paths, "features": features}), sink, row_group_size=500)
    store.write("a/part.parquet", bytes(sink.getvalue()))
    with store.open("a/part.parquet") as stream, pq.ParquetFile(stream) as file:
        assert file.read(["path"]).column("path").to_pylist() == paths
    with store.open("a/part.parquet") as stream, pq.ParquetFile(stream) as file:
        assert file.read().num_rows == 2000


def test_local_store_size(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path))
    store.write("a/b", b"12345")
    assert (store.size("a/b"), store.size("a/c")) == (5, None)


def test_local_store_errors(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    store = LocalStore(str(tmp_path / "file"))
    for action in (store.names, lambda: store.write("a", b""), lambda: store.read("a")):
        with pytest.raises(OutputError, match="--output"):
            action()


def test_object_store_errors(bucket: str) -> None:
    store = open_store(f"{bucket}-nowhere/out")
    for action in (store.names, lambda: store.list("a/"), lambda: store.write("a", b""), lambda: store.read("a")):
        with pytest.raises(OutputError, match=f"--output {bucket}-nowhere"):
            action()


@pytest.mark.parametrize("uri", ["gs://b/out", "hdfs://host/out", "abfs://b", "s3://", "s3:///out"])
def test_open_store_refuses(uri: str) -> None:
    with pytest.raises(UsageError, match="--output"):
        open_store(uri)


@pytest.mark.parametrize("key", ["a.tflite", "deep/er/a.tflite"])
def test_check_writable(store: Store, key: str) -> None:
    check_writable(store, key)
    assert store.list("") == []


def test_check_outside(store: Store) -> None:
    store.write("out/features/_delta_log/0.json", b"{}")
    store.write("out/classifier/model-0123456789ab/training.parquet", b"")
    inside = "out/features", "out/features/new", "out/features/new/er", "out/classifier/model-0123456789ab/report"
    for key in inside:
        with pytest.raises(UsageError, match="is inside"):
            check_outside(open_store(f"{store.uri}/{key}"))
    for key in ("out", "out/new", "out/features-of-mine", "out/classifier", "out/classifier/model-of-mine/report"):
        check_outside(open_store(f"{store.uri}/{key}"))


def test_check_writable_of_an_object_store(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check_writable(open_store(f"{bucket}/deep/er"), "a")
    client = objects.connect_boto(bucket)
    assert "Uploads" not in client.list_multipart_uploads(Bucket=bucket.removeprefix("s3://"))
    with pytest.raises(OutputError, match="no such bucket"):
        check_writable(open_store(f"{bucket}-nowhere"), "a")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    objects.forget()
    with pytest.raises(InputError, match="credentials"):
        check_writable(open_store(bucket), "a")
