"""Drawn photos: what is asked for, the same every time, each variety its own."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from orchard.errors import OutputError, UsageError
from orchard.photos.sample import KNOWN, SIDE, draw_photo, draw_samples, variety_at
from PIL import Image


def photo(v: int, m: int, seed: int = 0) -> bytes:
    return draw_photo(variety_at(v, seed), np.random.default_rng([seed, v, m]))


def pixels(data: bytes) -> np.ndarray:
    with Image.open(BytesIO(data)) as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (SIDE, SIDE))
        return np.asarray(image, dtype=np.float64)


def test_one_folder_a_variety_and_names_as_in_fruits_360(tmp_path: Path) -> None:
    paths = draw_samples(tmp_path / "new" / "photos", varieties=2, per_variety=3, seed=0)
    names = ["0_100.jpg", "1_100.jpg", "2_100.jpg"]
    assert paths == [f"{variety}/{name}" for variety in ("Apple Red", "Banana") for name in names]
    found = sorted(str(path.relative_to(tmp_path / "new" / "photos")) for path in tmp_path.rglob("*") if path.is_file())
    assert found == sorted(paths)


def test_a_photo_depends_on_seed_variety_and_number_only(tmp_path: Path) -> None:
    few = draw_samples(tmp_path / "few", varieties=2, per_variety=2, seed=7)
    draw_samples(tmp_path / "many", varieties=4, per_variety=3, seed=7)
    assert all((tmp_path / "few" / path).read_bytes() == (tmp_path / "many" / path).read_bytes() for path in few)


@settings(max_examples=25, deadline=None)
@given(v=st.integers(0, 400), m=st.integers(0, 10_000), seed=st.integers(0, 2**32))
def test_any_photo_is_a_fruit_on_white_and_is_drawn_the_same_again(v: int, m: int, seed: int) -> None:
    data = photo(v, m, seed)
    assert data == photo(v, m, seed)
    shown = pixels(data)
    corners = shown[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert corners.min() > 235
    assert 0.10 < (shown.min(axis=2) < 200).mean() < 0.90


def test_photos_of_a_variety_differ() -> None:
    assert len({photo(0, m) for m in range(20)}) == 20
    assert photo(0, 0, seed=0) != photo(0, 0, seed=1)


def test_varieties_can_be_told_apart() -> None:
    """A plain nearest-neighbour look at tiny copies already sorts nearly all of them."""
    labels = np.repeat(np.arange(len(KNOWN)), 6)
    tiny = np.array([_histogram(pixels(photo(int(v), i % 6))) for i, v in enumerate(labels)])
    distance = np.abs(tiny[:, None] - tiny[None]).sum(axis=-1)
    np.fill_diagonal(distance, np.inf)
    assert (labels[distance.argmin(axis=1)] == labels).mean() > 0.9


def _histogram(shown: np.ndarray) -> np.ndarray:
    """Shares of 512 colours among the pixels that are not white."""
    fruit = shown[shown.min(axis=2) < 235].astype(int) // 32
    counts = np.bincount(fruit @ [64, 8, 1], minlength=512)
    shares: np.ndarray = counts / counts.sum()
    return shares


def test_names_do_not_repeat() -> None:
    names = [variety_at(v, 0).name for v in range(200)]
    assert len(set(names)) == 200
    assert names[len(KNOWN)] == f"Fruit {len(KNOWN) + 1:03d}"


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    assert len(draw_samples(tmp_path, varieties=1, per_variety=1, seed=0)) == 1


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(OutputError, match=r"is not empty \(it holds 'mine.txt'\): choose another --output"):
        draw_samples(tmp_path, varieties=1, per_variety=1, seed=0)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("below", ["", "sub"])
def test_a_file_in_the_way_is_named(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot use .*file.* for samples"):
        draw_samples(tmp_path / "file" / below, varieties=1, per_variety=1, seed=0)


@pytest.mark.parametrize(("varieties", "per_variety", "seed"), [(0, 1, 0), (1, 0, 0), (1, 1, -1)])
def test_numbers_out_of_range_are_refused_before_anything_is_made(
    tmp_path: Path, varieties: int, per_variety: int, seed: int
) -> None:
    with pytest.raises(UsageError):
        draw_samples(tmp_path / "new", varieties=varieties, per_variety=per_variety, seed=seed)
    assert not (tmp_path / "new").exists()
