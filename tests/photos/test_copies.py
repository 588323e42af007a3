from __future__ import annotations

import hashlib
import itertools
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from orchard.photos.copies import MAX_PAIRS, Copies, SharedFolders, find_copies
from orchard.photos.photo import arrange, ignore
from orchard.photos.prefetch import Content, read_ahead
from orchard.photos.source import open_source

FOLDERS = [
    "Training/Apple",
    "Test/Apple",
    "fruits/VAL/Pear 2",
    "a/train/b",
    "Pear",
    "Contest",
    "",
    "x/valid",
    "validation",
]
TRAINING, TEST = ("Training", "a/train"), ("Test", "fruits/VAL", "x/valid", "validation")


def sha256(content: object) -> str:
    return hashlib.sha256(str(content).encode()).hexdigest()


def found(photos: list[tuple[str, int]], batch: int = 3) -> Copies:
    parts = [photos[start : start + batch] for start in range(0, len(photos), batch)]
    return find_copies(([path for path, _ in part], [sha256(content) for _, content in part]) for part in parts)


def test_find_copies_of_none() -> None:
    assert found([]) == found([("a/0.jpg", 1), ("a/1.jpg", 2)]) == Copies(0, 0, [], 0)


def test_find_copies_counts_from_the_second_on() -> None:
    copies = found([("a/0.jpg", 1), ("b/0.jpg", 1), ("a/1.jpg", 1), ("a/2.jpg", 2)])
    assert copies == Copies(2, 0, [SharedFolders("a", "b", 1)], 1)


def test_find_copies_across_splits() -> None:
    photos = [
        ("Training/a/0.jpg", 1),
        ("Test/a/0.jpg", 1),
        ("x/TEST/b/0.jpg", 1),
        ("Test/c/0.jpg", 2),
        ("Contest/0.jpg", 1),
    ]
    assert (found(photos).exact, found(photos).across_splits) == (3, 2)
    assert found([("test.jpg", 1), ("Training/0.jpg", 1)]).across_splits == 0  # a file's own name is no folder


@given(st.lists(st.tuples(st.sampled_from(FOLDERS), st.integers(0, 12))), st.integers(1, 9))
def test_find_copies_as_a_plain_loop(drawn: list[tuple[str, int]], batch: int) -> None:
    photos = [(f"{folder}/{number}.jpg".lstrip("/"), content) for number, (folder, content) in enumerate(drawn)]
    trained = {content for path, content in photos if path.startswith(TRAINING)}
    across = sum(content in trained for path, content in photos if path.startswith(TEST))
    contents = {folder: {content for other, content in drawn if other == folder} for folder, _ in drawn}
    shared = {
        pair: len(contents[pair[0]] & contents[pair[1]])
        for pair in itertools.combinations(sorted(contents), 2)
        if contents[pair[0]] & contents[pair[1]]
    }
    expected = sorted((SharedFolders(*pair, count) for pair, count in shared.items()), key=lambda each: -each.photos)
    exact = len(photos) - len({content for _, content in photos})
    assert found(photos, batch) == Copies(exact, across, expected[:MAX_PAIRS], len(shared))


def test_find_copies_keeps_the_pairs_that_share_most() -> None:
    photos = [(f"{folder:03}/{content}.jpg", content) for folder in range(40) for content in range(folder // 2)]
    copies = found(photos)
    assert copies.pairs == 38 * 37 // 2
    assert [each.photos for each in copies.folders] == sorted((each.photos for each in copies.folders), reverse=True)
    assert copies.folders[0] == SharedFolders("038", "039", 19)
    assert len(copies.folders) == MAX_PAIRS


def test_find_copies_memory() -> None:
    digests = np.random.default_rng(0).bytes(32 * 1000)
    hashes = [digests[start : start + 32].hex() for start in range(0, len(digests), 32)]

    def batches() -> Iterator[tuple[list[str], list[str]]]:
        for number in range(200):
            yield [f"Training/{number}/{index}.jpg" for index in range(1000)], hashes

    tracemalloc.start()
    copies = find_copies(batches())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (copies.exact, copies.across_splits) == (199_000, 0)
    assert peak < 100 * 200_000


def test_find_copies_of_the_real_photos(shared: Path) -> None:
    """`sha256sum` and `sort | uniq -d` count the same: 121, of which 120 lie in Test and in Training."""
    source = open_source(str(shared / "fruits-360"))
    photos = [photo for photo in arrange(source.list().photos) if photo.path.startswith(("Training/", "Test/"))]
    read = zip(photos, read_ahead(source, photos, ignore), strict=True)
    hashed = [(photo.path, content.sha256) for photo, content in read if isinstance(content, Content)]
    assert len(hashed) == 4020
    copies = find_copies([([path for path, _ in hashed], [sha256 for _, sha256 in hashed])])
    assert (copies.exact, copies.across_splits) == (121, 120)
    splits = Counter((pair.first.split("/")[0], pair.second.split("/")[0]) for pair in copies.folders)
    assert splits[("Test", "Training")] > 0
