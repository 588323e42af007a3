"""Parquet files of a store: made, written and read with pyarrow."""

import contextlib
import os
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from orchard.errors import OutputError
from orchard.storage.stores import LocalStore, Store

# Rows of 1280 features in one row group: 10 MB, which a reader holds at a time.
ROW_GROUP = 2048


@dataclass(frozen=True, slots=True, order=True)
class DataFile:
    """One parquet file of a table: its key in the store, its size in bytes, and how many rows it has."""

    key: str
    size: int
    rows: int


def to_bytes(table: pa.Table, *, dictionary: bool = True) -> bytes:
    """A table as the content of one file; dictionaries are of no use to measured numbers."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="snappy", use_dictionary=dictionary, row_group_size=ROW_GROUP)
    return bytes(sink.getvalue())


def from_bytes(content: bytes) -> pa.Table:
    """The inverse of `to_bytes`; `ValueError` for bytes that are no such file."""
    with pq.ParquetFile(pa.BufferReader(content)) as file:
        return file.read(use_threads=False)


def write(store: Store, folder: str, number: int, table: pa.Table) -> DataFile:
    """Write a table as a new file of a folder; no other writer ever uses its name."""
    key = f"{folder}/part-{number:05}-{uuid.uuid4().hex}.parquet"
    content = to_bytes(table, dictionary=False)
    store.write(key, content)
    return DataFile(key, len(content), table.num_rows)


def read(store: Store, key: str, names: Sequence[str] | None = None) -> pa.Table:
    """Some columns of one file, of which only those are fetched, or all; `OutputError` for no or a damaged file."""
    # Twice: the store says of all errors within its `with` block that they are the storage's.
    with _explained(store, key), store.open(key) as stream, _explained(store, key), pq.ParquetFile(stream) as file:
        return file.read(names and list(names), use_threads=False)


def batches(store: Store, key: str, names: Sequence[str], size: int) -> Iterator[pa.RecordBatch]:
    """Some columns of one file, `size` rows at a time; an object is fetched in one request; errors as of `read`."""
    with _explained(store, key):
        source = os.path.join(store.uri, key) if isinstance(store, LocalStore) else pa.BufferReader(store.read(key))
        with pq.ParquetFile(source) as file:
            yield from file.iter_batches(batch_size=size, columns=list(names), use_threads=False)


@contextlib.contextmanager
def _explained(store: Store, key: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as exc:
        raise _unreadable(store, key, "is missing") from exc
    except (pa.ArrowException, OSError) as exc:
        if getattr(exc, "errno", None):  # the system's, about the disk
            raise
        raise _unreadable(store, key, f"is damaged ({str(exc).splitlines()[0]})") from exc


def _unreadable(store: Store, key: str, what: str) -> OutputError:
    command = "the command" if store.flag == "--output" else "the `orchard run` that wrote it"
    return OutputError(f"{store.flag} {store.uri}/{key}: {what}: repeat {command} with --overwrite")
