"""Photos in object storage: listed several folders at a time, read with retries that are counted.

obstore lists and reads; botocore does it for the keys that obstore refuses (`orchard.storage.objects.is_addressable`).
"""

import itertools
import random
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, ClassVar, TypeVar

from orchard.errors import InputError, PhotoError
from orchard.photos.photo import Listing, Photo, ignore, label_of, refuse, skip_reason
from orchard.storage import objects

_T = TypeVar("_T")
_Found = tuple[list[tuple[str, int, datetime]], Sequence[str]]  # path, size and time; sub-folders that are left to list

PAGE = 1000  # keys in one answer
FEW_FOLDERS = 50  # that the keys of the first answer lie in: more are not listed one by one, each by its own request
BACKOFF = (0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 12.8, 12.8)  # half a minute in all: a short outage costs no photo
QUICK_BACKOFF = BACKOFF[:3]  # where somebody waits for the answer
PRECISION = 1_000_000  # microseconds: an object's time has milliseconds in a listing, and none with its content


@dataclass(frozen=True)
class BucketSource:
    """A bucket, or the keys of one that start with a prefix."""

    uri: str
    backoff: tuple[float, ...] = BACKOFF  # seconds to wait at most before each further try; half of that on average
    flag: str = "--input"  # that it was named with
    timeout: float = 4  # seconds without a byte before a read is tried again; nearly all answers begin within one
    # 32 reads of 30 to 100 ms each are 300 to 1,000 photos a second, more than any core featurizes.
    readers: ClassVar[int] = 32

    def list(self) -> Listing:
        """All photos below the location. The empty keys that stand for folders are not counted as files."""
        listing = Listing([], Counter())
        with ThreadPoolExecutor(16) as pool, objects.explained(f"{self.flag} {self.uri}", InputError):
            pending = deque([pool.submit(self._folder, "")])
            try:
                while pending:
                    items, folders = pending.popleft().result()
                    pending += [pool.submit(self._folder, folder) for folder in folders]
                    self._add(items, listing)
            finally:
                pool.shutdown(cancel_futures=True)
        return listing

    def _add(self, items: Sequence[tuple[str, int, datetime]], listing: Listing) -> None:
        for path, size, modified in items:
            if (reason := skip_reason(path)) is None:
                folder = (path.rpartition("/")[0] or self.uri.rstrip("/")).rpartition("/")[2]
                listing.photos.append(Photo(path, sys.intern(label_of(folder)), size, _microseconds(modified)))
            elif size:
                listing.skipped[reason] += 1

    def _folder(self, folder: str) -> _Found:
        """One folder and all below it; or only its own objects, and the sub-folders that are left to list."""
        waits, key = self.backoff[: len(QUICK_BACKOFF)], self._key(folder).rstrip("/")
        if objects.is_addressable(key or "-"):
            try:
                # obstore requests a refused page again (an unreachable bucket is known in 3 s), but no interrupted one.
                client = partial(objects.connect, self.uri, retries=4)
                return _with_retries(client, partial(_list, folder), waits, ignore)
            except Exception as exc:
                fault = objects.fault_of(exc)
                if fault is None or not fault.refused_key:
                    raise
        client = partial(objects.connect_boto, self.uri)
        return _with_retries(client, partial(self._list_by_botocore, f"{key}/" if key else ""), waits, ignore)

    def _list_by_botocore(self, start: str, client: Any) -> _Found:
        bucket, skipped = objects.split_uri(self.uri)[0], len(self._key(""))
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=start)
        files = (item for page in pages for item in page.get("Contents", []) if not item["Key"].endswith("/"))
        return [(item["Key"][skipped:], item["Size"], item["LastModified"]) for item in files], ()

    def _key(self, path: str) -> str:
        prefix = objects.split_uri(self.uri)[1]
        return f"{prefix}/{path}" if prefix else path

    def read(self, path: str, *, listed: Photo | None = None, on_retry: Callable[[], None] = ignore) -> bytes:
        """The bytes of one photo, with retries after faults that may pass."""
        if listed:
            refuse(listed.size)
        connect = partial[Any](objects.connect, self.uri, retries=0, timeout=self.timeout)
        get, key = partial(_get, path, listed), self._key(path)
        if not objects.is_addressable(key):
            connect = partial(objects.connect_boto, self.uri, timeout=self.timeout)
            get = partial(_get_by_botocore, objects.split_uri(self.uri)[0], key, listed)
        try:
            return _with_retries(connect, get, self.backoff, on_retry)
        except Exception as exc:
            fault = objects.fault_of(exc)
            if fault is None:
                raise
            if fault.everywhere:
                raise InputError(f"{self.flag} {self.uri}: {fault.advice()}") from exc
            reason = {404: "gone", 403: "forbidden"}.get(fault.status or 0, "unreadable")
            raise PhotoError("unavailable" if fault.passing else reason, fault.text) from exc


def _with_retries(
    connect: Callable[[], Any], action: Callable[[Any], _T], waits: Sequence[float], on_retry: Callable[[], None]
) -> _T:
    """The result of `action` with a connection, tried again after faults that may pass; at last its own error."""
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


def _list(folder: str, client: Any) -> _Found:
    pages = client.list(folder or None, chunk_size=PAGE)
    items: Any = next(pages, [])
    below = [key.partition("/") for item in items if (key := item["path"][len(folder) :].lstrip("/"))]
    few = len({name for name, _, _ in below}) <= FEW_FOLDERS
    if few and len(items) == PAGE and all(slash for _, slash, _ in below):
        listed = client.list_with_delimiter(folder or None)
        items, folders = listed["objects"], listed["common_prefixes"]
    else:
        items, folders = [*items, *itertools.chain.from_iterable(pages)], ()
    files = (item for item in items if item["size"] or _is_empty_photo(item["path"], client))
    return [(item["path"], item["size"], item["last_modified"]) for item in files], folders


def _is_empty_photo(path: str, client: Any) -> bool:
    """Whether it is: obstore lists the empty key "a.jpg/", which stands for a folder, as "a.jpg"."""
    try:
        return skip_reason(path) is None and not client.head(path)["size"]
    except FileNotFoundError:
        return False


def _get(path: str, listed: Photo | None, client: Any) -> bytes:
    result = client.get(path)
    refuse(result.meta["size"], _microseconds(result.meta["last_modified"]), listed, precision=PRECISION)
    return bytes(result.bytes())


def _get_by_botocore(bucket: str, key: str, listed: Photo | None, client: Any) -> bytes:
    result = client.get_object(Bucket=bucket, Key=key)
    refuse(result["ContentLength"], _microseconds(result["LastModified"]), listed, precision=PRECISION)
    return bytes(result["Body"].read())


def _microseconds(modified: datetime) -> int:
    return int(modified.timestamp() * 1000) * 1000  # in whole milliseconds, as listed
