from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Sequence

import pytest
from orchard.errors import InputError, PhotoError
from orchard.photos.prefetch import GIVE_UP_AFTER, Ahead, Content, read_ahead
from orchard.photos.source import Photo, PhotoReader, ignore


class Slow(PhotoReader):
    """Every read takes a while, a different one each; remembers how much was under way at once, and what was never taken."""

    uri = "slow"
    readers = 8

    def __init__(self, seconds: float = 0.002, fails: Callable[[str], str] = lambda path: "") -> None:
        self.seconds, self.fails = seconds, fails
        self.lock, self.under_way, self.most, self.read_paths = threading.Lock(), 0, 0, list[str]()

    def read(
        self, path: str, *, listed: Photo | None = None, on_retry: Callable[[], None] = ignore, patient: bool = True
    ) -> bytes:
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


def test_results_come_in_order_with_their_hash() -> None:
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
def test_no_more_is_read_ahead_than_allowed(ahead: Ahead, most: int) -> None:
    source, taken = Slow(), 0
    for _ in read_ahead(source, photos(40), ignore, ahead):
        taken += 1
        assert len(source.read_paths) <= taken + most
    assert taken == 40
    assert source.most <= most


def test_a_reader_that_stops_early_leaves_no_thread_behind() -> None:
    results = read_ahead(Slow(), photos(1000), ignore)
    next(results)
    results.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("read-ahead")]


def test_nothing_to_read_is_nothing() -> None:
    assert list(read_ahead(Slow(), [], ignore)) == []


@pytest.mark.parametrize("reason", ["gone", "forbidden", "unreadable"])
@pytest.mark.parametrize("first", [0, 60, 96], ids=["from the start", "in the middle", "the last few"])
def test_a_place_that_is_lost_is_not_the_photos_fault(reason: str, first: int) -> None:
    source = Slow(0, fails=lambda path: reason if path == "witness" or int(path) >= first else "")
    witnesses = [Photo("witness", "a", 1, 0)]
    taken: list[Content | PhotoError] = []
    with pytest.raises(InputError, match=rf"could be read when the run began cannot be any more \({reason}: made up\)"):
        taken.extend(read_ahead(source, photos(100), ignore, witnesses=witnesses))
    assert len(taken) == min(100, first + GIVE_UP_AFTER - 1)


@pytest.mark.parametrize("reason", ["gone", "forbidden", "unreadable", "empty"])
def test_photos_that_cannot_be_had_where_others_can_are_let_go(reason: str) -> None:
    source = Slow(0, fails=lambda path: "" if path == "witness" else reason)
    taken = list(read_ahead(source, photos(100), ignore, witnesses=[Photo("witness", "a", 1, 0)]))
    assert len(taken) == 100
    assert source.read_paths.count("witness") == (0 if reason == "empty" else 4)


def test_a_storage_that_no_longer_answers_stops_the_task() -> None:
    source = Slow(0, fails=lambda path: "unavailable" if int(path) >= 20 and path != "40" else "")
    taken: list[Content | PhotoError] = []
    with pytest.raises(InputError, match=f"{GIVE_UP_AFTER} photos in a row could not be read"):
        taken.extend(read_ahead(source, photos(1000), ignore, Ahead(photos=30)))
    assert len(taken) == 41 + GIVE_UP_AFTER - 1
    assert len(source.read_paths) <= len(taken) + 1 + 30
