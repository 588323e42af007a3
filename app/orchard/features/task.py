"""One task of the featurizing job: some consecutive photos become a parquet file of rows and a report."""

import contextlib
import functools
import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from orchard.errors import OrchardError, PhotoError
from orchard.features.rows import FEATURE_ROWS, Kept, Rows
from orchard.network.backbones import Backbone, get_backbone
from orchard.network.memory import check_memory, free_memory
from orchard.network.runtimes import Features, Predict, make_predict
from orchard.network.weights import BakedWeights, check_file
from orchard.photos.decoding import DECODING_VERSION, Pixels, decode
from orchard.photos.photo import Photo, PhotoReader, Rejection
from orchard.photos.prefetch import AHEAD, Ahead, Content, read_ahead
from orchard.storage.stores import Store
from orchard.tables import parquet
from orchard.tables.parquet import DataFile

# Photos decoded before the network runs: small enough to stay in cache, large enough to read ahead of. That many of
# `BLOCK_PIXELS` in all; of larger photos fewer.
BLOCK = 32
BLOCK_PIXELS = BLOCK * 224 * 224
# Rows of one file: a task with many more photos writes several, so that its memory does not grow with them. Of longer
# rows fewer.
FILE_ROWS, FILE_FEATURES = 4096, 4096 * 1280
_DETAIL_LENGTH = 300
_COUNTING = threading.Lock()


@dataclass
class TaskReport:
    """What one task did.

    Attributes:
        photos: how many it finished: `featurized`, which are in `files`, not committed yet, or rejected.
        waiting, decoding, predicting: seconds spent on reading, on decoding, and in the network.
        retries: reads that were tried again.
        attempt: how many attempts at the whole task failed before this one.
        failure: the known error that stopped the task early; what it had finished is reported all the same.
    """

    partition: int
    photos: int = 0
    featurized: int = 0
    rejections: list[Rejection] = field(default_factory=list)
    files: list[DataFile] = field(default_factory=list)
    waiting: float = 0.0
    decoding: float = 0.0
    predicting: float = 0.0
    retries: int = 0
    attempt: int = 0
    failure: OrchardError | None = None

    def count_retry(self) -> None:
        """Count a read that had to be tried again; called by many threads."""
        with _COUNTING:
            self.retries += 1

    @contextlib.contextmanager
    def timing(self, kind: str) -> Iterator[None]:
        """Add the seconds of a block to `waiting`, `decoding` or `predicting`."""
        started = time.perf_counter()
        try:
            yield
        finally:
            setattr(self, kind, getattr(self, kind) + time.perf_counter() - started)


def task_facts(reports: Sequence[TaskReport], seconds: float | None) -> dict[str, Any]:
    """What tasks did, as a report tells it; `seconds` is how long the job took them, if there was one."""
    photos, kinds = sum(report.photos for report in reports), ("waiting", "decoding", "predicting")
    return {
        "partitions": sorted([report.partition, report.photos] for report in reports),
        "read_retries": sum(report.retries for report in reports),
        "task_retries": sum(report.attempt for report in reports),
        "task_seconds": {kind: round(sum(getattr(report, kind) for report in reports), 3) for kind in kinds},
        "images_per_second": round(photos / seconds, 2) if seconds else 0.0,
    }


@dataclass(frozen=True)
class Network:
    """What a task needs to load the network: small, and pickled with it."""

    backbone: Backbone
    runtime: str
    weights: BakedWeights

    @property
    def settings(self) -> dict[str, str]:
        """What the features depend on, by the names of a table's properties."""
        return {
            "backbone": self.backbone.name,
            "fingerprint": self.weights.fingerprint,
            "runtime": self.runtime,
            "decoding": str(DECODING_VERSION),
            "preprocessing": self.backbone.preprocessing,
        }

    def load(self) -> Predict:
        """The network in this process's memory, loaded at the first call.

        Raises:
            WeightsError: other files than the manifest's.
            MachineError: too little memory.
        """
        return _load(self.backbone.name, self.runtime, self.weights.folder, tuple(sorted(self.weights.files.items())))


@functools.lru_cache(maxsize=2)
def _load(backbone: str, runtime: str, folder: str, files: tuple[tuple[str, str], ...]) -> Predict:
    for name, sha256 in files:  # another machine's folder, perhaps: checked here, where it is used
        check_file(os.path.join(folder, name), sha256)
    known = get_backbone(backbone)
    check_memory(known, runtime, 1, free_memory())
    return make_predict(known, runtime, folder)


def block_photos(backbone: Backbone) -> int:
    """How many photos are decoded before the network runs."""
    width, height = backbone.input_size
    return max(1, min(BLOCK, BLOCK_PIXELS // (width * height)))


@dataclass
class _Pending:
    """Photos whose rows are not in a file yet."""

    rows: Rows
    store: Store
    report: TaskReport
    kept: list[Kept] = field(default_factory=list)
    features: list[Features] = field(default_factory=list)

    def add(self, kept: list[Kept], features: Features) -> None:
        self.kept += kept
        self.features.append(features)
        if len(self.kept) >= min(FILE_ROWS, FILE_FEATURES // features.shape[1]):
            self.write()

    def write(self) -> None:
        """Write the rows as one file; they count as featurized only then."""
        if self.kept:
            kept, features, self.kept, self.features = self.kept, np.concatenate(self.features), [], []
            table = self.rows.make(kept, features)
            file = parquet.write(self.store, self.rows.folder, self.report.partition, table)
            self.report.files.append(file)
            self.report.featurized += file.rows
            self.report.photos += file.rows


@dataclass(frozen=True)
class FeaturizeTask:
    """A function from the photos of one partition to its report; pickled to the workers."""

    source: PhotoReader
    network: Network
    store: Store
    rows: Rows = FEATURE_ROWS

    def __call__(
        self, partition: int, photos: Sequence[Photo], *, attempt: int = 0, ahead: Ahead = AHEAD
    ) -> TaskReport:
        """Featurize `photos`, in order, into files below a folder of the store."""
        report = TaskReport(partition, attempt=attempt)
        pending = _Pending(self.rows, self.store, report)
        try:
            self._featurize(photos, pending, report, ahead)
        except OrchardError as error:
            report.failure = error
        try:
            pending.write()
        except OrchardError as error:
            report.failure = report.failure or error
        return report

    def _featurize(self, photos: Sequence[Photo], pending: _Pending, report: TaskReport, ahead: Ahead) -> None:
        predict, size = self.network.load(), self.network.backbone.input_size
        block = block_photos(self.network.backbone)
        pixels = np.empty((block, *size[::-1], 3), np.uint8)
        with contextlib.closing(read_ahead(self.source, photos, report.count_retry, ahead)) as contents:
            for start in range(0, len(photos), block):
                kept = decode_block(photos[start : start + block], contents, size, pixels, report)
                if kept:
                    with report.timing("predicting"):
                        features = predict(pixels[: len(kept)])
                    pending.add(kept, features)


def decode_block(
    block: Sequence[Photo],
    contents: Iterator[Content | PhotoError],
    size: tuple[int, int],
    pixels: Pixels,
    report: TaskReport,
) -> list[Kept]:
    """Fill `pixels` (n, height, width, 3) from the front with the photos that decode, and reject the others.

    Each is taken when the one before it is decoded: what is read ahead is bounded, and a block of photos would not be.
    """
    kept: list[Kept] = []
    for photo in block:
        with report.timing("waiting"):
            content = next(contents)
        try:
            if isinstance(content, PhotoError):
                raise content
            with report.timing("decoding"):
                pixels[len(kept)] = decode(content.data, size)
            kept.append((photo, content.sha256))
        except PhotoError as error:
            why = error.reason, error.detail[:_DETAIL_LENGTH]
            report.rejections.append(Rejection(photo.path, photo.label, photo.size, photo.modified, *why))
            report.photos += 1
    return kept
