"""One contract for folders and for object storage."""

from __future__ import annotations

import io
import pickle
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from orchard.errors import InputError, OutputError, UsageError
from orchard.storage.stores import ObjectStore, Store, open_store

from tests.s3.folder import serving_folder

KEYS = ["a.txt", "a/b c.txt", "a/b/100%.txt", "a/é🍎#?&+.txt", "ab/1.txt"]


@pytest.fixture(params=["folder", "object storage"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A new, empty store of each kind."""
    if request.param == "folder":
        return open_store(str(tmp_path / "out"))
    return open_store(f"{request.getfixturevalue('bucket')}/some/out put")


def keys(store: Store, prefix: str = "") -> list[str]:
    return [stored.key for stored in store.list(prefix)]


def test_what_is_written_is_listed_and_read_back(store: Store) -> None:
    assert keys(store) == []
    for key in KEYS:
        store.write(key, key.encode())
    assert keys(store) == sorted(KEYS)
    assert keys(store, "a") == sorted(key for key in KEYS if key.startswith("a/"))
    assert keys(store, "a/b") == ["a/b/100%.txt"]
    assert {stored.key: stored.size for stored in store.list()} == {key: len(key.encode()) for key in KEYS}
    assert all(store.read(key) == key.encode() and store.exists(key) for key in KEYS)
    store.write("a.txt", b"")
    assert store.read("a.txt") == b""


def test_a_missing_key_is_missing(store: Store) -> None:
    assert not store.exists("nothing")
    with pytest.raises(FileNotFoundError):
        store.read("nothing")
    with pytest.raises(FileNotFoundError):
        store.open("nothing")
    store.delete(["nothing", "no/thing"])
    store.delete([])
    assert keys(store, "nowhere") == []


def test_files_are_written_whatever_their_size(store: Store, tmp_path: Path) -> None:
    content = bytes(range(256)) * (50 << 10)  # 12.5 MiB: more than one part of an upload
    (tmp_path / "file").write_bytes(content)
    store.write("deep/er/file", tmp_path / "file")
    assert store.read("deep/er/file") == content


def test_a_file_is_read_in_parts(store: Store) -> None:
    store.write("a/file", bytes(range(200)))
    with store.open("a/file") as stream:
        assert stream.read(3) == bytes([0, 1, 2])
        stream.seek(-2, io.SEEK_END)
        assert stream.read() == bytes([198, 199])
        stream.seek(100)
        assert stream.read(1) == bytes([100])


def test_a_writer_takes_parquet_and_leaves_nothing_of_a_failed_one(store: Store) -> None:
    table = pa.table({"number": list(range(100_000))})
    with store.writer("table/part-0.parquet") as sink:
        pq.write_table(table, sink, compression="none")
        assert not store.exists("table/part-0.parquet")
    assert pq.read_table(pa.BufferReader(store.read("table/part-0.parquet"))) == table
    with pytest.raises(ZeroDivisionError), store.writer("table/part-1.parquet") as sink:
        sink.write(b"half" * (1 // 0))
    assert keys(store) == ["table/part-0.parquet"]


@pytest.mark.parametrize("unsupported", [[], ["If-Match"]], ids=["a service with conditions", "one without some"])
def test_only_one_of_many_creates_or_replaces(
    aws: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unsupported: Collection[str]
) -> None:
    with serving_folder(tmp_path, unsupported) as address, ThreadPoolExecutor(8) as pool:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        store = ObjectStore("s3://fruit/out")
        won = list(pool.map(lambda number: store.create("lock", str(number).encode()), range(8)))
        assert sum(won) == 1
        content, version = store.read_version("lock")
        assert content == str(won.index(True)).encode()
        if not unsupported:
            won = list(pool.map(lambda number: store.replace("lock", b"new %d" % number, version), range(8)))
            assert sum(won) == 1
            assert store.read("lock") == b"new %d" % won.index(True)
        assert store.replace("lock", b"newer", store.read_version("lock")[1])
        assert not store.replace("lock", b"late", version)
        assert store.read("lock") == b"newer"
        store.delete(["lock"])
        assert not store.replace("lock", b"later", version)
        assert list(store.list()) == []


def test_copying_replaces(store: Store) -> None:
    store.write("one", b"1")
    store.write("b/two", b"2")
    store.copy("one", "c/three")
    store.copy("one", "b/two")
    assert {key: store.read(key) for key in keys(store)} == {"one": b"1", "b/two": b"1", "c/three": b"1"}
    with pytest.raises(FileNotFoundError):
        store.copy("two", "anywhere")


def test_deleting_many_leaves_the_rest(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: store.write(f"many/{number:04}", b"x"), range(1100)))
    store.write("kept", b"x")
    store.delete(keys(store, "many"))
    assert keys(store) == ["kept"]


def test_a_store_is_an_address(store: Store) -> None:
    store.write("a", b"1")
    again = pickle.loads(pickle.dumps(store))
    assert again == store
    assert again.read("a") == b"1"


def test_an_emptied_folder_is_gone(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "out"))
    store.write("a/b/c", b"")
    store.write("a/d", b"")
    store.delete(["a/b/c"])
    assert [path.name for path in (tmp_path / "out" / "a").iterdir()] == ["d"]
    store.delete(["a/d"])
    assert list((tmp_path / "out").iterdir()) == []


def test_files_get_the_permissions_of_others(tmp_path: Path) -> None:
    open_store(str(tmp_path)).write("ours", b"")
    (tmp_path / "other").touch()
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_an_unknown_scheme_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no writer for gopher://"):
        open_store("gopher://bucket/out")


def test_a_missing_bucket_is_one_line(bucket: str) -> None:
    store = ObjectStore(f"{bucket}-nowhere/out")
    for action in (
        lambda: list(store.list()),
        lambda: store.write("a", b""),
        lambda: store.create("a", b""),
        lambda: store.read("a"),
    ):
        with pytest.raises(OutputError, match="there is no such bucket") as raised:
            action()
        assert "\n" not in str(raised.value)


def test_no_region_and_no_credentials_are_one_line(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(InputError, match="no AWS credentials found"):
        open_store("s3://bucket/a").exists("key")
    monkeypatch.delenv("AWS_REGION")
    with pytest.raises(InputError, match="no AWS region is set"):
        open_store("s3://bucket/a").exists("key")
    with pytest.raises(InputError, match="names no bucket"):
        open_store("s3:///a").exists("key")


def test_a_full_or_forbidden_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="Not a directory"):
        open_store(str(tmp_path / "file" / "out")).write("a", b"")
    with pytest.raises(OutputError, match="No space left"), open_store(str(tmp_path)).writer("a"):
        Path("/dev/full").write_bytes(b"1")
