"""`draw_samples`: the same photos every time, each variety different."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from orchard.errors import OutputError, UsageError
from orchard.sample import KNOWN, SIDE, draw_photo, draw_samples, variety_at
from PIL import Image


def photo(v: int, m: int, seed: int = 0) -> bytes:
    return draw_photo(variety_at(v, seed), np.random.default_rng([seed, v, m]))


def pixels(data: bytes) -> np.ndarray:
    with Image.open(BytesIO(data)) as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (SIDE, SIDE))
        return np.asarray(image, dtype=np.float64)


def test_draw_samples_names_folders_and_photos_as_fruits_360(tmp_path: Path) -> None:
    paths = draw_samples(tmp_path / "new" / "photos", varieties=2, per_variety=3, seed=0)
    names = ["0_100.jpg", "1_100.jpg", "2_100.jpg"]
    assert paths == [f"{variety}/{name}" for variety in ("Apple Red", "Banana") for name in names]
    found = sorted(str(path.relative_to(tmp_path / "new" / "photos")) for path in tmp_path.rglob("*") if path.is_file())
    assert found == sorted(paths)


def test_draw_samples_of_a_larger_number_contain_the_smaller(tmp_path: Path) -> None:
    few = draw_samples(tmp_path / "few", varieties=2, per_variety=2, seed=7)
    draw_samples(tmp_path / "many", varieties=4, per_variety=3, seed=7)
    assert all((tmp_path / "few" / path).read_bytes() == (tmp_path / "many" / path).read_bytes() for path in few)


@settings(max_examples=25, deadline=None)
@given(v=st.integers(0, 400), m=st.integers(0, 10_000), seed=st.integers(0, 2**32))
def test_draw_photo_is_a_fruit_on_white_and_the_same_again(v: int, m: int, seed: int) -> None:
    data = photo(v, m, seed)
    assert data == photo(v, m, seed)
    shown = pixels(data)
    corners = shown[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert corners.min() > 235
    assert 0.10 < (shown.min(axis=2) < 200).mean() < 0.90


def test_draw_photo_never_gives_two_equal_ones() -> None:
    assert len({photo(v, m) for v in range(20) for m in range(10)}) == 200
    assert photo(0, 0, seed=0) != photo(0, 0, seed=1)


def test_varieties_differ_by_color() -> None:
    """The nearest neighbour by histogram is of the same variety nearly always."""
    labels = np.repeat(np.arange(len(KNOWN)), 6)
    histograms = np.array([_histogram(pixels(photo(int(v), i % 6))) for i, v in enumerate(labels)])
    distance = np.abs(histograms[:, None] - histograms[None]).sum(axis=-1)
    np.fill_diagonal(distance, np.inf)
    assert (labels[distance.argmin(axis=1)] == labels).mean() > 0.9


def _histogram(shown: np.ndarray) -> np.ndarray:
    """Shares of 512 colours among the pixels that are not white."""
    fruit = shown[shown.min(axis=2) < 235].astype(int) // 32
    counts = np.bincount(fruit @ [64, 8, 1], minlength=512)
    shares: np.ndarray = counts / counts.sum()
    return shares


def test_variety_at_never_repeats_a_name() -> None:
    names = [variety_at(v, 0).name for v in range(200)]
    assert len(set(names)) == 200
    assert names[len(KNOWN)] == f"Fruit {len(KNOWN) + 1:03d}"


def test_draw_samples_accepts_an_empty_folder(tmp_path: Path) -> None:
    assert len(draw_samples(tmp_path, varieties=1, per_variety=1, seed=0)) == 1


def test_draw_samples_refuses_a_folder_that_is_not_empty(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(OutputError, match="--output"):
        draw_samples(tmp_path, varieties=1, per_variety=1, seed=0)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("below", ["", "sub"])
def test_draw_samples_refuses_a_file(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="--output"):
        draw_samples(tmp_path / "file" / below, varieties=1, per_variety=1, seed=0)


@pytest.mark.parametrize(("varieties", "per_variety", "seed"), [(0, 1, 0), (1, 0, 0), (1, 1, -1)])
def test_draw_samples_refuses_numbers_out_of_range(tmp_path: Path, varieties: int, per_variety: int, seed: int) -> None:
    with pytest.raises(UsageError):
        draw_samples(tmp_path / "new", varieties=varieties, per_variety=per_variety, seed=seed)
    assert not (tmp_path / "new").exists()
