"""Photos in object storage: listed several folders at a time, read with retries that are counted."""

from __future__ import annotations

import itertools
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from orchard.errors import InputError, PhotoError
from orchard.photos.source import Photo, ignore, is_photo, refuse_if_changed, refuse_if_too_large
from orchard.storage import objects

if TYPE_CHECKING:
    from obstore.store import ObjectStore as Client

T = TypeVar("T")

# Requests of the listing that fail for a passing reason are sent again by obstore itself: an unreachable place is known in 3 s.
LIST_RETRIES = 4
LISTERS = 16
PAGE = 1000  # keys in one answer
# A folder is listed sub-folder by sub-folder only where these are few and full: each costs a request of its own.
FULL_FOLDER = 20
BACKOFF = (0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 12.8, 12.8)  # half a minute in all: a short outage costs no photo
HASTY = 3  # of these, where somebody waits for the answer
# Seconds; nearly all answers begin within one.
PATIENCE = 4
# The time of an object is told to the millisecond in a listing and to the second with its content.
PRECISION = 1_000_000


@dataclass(frozen=True)
class BucketSource:
    """A bucket, or the keys of one that start with a prefix.

    Attributes:
        backoff: seconds to wait at most before each further try of a read; an average of half of that.
        patience: seconds without a byte of an answer before a read is tried again.
    """

    uri: str
    backoff: tuple[float, ...] = BACKOFF
    patience: float = PATIENCE
    # 32 reads of 30 to 100 ms each are 300 to 1,000 photos a second, more than any core featurizes.
    readers: ClassVar[int] = 32

    def photos(self) -> Iterator[Photo]:
        """Every photo below the place. Hidden names and the empty keys that stand for folders are left out."""
        with (
            ThreadPoolExecutor(LISTERS, thread_name_prefix="list") as pool,
            objects.explained(f"--input {self.uri}", InputError),
        ):
            pending = {pool.submit(self._folder, "")}
            try:
                while pending:
                    done, pending = wait(pending, return_when=FIRST_COMPLETED)
                    for photos, folders in (future.result() for future in done):
                        pending |= {pool.submit(self._folder, folder) for folder in folders}
                        yield from photos
            finally:
                pool.shutdown(cancel_futures=True)

    def _folder(self, folder: str) -> tuple[list[Photo], list[str]]:
        """The photos of one folder and all below it; or only its own, and the sub-folders that are left to list."""
        # obstore itself asks again for a page that was refused, but not for one that was cut off.
        client = partial(objects.connect, self.uri, retries=LIST_RETRIES)
        return _persistently(client, partial(self._list, folder), self.backoff[:HASTY])

    def _list(self, folder: str, client: Client) -> tuple[list[Photo], list[str]]:
        pages = client.list(folder or None, chunk_size=PAGE)
        first = next(pages, [])
        if len(first) == PAGE and _few_full_folders(first, folder):
            listed = client.list_with_delimiter(folder or None)
            return self._photos(listed["objects"], client), [*listed["common_prefixes"]]
        return [photo for page in itertools.chain([first], pages) for photo in self._photos(page, client)], []

    def _photos(self, page: Sequence[Any], client: Client) -> list[Photo]:
        return [
            photo
            for item in page
            if (photo := self._photo(item)) and (photo.size or _is_empty_photo(photo.path, client))
        ]

    def _photo(self, item: Any) -> Photo | None:
        path = item["path"]
        if not is_photo(path):
            return None
        folder = path.rpartition("/")[0] or self.uri.rstrip("/")
        return Photo(path, sys.intern(folder.rpartition("/")[2]), item["size"], _microseconds(item))

    def read(
        self, path: str, *, listed: Photo | None = None, on_retry: Callable[[], None] = ignore, patient: bool = True
    ) -> bytes:
        """The bytes of one photo, tried again after faults that may pass."""
        if listed:
            refuse_if_too_large(listed.size)
        client = partial(objects.connect, self.uri, retries=0, patience=self.patience)
        try:
            return _persistently(
                client, partial(_get, path, listed), self.backoff if patient else self.backoff[:HASTY], on_retry
            )
        except Exception as exc:
            fault = objects.fault_of(exc)
            if fault is None:
                raise
            if fault.everywhere:
                raise InputError(f"--input {self.uri}: {fault.advice()}") from exc
            raise PhotoError(_reason(fault), fault.text) from exc


def _persistently(
    connect: Callable[[], Client],
    action: Callable[[Client], T],
    waits: Sequence[float],
    on_retry: Callable[[], None] = ignore,
) -> T:
    """What `action` gives with a connection, tried again after faults that may pass; at last its own error."""
    for longest in (*waits, None):
        client = connect()
        try:
            return action(client)
        except Exception as exc:
            fault = objects.fault_of(exc)
            if fault is None or not fault.passing or longest is None:
                raise
            if fault.expired:
                objects.forget(client)
        on_retry()
        time.sleep(random.uniform(0, longest))
    raise AssertionError("the last try returns or raises")


def _get(path: str, listed: Photo | None, client: Client) -> bytes:
    result = client.get(path)
    refuse_if_changed(listed, result.meta["size"], _microseconds(result.meta), precision=PRECISION)
    refuse_if_too_large(result.meta["size"])
    return bytes(result.bytes())


def _is_empty_photo(path: str, client: Client) -> bool:
    # obstore lists the empty key "a.jpg/", which stands for a folder, as "a.jpg".
    try:
        return not client.head(path)["size"]
    except FileNotFoundError:
        return False


def _microseconds(meta: Any) -> int:
    return int(meta["last_modified"].timestamp() * 1000) * 1000  # in whole milliseconds, as told


def _reason(fault: objects.Fault) -> str:
    if fault.passing:
        return "unavailable"
    if fault.code == "InvalidObjectState":  # it is in an archive, and nobody may read it as it is
        return "unreadable"
    return {404: "gone", 403: "forbidden"}.get(fault.status or 0, "unreadable")


def _few_full_folders(page: Sequence[Any], folder: str) -> bool:
    """Whether the first keys below a folder lie in few sub-folders, and none in the folder itself."""
    below = [item["path"][len(folder) :].lstrip("/") for item in page]
    return (
        all("/" in key for key in below if key) and len({key.partition("/")[0] for key in below}) <= PAGE // FULL_FOLDER
    )
