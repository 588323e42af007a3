from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from orchard.errors import InputError, PhotoError
from orchard.photos.photo import Photo, ignore
from orchard.report.contents import MOST_POINTS, SHEET_LABELS, SHEET_PIXELS, read_points, read_thumbnails
from orchard.tables import columns, parquet
from orchard.tables.columns import COMPONENTS
from orchard.tables.output import Output, open_output
from PIL import Image


def jpeg(width: int = 300, height: int = 200) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(buffer, "JPEG")
    return buffer.getvalue()


@dataclass
class MemorySource:
    """Photos in memory; paths in `errors` raise instead."""

    errors: dict[str, Exception] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    uri: str = "memory"
    readers: int = 1

    def read(self, path: str, *, listed: Photo | None = None, on_retry: Callable[[], None] = ignore) -> bytes:
        self.asked.append(path)
        if path in self.errors:
            raise self.errors[path]
        return jpeg()


PHOTOS = {"Apple": ["Apple/0.jpg", "Apple/1.jpg"], "Pear": ["Pear/0.jpg"]}


def test_read_thumbnails_makes_small_jpegs_in_order() -> None:
    sheet = read_thumbnails(MemorySource(), PHOTOS)
    assert {label: list(photos) for label, photos in sheet.items()} == PHOTOS
    with Image.open(io.BytesIO(sheet["Apple"]["Apple/0.jpg"])) as image:
        assert image.format == "JPEG"
        assert max(image.size) == 2 * SHEET_PIXELS


def test_read_thumbnails_of_labels_evenly_chosen() -> None:
    sheet = read_thumbnails(MemorySource(), {f"v{i}": [f"v{i}/0"] for i in range(131)})
    assert list(sheet) == [f"v{i * 131 // SHEET_LABELS}" for i in range(SHEET_LABELS)]
    assert read_thumbnails(MemorySource(), {}) == {}


def test_read_thumbnails_without_a_photo_that_is_gone() -> None:
    sheet = read_thumbnails(MemorySource({"Apple/0.jpg": PhotoError("gone", "")}), PHOTOS)
    assert [list(photos) for photos in sheet.values()] == [["Apple/1.jpg"], ["Pear/0.jpg"]]


@pytest.mark.parametrize("error", [PhotoError("unavailable", ""), InputError("no credentials")])
def test_read_thumbnails_stops_where_the_storage_fails(error: Exception) -> None:
    source = MemorySource({"Apple/1.jpg": error})
    assert list(read_thumbnails(source, PHOTOS)["Apple"]) == ["Apple/0.jpg"]
    assert source.asked == PHOTOS["Apple"]


def output_of(tmp_path: Path, rows: int, components: int) -> Output:
    """An output of two files with `rows` photos in all, each with components n, n + 0.5 and so on."""
    output = open_output(str(tmp_path / "out"))
    output.claim({}, anew=False)
    numbers = np.arange(rows, dtype=np.float32)
    for part, half in enumerate(np.array_split(numbers, 2)):
        names = columns.strings([f"{number:05.0f}" for number in half])
        values = columns.float_lists(half[:, None] + np.float32(0.5) * np.arange(components, dtype=np.float32))
        table = pa.table([names, names, values], schema=COMPONENTS)
        output.components.append([parquet.write(output.store, "components", part, table)])
    return output


@pytest.mark.parametrize(("rows", "step"), [(7, 1), (MOST_POINTS, 1), (2 * MOST_POINTS + 3, 3)])
def test_read_points_evenly_chosen(tmp_path: Path, rows: int, step: int) -> None:
    labels, xy = read_points(output_of(tmp_path, rows, 3))
    assert sorted(labels) == [f"{number:05}" for number in range(0, rows, step)]
    assert [[float(label), float(label) + 0.5] for label in labels] == xy.tolist()


def test_read_points_of_one_component(tmp_path: Path) -> None:
    _, xy = read_points(output_of(tmp_path, 2, 1))
    assert xy.tolist() == [[0, 0], [1, 0]]


def test_read_points_of_no_photo(tmp_path: Path) -> None:
    labels, xy = read_points(open_output(str(tmp_path / "out")))
    assert (labels, xy.shape) == ([], (0, 2))
