"""The rows that a classifier is fitted to, in tasks: read from files of features, reduced, and kept on a local disk.

A fit goes over the reduced rows many times. The first task on a machine that needs a group of files reduces them to one
file among Spark's temporary files, where the later ones find it, whichever process they run in: rows take no heap, and
are reduced once.
"""

import io
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import numpy.typing as npt
from pyspark import Broadcast

from orchard.classifier.settings import check_finite
from orchard.classifier.training.logistic import Block, Integers
from orchard.errors import MachineError
from orchard.pca.job import group_files
from orchard.pca.projection import Projection
from orchard.storage.stores import Store
from orchard.tables import columns, parquet
from orchard.tables.parquet import DataFile

# Rows at a time, of features and of components: of 1280 in float64, 10 and 20 MB.
FEATURES_BLOCK, BLOCK = 1024, 2048
# Not the number of slots: sums then have the same bits wherever the same files are trained on. Each task sends 13 MB of
# moments to the driver.
TASKS = 16


@dataclass(frozen=True)
class FileRows:
    """What a training knows of the rows of one file of features, each int32 (rows,).

    Attributes:
        key: of the file in its store.
        classes: index of the class; -1: the row is not used.
        folds: fold of cross-validation; -1: none.
        blocks: block of rows that a reference is the mean of; -1: none.
        places: number of the reference's place, see `TrainingSet.reference_places`.
    """

    key: str
    classes: Integers
    folds: Integers
    blocks: Integers
    places: Integers


class Features(NamedTuple):
    """Some rows of one file: float32 (n, features), and what is known of them."""

    vectors: npt.NDArray[np.float32]
    rows: FileRows


class Task(NamedTuple):
    """The work of one task: its number, and consecutive files."""

    number: int
    files: list[FileRows]


def group_rows(rows: Sequence[FileRows], tasks: int = TASKS) -> list[Task]:
    """Files in consecutive groups of nearly as many used rows, one a task."""
    groups = group_files([DataFile(file.key, 0, int((file.classes >= 0).sum())) for file in rows], tasks)
    left = iter(rows)
    return [Task(number, [next(left) for _ in group]) for number, group in enumerate(groups)]


def read_features(store: Store, feature_size: int, files: Sequence[FileRows]) -> Iterator[Features]:
    """All rows of some files, block by block.

    Raises:
        InputError: features that are NaN or infinite.
        ValueError: a file has another number of rows than is known of it.
    """
    for file in files:
        start = 0
        for batch in parquet.batches(store, file.key, ["features"], FEATURES_BLOCK):
            vectors = columns.float_matrix(batch.column(0), feature_size)
            check_finite(vectors, f"{store.flag} {store.uri}", partial(_path, store, file.key, start))
            yield Features(vectors, _cut(file, slice(start, start + len(vectors))))
            start += len(vectors)
        if start != len(file.classes):
            raise ValueError(f"{store.uri}/{file.key} has {start} rows, not {len(file.classes)}")


def _path(store: Store, key: str, start: int, row: int) -> str:
    """The path of the photo in a row that is counted from row `start` of a file."""
    return str(parquet.read(store, key, ["path"]).column(0)[start + row].as_py())


def select(features: Features, chosen: npt.NDArray[np.bool_]) -> Features:
    """Those rows for which `chosen` (n,) is true."""
    return Features(features.vectors[chosen], _cut(features.rows, chosen))


def _cut(rows: FileRows, which: slice | npt.NDArray[np.bool_]) -> FileRows:
    return FileRows(rows.key, *(part[which] for part in (rows.classes, rows.folds, rows.blocks, rows.places)))


@dataclass(frozen=True)
class ReducedRows:
    """The used rows of files as components, made where and when they are first asked for.

    Attributes:
        store: where the features are.
        k: number of components.
        projection: reduces features to them; a broadcast variable, as a task seldom needs its megabytes.
        training: the name of the folder for these rows.
    """

    store: Store
    k: int
    projection: Broadcast[Projection]
    training: str

    def blocks(
        self, task: Task, kind: type[np.floating] = np.float64, environ: Mapping[str, str] = os.environ
    ) -> Iterator[Block]:
        """The rows of a task in a fixed order, some thousand at a time; each block is overwritten by the next.

        They are given as float64 or float32, and are the same numbers.

        Raises:
            MachineError: they cannot be kept: the disk is full for one.
        """
        with self._open(task, self._folder(environ)) as file:
            # Read, not mapped: mapped pages count as memory of the process.
            chunks = iter(lambda: file.read(BLOCK * _kind(self.k).itemsize), b"")
            yield from _blocks(chunks, self.k, kind)

    def content(self, task: Task, environ: Mapping[str, str] = os.environ) -> bytes:
        """All rows of a task, for `HeldRows`."""
        with self._open(task, self._folder(environ)) as file:
            return file.read()

    def remove(self, _: Task, environ: Mapping[str, str] = os.environ) -> None:
        """Remove the rows of all tasks from this machine."""
        shutil.rmtree(self._folder(environ), ignore_errors=True)

    def _folder(self, environ: Mapping[str, str]) -> Path:
        # Spark tells its workers where it keeps temporary files; the folder is its own, and removed when it ends.
        spark = environ.get("SPARK_LOCAL_DIRS", "").split(",")[0]
        return Path(spark or tempfile.gettempdir(), f"orchard-{self.training}")

    def _open(self, task: Task, folder: Path) -> io.BufferedIOBase:
        path = folder / f"{task.number}"
        with suppress(FileNotFoundError):
            return path.open("rb")
        with _explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
            draft = (folder / f"{task.number}.{os.getpid()}").open("w+b")
        try:
            self._write(task, draft, folder)
            os.replace(draft.name, path)
        except BaseException:
            with suppress(OSError):  # it writes what is left
                draft.close()
            os.unlink(draft.name)
            raise
        draft.seek(0)
        return draft

    def _write(self, task: Task, file: IO[bytes], folder: Path) -> None:
        projection = self.projection.value
        for features in read_features(self.store, len(projection.mean), task.files):
            used = select(features, features.rows.classes >= 0)
            rows = np.empty(len(used.vectors), _kind(self.k))
            rows["class"], rows["fold"] = used.rows.classes, used.rows.folds
            rows["vector"] = projection.transform(used.vectors)
            with _explained(folder):
                file.write(rows.tobytes())
        with _explained(folder):
            file.flush()


@dataclass(frozen=True)
class HeldRows:
    """The same rows in memory: `contents` of tasks, by their numbers."""

    k: int
    contents: Sequence[bytes]

    def blocks(self, task: Task, kind: type[np.floating] = np.float64) -> Iterator[Block]:
        """As `ReducedRows.blocks`, the same blocks."""
        content, size = memoryview(self.contents[task.number]), BLOCK * _kind(self.k).itemsize
        yield from _blocks((content[start : start + size] for start in range(0, len(content), size)), self.k, kind)


Rows = ReducedRows | HeldRows


def reduced_size(rows: int, k: int) -> int:
    """Bytes that so many rows of `k` components take."""
    return rows * _kind(k).itemsize


def _kind(k: int) -> np.dtype[np.void]:
    return np.dtype([("class", np.int32), ("fold", np.int32), ("vector", np.float32, (k,))])


def _blocks(chunks: Iterable[bytes | memoryview], k: int, kind: type[np.floating]) -> Iterator[Block]:
    vectors = np.ones((BLOCK, k + 1), kind)
    for chunk in chunks:
        rows = np.frombuffer(chunk, _kind(k))
        vectors[: len(rows), :-1] = rows["vector"]
        yield Block(vectors[: len(rows)], rows["class"], rows["fold"])


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        remedy = "make room for Spark's temporary files (SPARK_LOCAL_DIRS, TMPDIR)"
        raise MachineError(f"{folder}: {exc.strerror or exc}: {remedy}") from exc
