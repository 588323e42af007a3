from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchard.errors import InputError
from orchard.photos.manifest import arrange, compare, natural_key, partition_bounds, to_table
from orchard.photos.source import Photo
from orchard.tables import columns


def photo(path: str) -> Photo:
    return Photo(path, path.split("/")[-2] if "/" in path else "root", 10, 1_700_000_000_000_000)


def test_varieties_are_ordered_by_name_and_photos_naturally() -> None:
    paths = ["Plum/10_100.jpg", "Plum/2_100.jpg", "Apple/r_0.jpg", "Apple/1.jpg", "Plum/2_99.jpg"]
    assert [p.path for p in arrange(map(photo, paths))] == [
        "Apple/1.jpg",
        "Apple/r_0.jpg",
        "Plum/2_99.jpg",
        "Plum/2_100.jpg",
        "Plum/10_100.jpg",
    ]


def test_first_varieties_and_photos_are_taken_in_that_order() -> None:
    photos = [photo(f"{variety}/{number}.jpg") for variety in "CAB" for number in (10, 2, 1)]
    assert [p.path for p in arrange(photos, varieties=2, per_variety=2)] == ["A/1.jpg", "A/2.jpg", "B/1.jpg", "B/2.jpg"]


@given(st.lists(st.text(max_size=12), unique=True), st.randoms(use_true_random=False))
def test_order_does_not_depend_on_the_order_of_listing(paths: list[str], shuffle: random.Random) -> None:
    photos = [photo(path) for path in paths]
    shuffled = photos.copy()
    shuffle.shuffle(shuffled)
    assert arrange(shuffled) == arrange(photos)


@given(st.integers(0, 10**30), st.integers(0, 10**30))
def test_natural_key_orders_numbers_by_value(a: int, b: int) -> None:
    assert (natural_key(f"x{a}.jpg") < natural_key(f"x{b}.jpg")) == (a < b)


@pytest.mark.parametrize(
    ("photos", "partitions", "sizes"),
    [(50, 4, [13, 13, 13, 11]), (5, 4, [2, 2, 1, 0]), (3, 5, [1, 1, 1, 0, 0]), (0, 2, [0, 0])],
)
def test_partition_sizes(photos: int, partitions: int, sizes: list[int]) -> None:
    assert [stop - start for start, stop in partition_bounds(photos, partitions)] == sizes


@given(st.integers(0, 10**6), st.integers(1, 5000))
def test_partitions_cover_every_photo_once(photos: int, partitions: int) -> None:
    bounds = partition_bounds(photos, partitions)
    assert len(bounds) == partitions
    assert bounds[0][0] == 0
    assert bounds[-1][1] == photos
    assert all(before[1] == after[0] for before, after in itertools.pairwise(bounds))


def test_table_keeps_names_of_every_kind() -> None:
    paths = ["Äpfel ñ/100% #1 🍎.jpg", "a b/+.jpg"]
    table = to_table([photo(path) for path in paths])
    assert table.column("path").to_pylist() == paths
    assert table.column("label").to_pylist() == ["Äpfel ñ", "a b"]
    assert table.schema.field("modified").type.tz == "UTC"
    table.validate(full=True)


PHOTOS = st.dictionaries(
    st.sampled_from([f"a/{number}.jpg" for number in range(12)]), st.tuples(st.integers(0, 3), st.integers(0, 3))
)


@given(PHOTOS, PHOTOS)
def test_a_comparison_finds_every_difference(
    before: dict[str, tuple[int, int]], now: dict[str, tuple[int, int]]
) -> None:
    earlier, later = ([Photo(path, "a", *stamp) for path, stamp in photos.items()] for photos in (before, now))
    changes = compare(to_table(earlier), later)
    assert [photo.path for photo in changes.added] == [path for path in now if path not in before]
    assert [photo.path for photo in changes.modified] == [
        path for path in now if path in before and before[path] != now[path]
    ]
    assert changes.removed == [path for path in before if path not in now]
    assert (changes.first() is None) == (before == now)


def test_a_comparison_in_words() -> None:
    earlier, later = [photo("a/1.jpg"), photo("a/2.jpg")], [Photo("a/1.jpg", "a", 9, 0), photo("a/3.jpg")]
    assert compare(to_table(earlier), later).first() == "1 added, 1 modified, 1 removed; the first is a/3.jpg"
    assert compare(to_table(earlier), earlier[:1]).first() == "1 removed; the first is a/2.jpg"


def test_more_names_than_a_column_can_hold_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "_MOST_TEXT", 5)
    assert columns.strings(["abc", "de"]).to_pylist() == ["abc", "de"]
    with pytest.raises(InputError, match="a table of 2 photos has more than 2 GB of names: cut the input by prefix"):
        columns.strings(["abc", "def"])
