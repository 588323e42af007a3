"""Reading photos ahead of the computation, in the worker: so many at once that neither decoding nor the network waits for them."""

from __future__ import annotations

import collections
import hashlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from orchard.errors import InputError, PhotoError
from orchard.photos import access
from orchard.photos.source import Photo, PhotoReader


@dataclass(frozen=True)
class Ahead:
    """How far to read ahead.

    A core featurizes some 150 photos a second, and a GET takes 30 to 100 ms: 5 to 15 reads must be under way at any time. One that
    gets no answer holds up all behind it for seconds, until it is tried again: hence so many, which weigh little.

    Attributes:
        photos: read or being read, and not yet taken.
        size: bytes of them, as listed; one photo is read however large it is.
    """

    photos: int = 512
    size: int = 64 << 20


AHEAD = Ahead()


@dataclass(frozen=True, slots=True)
class Content:
    """What was read: the bytes of a photo, and their SHA-256 in hexadecimal."""

    data: bytes
    sha256: str


# So many photos in a row that could not be had: perhaps not their fault, and every other one would end the same.
GIVE_UP_AFTER = 32


def read_ahead(
    source: PhotoReader,
    photos: Iterable[Photo],
    on_retry: Callable[[], None],
    ahead: Ahead = AHEAD,
    witnesses: Sequence[Photo] = (),
) -> Generator[Content | PhotoError]:
    """What reading each photo gave, in order.

    Args:
        witnesses: photos that could be read when the run began, see `orchard.photos.access`.

    Raises:
        InputError: the storage has not answered for the last `GIVE_UP_AFTER` photos; or the last photos of all, or so many in a row,
            could not be had, and nor can the witnesses.
    """
    lookout = _Lookout(source, witnesses)
    pool = ThreadPoolExecutor(source.readers, thread_name_prefix="read-ahead")
    try:
        for result in _in_order(pool, source, photos, on_retry, ahead):
            lookout.see(result)
            yield result
        lookout.end()
    finally:
        pool.shutdown(cancel_futures=True)


@dataclass
class _Lookout:
    """Counts photos in a row that could not be had, and finds out whether they are to blame."""

    source: PhotoReader
    witnesses: Sequence[Photo]
    unanswered: int = 0
    missed: int = 0

    def see(self, result: Content | PhotoError) -> None:
        reason = result.reason if isinstance(result, PhotoError) else ""
        self.unanswered = self.unanswered + 1 if reason == "unavailable" else 0
        self.missed = self.missed + 1 if reason in access.REASONS else 0
        if self.unanswered == GIVE_UP_AFTER:
            raise InputError(
                f"--input {self.source.uri}: {self.unanswered} photos in a row could not be read, the last one: {result}"
            )
        if self.missed and self.missed % GIVE_UP_AFTER == 0:
            access.check_access(self.source, self.witnesses)

    def end(self) -> None:
        if self.missed:
            access.check_access(self.source, self.witnesses)


def _in_order(
    pool: ThreadPoolExecutor, source: PhotoReader, photos: Iterable[Photo], on_retry: Callable[[], None], ahead: Ahead
) -> Iterator[Content | PhotoError]:
    under_way: collections.deque[tuple[int, Future[Content | PhotoError]]] = collections.deque()
    size = 0
    for photo in photos:
        while under_way and (len(under_way) >= ahead.photos or size + photo.size > ahead.size):
            taken, future = under_way.popleft()
            size -= taken
            yield future.result()
        under_way.append((photo.size, pool.submit(_read, source, photo, on_retry)))
        size += photo.size
    while under_way:
        yield under_way.popleft()[1].result()


def _read(source: PhotoReader, photo: Photo, on_retry: Callable[[], None]) -> Content | PhotoError:
    try:
        data = source.read(photo.path, listed=photo, on_retry=on_retry)
    except PhotoError as error:
        return error
    return Content(data, hashlib.sha256(data).hexdigest())
