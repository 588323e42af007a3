"""Reading photos ahead of the computation, in the worker, so that neither decoding nor the network waits for them."""

import collections
import contextlib
import hashlib
import itertools
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from orchard.errors import InputError, PhotoError
from orchard.photos.photo import STORAGE_REASONS, Photo, PhotoReader

# Storage errors in a row after which the storage counts as lost, and not single photos.
GIVE_UP_AFTER = 32
_ADVICE = "check that the input exists, is mounted, and may be read by the user or role running the job; then run again"


@dataclass(frozen=True)
class Ahead:
    """How many photos to read ahead, and how many bytes of them, as listed; one is read however large it is.

    A core featurizes some 150 photos a second, and a GET takes 30 to 100 ms: 5 to 15 reads must be in progress at any
    time. One without an answer blocks all behind it for seconds, until it is retried: hence so many.
    """

    photos: int = 512
    size: int = 64 << 20


AHEAD = Ahead()


@dataclass(frozen=True, slots=True)
class Content:
    """What was read: the bytes of a photo, and their SHA-256 in hexadecimal."""

    data: bytes
    sha256: str


def read_ahead(
    source: PhotoReader, photos: Iterable[Photo], on_retry: Callable[[], None], ahead: Ahead = AHEAD
) -> Generator[Content | PhotoError]:
    """The result of reading each photo, in order; `InputError` where the storage itself seems to be lost."""
    failed = 0
    with contextlib.closing(_read_in_order(source, photos, on_retry, ahead)) as results:
        for result in results:
            failed = failed + 1 if isinstance(result, PhotoError) and result.reason in STORAGE_REASONS else 0
            if failed == GIVE_UP_AFTER:
                text = f"{failed} photos in a row could not be read, the last one: {result}"
                raise InputError(f"--input {source.uri}: {text}: {_ADVICE}")
            yield result


def _read_in_order(
    source: PhotoReader, photos: Iterable[Photo], on_retry: Callable[[], None], ahead: Ahead
) -> Generator[Content | PhotoError]:
    def read(photo: Photo) -> Content | PhotoError:
        try:
            data = source.read(photo.path, listed=photo, on_retry=on_retry)
        except PhotoError as error:
            return error
        return Content(data, hashlib.sha256(data).hexdigest())

    pool = ThreadPoolExecutor(source.readers, thread_name_prefix="read-ahead")
    pending = collections.deque[tuple[int, Future[Content | PhotoError]]]()
    size = 0
    try:
        for photo in itertools.chain(photos, [None]):
            while pending and (not photo or len(pending) >= ahead.photos or size + photo.size > ahead.size):
                taken, future = pending.popleft()
                size -= taken
                yield future.result()
            if photo:
                pending.append((photo.size, pool.submit(read, photo)))
                size += photo.size
    finally:
        pool.shutdown(cancel_futures=True)
