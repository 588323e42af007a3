"""Parquet files of a store."""

from __future__ import annotations

import os

import pyarrow as pa
import pyarrow.parquet as pq

from orchard.photos.source import local_path
from orchard.storage.stores import LocalStore, Store

SUCCESS = "_SUCCESS"
# The name of the file of a table that has just one.
ONLY = "part-00000.snappy.parquet"


def files(store: Store, folder: str) -> list[str]:
    """The keys of the files of a table, in the order in which they were numbered."""
    return [stored.key for stored in store.list(folder) if stored.key.endswith(".parquet")]


def open_file(store: Store, key: str) -> pq.ParquetFile:
    """One file: in place where the store is a folder, read into memory where it is not."""
    if isinstance(store, LocalStore):
        return pq.ParquetFile(os.path.join(local_path(store.uri), key))
    return pq.ParquetFile(pa.BufferReader(store.read(key)))


def read_table(store: Store, folder: str) -> pa.Table:
    """A small table whole."""
    return pa.concat_tables([open_file(store, key).read() for key in files(store, folder)])


def from_bytes(content: bytes) -> pa.Table:
    """The inverse of `to_bytes`."""
    return pq.ParquetFile(pa.BufferReader(content)).read()


def to_bytes(table: pa.Table, *, dictionary: bool = True) -> bytes:
    """A table as the content of one file."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="snappy", use_dictionary=dictionary)
    return bytes(sink.getvalue())


def one_file(folder: str, content: bytes) -> dict[str, bytes]:
    """A table of one file as files by key, marked as Spark marks a finished one."""
    return {f"{folder}/{ONLY}": content, f"{folder}/{SUCCESS}": b""}
