"""One task, without Spark."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from orchard.errors import InputError, MachineError, OutputError, PhotoError
from orchard.features import task as task_module
from orchard.features.rows import Kept, Rows
from orchard.features.task import BLOCK, FeaturizeTask, Network, TaskReport, block_photos, decode_block, task_facts
from orchard.network.backbones import BACKBONES, MOBILENET_V2
from orchard.network.runtimes import make_predict
from orchard.network.weights import BakedWeights, check_weights
from orchard.photos.decoding import decode
from orchard.photos.photo import Photo, arrange, ignore
from orchard.photos.prefetch import Ahead, Content
from orchard.photos.source import open_source
from orchard.storage.stores import LocalStore, open_store
from orchard.tables import parquet
from orchard.tables.columns import FEATURES

from tests.network.baked import copy_baked


@pytest.fixture(scope="module")
def network(weights: BakedWeights) -> Network:
    return Network(MOBILENET_V2, "litert", weights)


def photos_of(folder: Path) -> list[Photo]:
    return arrange(open_source(str(folder)).list().photos)


def one_by_one(folder: Path, weights: BakedWeights, paths: list[str]) -> np.ndarray:
    predict = make_predict(MOBILENET_V2, "litert", weights.folder)
    return np.stack([predict(decode((folder / path).read_bytes(), MOBILENET_V2.input_size)[None])[0] for path in paths])


class Memory:
    """A reader of one content, which is empty for paths that end in 7 and gone for those that end in g."""

    uri = "memory"
    readers = 8

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.reads: list[str] = []

    def read(self, path: str, *, listed: Photo | None = None, on_retry: Callable[[], None] = ignore) -> bytes:
        self.reads.append(path)
        on_retry()
        if path.endswith("g"):
            raise PhotoError("gone", "not there")
        return b"" if path.endswith("7") else self.content


def test_task_writes_what_a_plain_loop_computes(network: Network, drawn: Path, tmp_path: Path) -> None:
    photos = photos_of(drawn)
    store = open_store(str(tmp_path))
    report = FeaturizeTask(open_source(str(drawn)), network, store)(3, photos)
    assert (report.partition, report.photos, report.featurized, report.failure) == (3, 24, 24, None)
    (file,) = report.files
    table = parquet.read(store, file.key)
    assert table.schema.equals(FEATURES)
    rows = table.to_pylist()
    assert [(row["path"], row["label"], row["size"]) for row in rows] == [(p.path, p.label, p.size) for p in photos]
    expected = one_by_one(drawn, network.weights, [row["path"] for row in rows])
    np.testing.assert_array_equal(np.array([row["features"] for row in rows], np.float32), expected)
    assert [row["sha256"] for row in rows] == [
        hashlib.sha256((drawn / photo.path).read_bytes()).hexdigest() for photo in photos
    ]


def test_task_reads_ahead_and_accounts_for_every_photo(network: Network, drawn: Path, tmp_path: Path) -> None:
    source = Memory((drawn / photos_of(drawn)[0].path).read_bytes())
    paths = [f"a/{number}" for number in range(BLOCK * 2 + 5)]
    task = FeaturizeTask(source, network, open_store(str(tmp_path)))
    report = task(0, [Photo(path, "a", 1, 2) for path in paths], attempt=2, ahead=Ahead(photos=40))
    good = [path for path in paths if not path.endswith("7")]
    assert [row["path"] for file in report.files for row in parquet.read(task.store, file.key).to_pylist()] == good
    assert sorted(source.reads) == sorted(paths)
    assert (report.photos, report.featurized, report.retries, report.attempt) == (len(paths), len(good), len(paths), 2)
    assert {(one.path, one.reason, one.size, one.modified) for one in report.rejections} == {
        (path, "empty", 1, 2) for path in paths if path not in good
    }


def test_task_that_gives_up_keeps_what_it_finished(network: Network, drawn: Path, tmp_path: Path) -> None:
    source = Memory((drawn / photos_of(drawn)[0].path).read_bytes())
    paths = [f"a/{number}" for number in range(7)] + [f"a/{number}g" for number in range(100)]
    task = FeaturizeTask(source, network, open_store(str(tmp_path)))
    report = task(0, [Photo(path, "a", 1, 2) for path in paths])
    assert isinstance(report.failure, InputError)
    assert report.featurized <= 7
    assert sum(file.rows for file in report.files) == report.featurized
    assert report.photos == report.featurized + len(report.rejections) < len(paths)


def test_task_reports_a_full_disk(network: Network, drawn: Path, tmp_path: Path) -> None:
    class FullDisk(LocalStore):
        def write(self, key: str, content: bytes) -> None:
            raise OutputError("no space left")

    report = FeaturizeTask(open_source(str(drawn)), network, FullDisk(str(tmp_path)))(0, photos_of(drawn))
    assert isinstance(report.failure, OutputError)
    assert (report.photos, report.featurized, report.files) == (0, 0, [])


def test_task_of_many_photos_writes_several_files(
    network: Network, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_module, "FILE_ROWS", BLOCK)
    source = Memory((drawn / photos_of(drawn)[0].path).read_bytes())
    photos = [Photo(f"a/{number}x", "a", 1, 2) for number in range(BLOCK * 2 + 1)]
    report = FeaturizeTask(source, network, open_store(str(tmp_path)))(0, photos)
    assert [file.rows for file in report.files] == [BLOCK, BLOCK, 1]


def test_task_without_photos_writes_nothing(network: Network, drawn: Path, tmp_path: Path) -> None:
    report = FeaturizeTask(open_source(str(drawn)), network, open_store(str(tmp_path)))(2, [])
    assert report == TaskReport(2)


def test_task_makes_rows_of_another_table(network: Network, drawn: Path, tmp_path: Path) -> None:
    def lengths(kept: Sequence[Kept], features: np.ndarray) -> pa.Table:
        return pa.table({"path": [photo.path for photo, _ in kept], "features": [len(row) for row in features]})

    photos, store = photos_of(drawn), open_store(str(tmp_path))
    report = FeaturizeTask(open_source(str(drawn)), network, store, Rows("lengths", lengths))(0, photos)
    (file,) = report.files
    assert file.key.startswith("lengths/")
    assert parquet.read(store, file.key).to_pylist() == [{"path": photo.path, "features": 1280} for photo in photos]
    assert (report.photos, report.featurized) == (24, 24)


def test_task_facts_add_up_what_tasks_did() -> None:
    tasks = [TaskReport(1, 3, waiting=0.25, retries=1, attempt=1), TaskReport(0, 4, predicting=3.0, retries=2)]
    facts = task_facts(tasks, 2.0)
    assert facts["partitions"] == [[0, 4], [1, 3]]
    assert (facts["read_retries"], facts["task_retries"], facts["images_per_second"]) == (3, 1, 3.5)
    assert facts["task_seconds"] == {"waiting": 0.25, "decoding": 0.0, "predicting": 3.0}
    assert task_facts([], None)["images_per_second"] == 0


def test_network_is_loaded_once_a_process(network: Network) -> None:
    assert network.load() is network.load()


def testdecode_block_takes_a_photo_when_the_one_before_it_is_decoded(drawn: Path) -> None:
    """What is read ahead is bounded; a whole block of large photos held beside it would not be."""
    paths = sorted(drawn.rglob("*.jpg"))[:3]
    pixels = np.zeros((BLOCK, 224, 224, 3), np.uint8)
    decoded: list[int] = []

    def contents() -> Iterator[Content | PhotoError]:
        for path in paths:
            decoded.append(int(pixels.any(axis=(1, 2, 3)).sum()))
            yield Content(path.read_bytes(), path.name)

    block = [Photo(path.name, "a", 1, 1) for path in paths]
    kept = decode_block(block, contents(), MOBILENET_V2.input_size, pixels, TaskReport(0))
    assert decoded == [0, 1, 2]
    assert kept == list(zip(block, [path.name for path in paths], strict=True))


def test_block_photos_of_larger_photos_are_fewer() -> None:
    pixels = {backbone.name: block_photos(backbone) * np.prod(backbone.input_size) for backbone in BACKBONES.values()}
    assert max(pixels.values()) == pixels["mobilenet_v2"] == BLOCK * 224 * 224
    assert block_photos(BACKBONES["xception"]) < block_photos(BACKBONES["efficientnet_lite2"]) < BLOCK
    assert block_photos(replace(MOBILENET_V2, input_size=(4000, 4000))) == 1


def test_task_without_memory_for_the_network(
    weights: BakedWeights, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_module, "free_memory", lambda: 60)
    elsewhere = check_weights(MOBILENET_V2, str(copy_baked(weights.folder, tmp_path / "weights")))
    task = FeaturizeTask(open_source(str(drawn)), Network(MOBILENET_V2, "litert", elsewhere), open_store(str(tmp_path)))
    report = task(0, photos_of(drawn))
    assert isinstance(report.failure, MachineError)
    assert (report.photos, report.files) == (0, [])
