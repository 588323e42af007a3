"""Spark edge: how a table that Spark writes gets to its place in a store.

Into a folder Spark writes by itself, into object storage where it has a connector for it: Hadoop's S3A, say, which Amazon's images have
and Spark from a Python package has not. Without one, a Spark whose tasks all run on this machine writes into a temporary folder, and the
files are uploaded from there.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from orchard.errors import UsageError
from orchard.photos.source import local_path
from orchard.spark.session import is_on_this_machine
from orchard.storage.objects import endpoint
from orchard.storage.stores import LocalStore, Store, Stored

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_PART = re.compile(r"part-(\d+)-(.*\.parquet)")
_UPLOADS = 4


@contextlib.contextmanager
def landing(spark: SparkSession, store: Store, key: str) -> Iterator[str]:
    """An address for Spark to write a table at, that is in the store at `key` when the block ends."""
    if isinstance(store, LocalStore):
        yield f"{local_path(store.uri)}/{key}"
    elif uri := connected_uri(spark, store.uri):
        yield f"{uri}/{key}"
    else:
        with tempfile.TemporaryDirectory(prefix="orchard-") as folder:
            yield f"{folder}/table"
            _upload(Path(folder, "table"), store, key)


def check_landing(spark: SparkSession, store: Store) -> None:
    """Raise `UsageError` where Spark's tables have no way into a store."""
    if isinstance(store, LocalStore) or is_on_this_machine(spark) or connected_uri(spark, store.uri):
        return
    scheme = store.uri.split("://")[0]
    raise UsageError(
        f"--output {store.uri}: the executors of {spark.sparkContext.master} have no Hadoop connector for {scheme}://: add one "
        "(spark-submit --packages org.apache.hadoop:hadoop-aws of the version of Spark's Hadoop), use Amazon's image, or --master local[*]"
    )


def connected_uri(spark: SparkSession, uri: str) -> str | None:
    """A place in object storage as Spark's connector names it; None if there is no connector."""
    scheme, place = uri.rstrip("/").split("://", 1)
    for name in dict.fromkeys((scheme, "s3a" if scheme == "s3" else scheme)):
        if _has_connector(spark, name):
            return f"{name}://{place}"
    return None


def _has_connector(spark: SparkSession, scheme: str) -> bool:
    from py4j.protocol import Py4JJavaError

    hadoop, jvm = spark._jsc.hadoopConfiguration(), spark._jvm
    assert jvm
    try:
        kind = jvm.org.apache.hadoop.fs.FileSystem.getFileSystemClass(scheme, hadoop).getName()
    except Py4JJavaError:  # not configured, or its class is not there
        return False
    if kind.endswith(".S3AFileSystem") and (address := endpoint()):  # it does not know the standard variables
        hadoop.set("fs.s3a.endpoint", address)
        hadoop.set("fs.s3a.path.style.access", "true")
    return True


def _upload(folder: Path, store: Store, key: str) -> None:
    files = [path for path in folder.iterdir() if _PART.fullmatch(path.name)]
    with ThreadPoolExecutor(_UPLOADS) as pool:
        list(pool.map(lambda path: store.write(f"{key}/{path.name}", path), files))


def landed(store: Store, key: str) -> tuple[Stored, ...]:
    """The files of a table that Spark wrote, in order."""
    return tuple(stored for stored in store.list(key) if _PART.fullmatch(stored.key.split("/")[-1]))


def part_number(key: str) -> int:
    """The number of the task that wrote a file."""
    return int(_named(key)[1])


def renumbered(table: str, key: str, number: int) -> str:
    """The key of a file in a table, with another number than that of the task that wrote it."""
    return f"{table}/part-{number:05}-{_named(key)[2]}"


def numbered(table: str, keys: Sequence[str], first: int = 0) -> dict[str, str]:
    """Where files that Spark wrote go in a table made of several writes: final key -> key now, their numbers counted from `first`."""
    return {renumbered(table, key, first + part_number(key)): key for key in keys}


def _named(key: str) -> re.Match[str]:
    match = _PART.fullmatch(key.split("/")[-1])
    assert match, key
    return match
