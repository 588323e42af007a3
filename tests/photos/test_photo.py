import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchard.photos.photo import Photo, arrange, label_of, natural_key, partition_bounds, skip_reason, to_text


@pytest.mark.parametrize(
    "suffix", ["avif", "bmp", "gif", "jfif", "jpe", "jpeg", "jpg", "png", "tif", "tiff", "webp", "JPG", "Tiff"]
)
def test_skip_reason_of_photos(suffix: str) -> None:
    assert skip_reason(f"photo.{suffix}") is None
    assert skip_reason(f"a.b/c/x.y.{suffix}") is None
    assert skip_reason(f".{suffix}") == "hidden"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("a.HEIC", ".heic"),
        ("a/b.tar.gz", ".gz"),
        ("a/b", "no suffix"),
        ("a.b/c", "no suffix"),
        ("a/b.", "no suffix"),
        ("a/b.0001", "no suffix"),
        ("a/b.jpg (copy of the first)", "no suffix"),
        ("e.jpg~", ".jpg~"),
        ("e.jpg.part", ".part"),
        (".a.jpg", "hidden"),
        ("x/.git/a.jpg", "hidden"),
        ("@eaDir/a.jpg/b.jpg", "system folder"),
        ("x/__macosx/._a.jpg", "system folder"),
        ("x/.AppleDouble/@eaDir/a.jpg", "hidden"),
        ("#recycle/a.txt", "system folder"),
        ("$RECYCLE.BIN/a.jpg", "system folder"),
        ("lost+found/a.jpg", "system folder"),
        ("System Volume Information/a.jpg", "system folder"),
        ("@Recently-Snapshot/a.jpg", "system folder"),
        ("@Recycle/a.jpg", "system folder"),
        ("#snapshot/a.jpg", "system folder"),
        ("@tmp/a.jpg", "system folder"),
    ],
)
def test_skip_reason(path: str, reason: str) -> None:
    assert skip_reason(path) == reason


def test_label_of_and_to_text() -> None:
    assert label_of("Pe\u0302che") == "P\xeache"
    assert to_text("P\udceache") == "P\\udceache"


def photo(path: str) -> Photo:
    return Photo(path, path.split("/")[-2] if "/" in path else "root", 10, 1_700_000_000_000_000)


def test_arrange_orders_photos_naturally() -> None:
    paths = ["Plum/10_100.jpg", "Plum/2_100.jpg", "Apple/r_0.jpg", "Apple/1.jpg", "Plum/2_99.jpg"]
    assert [p.path for p in arrange(map(photo, paths))] == [
        "Apple/1.jpg",
        "Apple/r_0.jpg",
        "Plum/2_99.jpg",
        "Plum/2_100.jpg",
        "Plum/10_100.jpg",
    ]


def test_arrange_takes_the_first() -> None:
    photos = [photo(f"{variety}/{number}.jpg") for variety in "CAB" for number in (10, 2, 1)]
    assert [p.path for p in arrange(photos, varieties=2, per_variety=2)] == ["A/1.jpg", "A/2.jpg", "B/1.jpg", "B/2.jpg"]


@given(st.lists(st.text(max_size=12), unique=True), st.randoms(use_true_random=False))
def test_arrange_of_any_order(paths: list[str], shuffle: random.Random) -> None:
    photos = [photo(path) for path in paths]
    shuffled = photos.copy()
    shuffle.shuffle(shuffled)
    assert arrange(shuffled) == arrange(photos)


@given(st.integers(0, 10**30), st.integers(0, 10**30))
def test_natural_key(a: int, b: int) -> None:
    assert (natural_key(f"x{a}.jpg") < natural_key(f"x{b}.jpg")) == (a < b)


@pytest.mark.parametrize(
    ("photos", "partitions", "sizes"),
    [(50, 4, [13, 13, 13, 11]), (5, 4, [2, 2, 1, 0]), (3, 5, [1, 1, 1, 0, 0]), (0, 2, [0, 0])],
)
def test_partition_bounds(photos: int, partitions: int, sizes: list[int]) -> None:
    assert [stop - start for start, stop in partition_bounds(photos, partitions)] == sizes


@given(st.integers(0, 10**6), st.integers(1, 5000))
def test_partition_bounds_cover_every_photo_once(photos: int, partitions: int) -> None:
    bounds = partition_bounds(photos, partitions)
    assert len(bounds) == partitions
    assert bounds[0][0] == 0
    assert bounds[-1][1] == photos
    assert all(before[1] == after[0] for before, after in itertools.pairwise(bounds))
