"""Opens the location of photos; a folder of them is listed by walking it, and they are read as files."""

import os
import re
import stat
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from orchard.errors import InputError, PhotoError, UsageError
from orchard.photos.buckets import BACKOFF, QUICK_BACKOFF, BucketSource
from orchard.photos.photo import PHOTO_SUFFIXES, Listing, Photo, hint, ignore, label_of, refuse, skip_reason, to_text
from orchard.storage.objects import SCHEMES, is_object_uri
from orchard.storage.stores import local_path

_REASONS: dict[type[OSError], str] = {FileNotFoundError: "gone", PermissionError: "forbidden"}
_ESCAPED = re.compile(r"\\udc[89a-f][0-9a-f]")


@dataclass(frozen=True)
class LocalSource:
    """A folder on this machine, or on one that every worker sees at the same path."""

    uri: str
    root: str  # absolute: tasks have another working directory than who named it
    flag: str = "--input"  # that it was named with
    readers: ClassVar[int] = 4  # the system reads ahead by itself

    def list(self) -> Listing:
        """All photos below the folder. Links are followed; hidden names, system folders and loops are not."""
        if not os.path.isdir(self.root):
            what = "is a file, not a folder" if os.path.exists(self.root) else "does not exist"
            raise InputError(f"{self.flag} {self.uri}: {what}: name a folder of photos, one sub-folder a variety")
        status, listing = os.stat(self.root), Listing([], Counter())
        _walk(self.root, "", ((status.st_dev, status.st_ino),), listing)
        return listing

    def read(self, path: str, *, listed: Photo | None = None, on_retry: Callable[[], None] = ignore) -> bytes:
        """The bytes of one photo; nothing here is worth a retry."""
        try:
            with open(os.path.join(self.root, path), "rb") as stream:
                size = os.fstat(stream.fileno()).st_size
                refuse(size)
                content = stream.read(size + 1)
                status = os.fstat(stream.fileno())  # after the reading: nobody wrote meanwhile, or it shows
        except OSError as exc:
            if isinstance(exc, FileNotFoundError) and _ESCAPED.search(path):
                raise PhotoError("bad_name", "the name is not valid UTF-8: rename the file") from exc
            raise PhotoError(_REASONS.get(type(exc), "unreadable"), f"{exc.strerror or exc}") from exc
        refuse(status.st_size, status.st_mtime_ns // 1000, listed)
        return content


def _walk(folder: str, prefix: str, above: tuple[tuple[int, int], ...], listing: Listing) -> None:
    """Add all photos of a folder; `above` identifies it and the folders that led to it."""
    label = label_of(os.path.basename(folder))
    for entry in _entries(folder):
        status = _status(entry)
        if status and stat.S_ISDIR(status.st_mode):
            if reason := skip_reason(f"{entry.name}/"):
                listing.skipped[reason] += sum(len(names) for _, _, names in os.walk(entry.path))
            elif (identity := (status.st_dev, status.st_ino)) not in above:  # a link to one above would never end
                _walk(entry.path, f"{prefix}{entry.name}/", (*above, identity), listing)
        elif reason := skip_reason(entry.name):
            listing.skipped[reason] += 1
        elif status is None or stat.S_ISREG(status.st_mode):
            size, modified = (status.st_size, status.st_mtime_ns // 1000) if status else (0, 0)
            listing.photos.append(Photo(to_text(prefix + entry.name), label, size, modified))


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        return list(os.scandir(folder))
    except OSError as exc:
        message = f"{to_text(folder)}: cannot be listed ({exc.strerror}): give the user running the job access to it"
        raise InputError(message) from exc


def _status(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        return entry.stat()
    except OSError:  # a dangling link, say: listed if its name is a photo's, and rejected when it is read
        return None


PhotoSource = LocalSource | BucketSource


def open_source(uri: str, *, patient: bool = True, flag: str = "--input") -> PhotoSource:
    """The source for a folder or a URI; connects to nothing yet. `UsageError` for a scheme that no source serves.

    A read that fails is tried again for half a minute if `patient`, else for a second. Errors call the URI by `flag`.
    """
    if "://" not in uri or uri.startswith("file://"):
        return LocalSource(uri, local_path(uri), flag)
    if is_object_uri(uri):
        return BucketSource(uri, BACKOFF if patient else QUICK_BACKOFF, flag=flag)
    served = ", ".join(f"{scheme}://" for scheme in ("file", *SCHEMES))
    raise UsageError(f"{flag} {uri}: no reader for {uri.split('://')[0]}://: name a folder or one of {served}")


def list_photos(source: PhotoSource) -> Listing:
    """The photos of a source; `InputError` where there are none, or it cannot be listed."""
    listing = source.list()
    if not listing.photos:
        reason = hint(listing.skipped) or f"looked for {' '.join(PHOTO_SUFFIXES)}, in sub-folders too"
        raise InputError(f"{source.flag} {source.uri}: no photos in it ({reason})")
    return listing
