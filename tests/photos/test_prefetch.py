from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Sequence

import pytest
from orchard.errors import InputError, PhotoError
from orchard.photos.photo import STORAGE_REASONS, Photo, PhotoReader, ignore
from orchard.photos.prefetch import GIVE_UP_AFTER, Ahead, Content, read_ahead


class Slow(PhotoReader):
    """Every read takes a while, a different one each; remembers how much was in progress at once."""

    uri = "slow"
    readers = 8

    def __init__(self, seconds: float = 0.002, fails: Callable[[str], str] = lambda path: "") -> None:
        self.seconds, self.fails = seconds, fails
        self.lock, self.under_way, self.most, self.read_paths = threading.Lock(), 0, 0, list[str]()

    def read(self, path: str, *, listed: Photo | None = None, on_retry: Callable[[], None] = ignore) -> bytes:
        with self.lock:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            self.read_paths.append(path)
        time.sleep(self.seconds * (1 + len(self.read_paths) % 3))
        with self.lock:
            self.under_way -= 1
        if reason := self.fails(path):
            raise PhotoError(reason, "made up")
        return path.encode()


def photos(count: int, size: int = 10) -> Sequence[Photo]:
    return [Photo(str(number), "a", size, 0) for number in range(count)]


def test_read_ahead_keeps_the_order() -> None:
    source = Slow(fails=lambda path: "gone" if path.endswith("7") else "")
    results = list(read_ahead(source, photos(50), ignore))
    expected = [Content(str(number).encode(), hashlib.sha256(str(number).encode()).hexdigest()) for number in range(50)]
    assert [result for result in results if isinstance(result, Content)] == [
        content for content in expected if content.data[-1:] != b"7"
    ]
    assert [place for place, result in enumerate(results) if isinstance(result, PhotoError)] == [7, 17, 27, 37, 47]
    assert source.most == source.readers


@pytest.mark.parametrize(
    ("ahead", "most"), [(Ahead(photos=5), 5), (Ahead(size=30), 3), (Ahead(photos=1), 1), (Ahead(size=1), 1)]
)
def test_read_ahead_is_bounded(ahead: Ahead, most: int) -> None:
    source, taken = Slow(), 0
    for _ in read_ahead(source, photos(40), ignore, ahead):
        taken += 1
        assert len(source.read_paths) <= taken + most
    assert taken == 40
    assert source.most <= most


def test_read_ahead_closed_early_leaves_no_thread() -> None:
    results = read_ahead(Slow(), photos(1000), ignore)
    next(results)
    results.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("read-ahead")]


def test_read_ahead_of_nothing() -> None:
    assert list(read_ahead(Slow(), [], ignore)) == []


@pytest.mark.parametrize("reason", sorted(STORAGE_REASONS))
def test_read_ahead_stops_after_storage_errors_in_a_row(reason: str) -> None:
    source = Slow(0, fails=lambda path: reason if int(path) >= 20 and path != "40" else "")
    taken: list[Content | PhotoError] = []
    with pytest.raises(InputError, match=f"--input slow: {GIVE_UP_AFTER} photos .*{reason}: made up") as raised:
        taken.extend(read_ahead(source, photos(1000), ignore, Ahead(photos=30)))
    assert "\n" not in str(raised.value)
    assert len(taken) == 41 + GIVE_UP_AFTER - 1
    assert len(source.read_paths) <= len(taken) + 1 + 30


def test_read_ahead_goes_on_after_errors_of_photos() -> None:
    source = Slow(0, fails=lambda path: "gone" if int(path) % 32 else "changed")
    assert len(list(read_ahead(source, photos(100), ignore))) == 100
