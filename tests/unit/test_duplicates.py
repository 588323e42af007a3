from __future__ import annotations

import hashlib
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from orchard.photos.duplicates import Duplicates, count_duplicates
from orchard.photos.manifest import arrange
from orchard.photos.prefetch import Content, read_ahead
from orchard.photos.source import ignore, open_source

FOLDERS = ["Training/Apple", "Test/Apple", "fruits/TEST/Pear 2", "a/training/b", "Pear", "Contest"]


def sha256(content: object) -> str:
    return hashlib.sha256(str(content).encode()).hexdigest()


def count(photos: list[tuple[str, int]], batch: int = 3) -> Duplicates:
    parts = [photos[start : start + batch] for start in range(0, len(photos), batch)]
    return count_duplicates(([path for path, _ in part], [sha256(content) for _, content in part]) for part in parts)


def test_copies_count_from_the_second_on() -> None:
    assert count([]) == Duplicates(0, 0)
    assert count([("a/0.jpg", 1), ("a/1.jpg", 2)]) == Duplicates(0, 0)
    assert count([("a/0.jpg", 1), ("b/0.jpg", 1), ("a/1.jpg", 1), ("a/2.jpg", 2)]) == Duplicates(2, 0)


def test_test_photos_seen_in_training_count_each() -> None:
    photos = [
        ("Training/a/0.jpg", 1),
        ("Test/a/0.jpg", 1),
        ("x/TEST/b/0.jpg", 1),
        ("Test/c/0.jpg", 2),
        ("Contest/a/0.jpg", 1),
    ]
    assert count(photos) == Duplicates(3, 2)
    assert count([("test.jpg", 1), ("Training/0.jpg", 1)]) == Duplicates(1, 0)  # a file's own name is no folder


@given(st.lists(st.tuples(st.sampled_from(FOLDERS), st.integers(0, 12))), st.integers(1, 9))
def test_as_a_plain_loop_counts(drawn: list[tuple[str, int]], batch: int) -> None:
    photos = [(f"{folder}/{number}.jpg", content) for number, (folder, content) in enumerate(drawn)]
    trained = {content for path, content in photos if path.startswith(("Training", "a/training"))}
    across = sum(content in trained for path, content in photos if path.startswith(("Test", "fruits/TEST")))
    assert count(photos, batch) == Duplicates(len(photos) - len({content for _, content in photos}), across)


def test_memory_stays_below_100_bytes_a_photo() -> None:
    digests = np.random.default_rng(0).bytes(32 * 1000)
    hashes = [digests[place : place + 32].hex() for place in range(0, len(digests), 32)]

    def batches() -> Iterator[tuple[list[str], list[str]]]:
        for number in range(200):
            yield [f"Training/{number}/{place}.jpg" for place in range(1000)], hashes

    tracemalloc.start()
    found = count_duplicates(batches())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == Duplicates(199_000, 0)
    assert peak < 100 * 200_000


def test_the_copies_among_the_real_photos(shared: Path) -> None:
    """`sha256sum` and `sort | uniq -d` count the same: 121, of which 120 lie in Test and in Training."""
    source = open_source(str(shared / "fruits-360"))
    photos = [photo for photo in arrange(source.photos()) if photo.path.startswith(("Training/", "Test/"))]
    read = zip(photos, read_ahead(source, photos, ignore), strict=True)
    hashed = [(photo.path, content.sha256) for photo, content in read if isinstance(content, Content)]
    assert len(hashed) == 4020
    assert count_duplicates([([path for path, _ in hashed], [sha256 for _, sha256 in hashed])]) == Duplicates(121, 120)
