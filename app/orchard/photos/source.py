"""Where photos are read from, behind one interface: list everything once, then read single photos anywhere."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Protocol
from urllib.parse import unquote, urlsplit

from orchard.errors import InputError, PhotoError, UsageError
from orchard.storage.objects import SCHEMES, is_object_uri

# Above this a file is no photo that a classifier would see, and a task with a few of them would not fit into its memory.
MAX_MEGABYTES = 200
PHOTO_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


@dataclass(frozen=True, slots=True)
class Photo:
    """One listed photo.

    Attributes:
        path: relative to the input, with `/` between folders.
        label: name of the folder it lies in.
        size: bytes.
        modified: microseconds since 1970, UTC.
    """

    path: str
    label: str
    size: int
    modified: int


@dataclass(frozen=True, slots=True)
class Rejection:
    """One photo that is not in `features/`: a row of `rejected/`.

    Attributes:
        reason: a code from `orchard.photos.decoding.REASONS`.
        detail: what exactly was wrong.
    """

    path: str
    label: str
    reason: str
    detail: str


def is_photo(path: str) -> bool:
    """Whether a path relative to the input names a photo: by its end, and with no hidden name in it."""
    return path.lower().endswith(PHOTO_SUFFIXES) and not path.startswith(".") and "/." not in path


def ignore() -> None:
    """Nothing."""


class PhotoReader(Protocol):
    """A place whose photos can be read. Instances are pickled to the tasks, so they hold addresses and no open connections."""

    @property
    def uri(self) -> str:
        """The place as the user named it."""

    @property
    def readers(self) -> int:
        """Reads worth having under way at once, in each task."""

    def read(
        self, path: str, *, listed: Photo | None = None, on_retry: Callable[[], None] = ignore, patient: bool = True
    ) -> bytes:
        """The bytes of one photo; safe to call from many threads.

        Args:
            listed: how it was listed; without it, whatever is there is read.
            on_retry: called each time a read has to be tried again.
            patient: whether to try again for half a minute, or for a second.

        Raises:
            PhotoError: it cannot be had, or is no longer what was listed.
            InputError: none could be had.
        """


class PhotoSource(PhotoReader, Protocol):
    """A place whose photos can be listed and read."""

    def photos(self) -> Iterator[Photo]:
        """Every photo below the place, in any order; `InputError` when the place itself cannot be listed."""


def open_source(uri: str) -> PhotoSource:
    """The source for a folder or a URI.

    Raises:
        UsageError: a scheme that no source serves.
    """
    if "://" not in uri or uri.startswith("file://"):
        return LocalSource(uri, local_path(uri))
    if is_object_uri(uri):
        from orchard.photos.buckets import BucketSource

        return BucketSource(uri)
    raise UsageError(
        f"--input {uri}: no reader for {uri.split('://')[0]}:// (folders, file:// and {', '.join(SCHEMES)}:// are served)"
    )


def local_path(uri: str) -> str:
    """The absolute path of a folder given as a path or as `file://`."""
    path = unquote(urlsplit(uri).path) if uri.startswith("file://") else os.path.expanduser(uri)
    return os.path.abspath(path)


@dataclass(frozen=True)
class LocalSource:
    """A folder on this machine, or on one that every worker sees at the same path.

    Attributes:
        root: absolute path of the folder; tasks have another working directory than who named it.
    """

    uri: str
    root: str
    # The system reads ahead by itself; more threads only cost their switching.
    readers: ClassVar[int] = 4

    def photos(self) -> Iterator[Photo]:
        """Every photo below the folder. Links are followed, hidden names and loops are not."""
        root = self.root
        if not os.path.isdir(root):
            what = "is a file, not a folder" if os.path.exists(root) else "does not exist"
            raise InputError(f"--input {self.uri}: {what}: name a folder of photos, one sub-folder a variety")
        status = os.stat(root)
        yield from _walk(root, "", os.path.basename(root), ((status.st_dev, status.st_ino),))

    def read(
        self, path: str, *, listed: Photo | None = None, on_retry: Callable[[], None] = ignore, patient: bool = True
    ) -> bytes:
        """The bytes of one photo; nothing here is worth a second try."""
        if listed:
            refuse_if_too_large(listed.size)
        try:
            with open(os.path.join(self.root, path), "rb") as stream:
                size = os.fstat(stream.fileno()).st_size
                refuse_if_too_large(size)
                content = stream.read(size + 1)
                status = os.fstat(stream.fileno())  # after the reading: nobody wrote meanwhile, or it shows
        except OSError as exc:
            raise _explained(exc, path) from exc
        refuse_if_changed(listed, status.st_size, status.st_mtime_ns // 1000)
        return content


_REASONS: dict[type[OSError], str] = {FileNotFoundError: "gone", PermissionError: "forbidden"}
_ESCAPED = re.compile(r"\\udc[89a-f][0-9a-f]")


def _explained(exc: OSError, path: str) -> PhotoError:
    if isinstance(exc, FileNotFoundError) and _ESCAPED.search(path):
        return PhotoError("bad_name", "the name is not valid UTF-8: rename the file")
    return PhotoError(_REASONS.get(type(exc), "unreadable"), f"{exc.strerror or exc}")


def refuse_if_too_large(size: int) -> None:
    """`PhotoError` for a photo that is too much to hold in memory."""
    if size > MAX_MEGABYTES * 1_000_000:
        raise PhotoError("too_large", f"{size:,} bytes are more than {MAX_MEGABYTES} MB")


def refuse_if_changed(listed: Photo | None, size: int, modified: int, *, precision: int = 1) -> None:
    """`PhotoError` when what was read is not what was listed.

    Args:
        size: in bytes, now.
        modified: in microseconds since 1970, now.
        precision: of the storage's times, in microseconds.
    """
    if listed and listed.size != size:
        raise PhotoError("changed", f"{size:,} bytes when read, {listed.size:,} when listed")
    if listed and listed.modified // precision != modified // precision:
        raise PhotoError("changed", f"modified {_time(modified)}, after it was listed with {_time(listed.modified)}")


def _time(modified: int) -> str:
    return datetime.fromtimestamp(modified / 1e6, UTC).isoformat(timespec="seconds")


def _walk(folder: str, prefix: str, label: str, seen: tuple[tuple[int, int], ...]) -> Iterator[Photo]:
    try:
        entries = list(os.scandir(folder))
    except OSError as exc:
        raise InputError(
            f"{folder}: cannot be listed ({exc.strerror}): give the user running the job access to it"
        ) from exc
    for entry in entries:
        if entry.name.startswith("."):
            continue
        status = _status(entry)
        if status and stat.S_ISDIR(status.st_mode):
            identity = status.st_dev, status.st_ino
            if identity not in seen:  # a link to a folder above would never end
                yield from _walk(entry.path, f"{prefix}{entry.name}/", entry.name, (*seen, identity))
        elif is_photo(entry.name) and not (status and not stat.S_ISREG(status.st_mode)):
            yield _photo(_text(prefix + entry.name), _text(label), status)


def _status(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        return entry.stat()
    except OSError:  # a dangling link, say: listed if its name is a photo's, and rejected when it is read
        return None


def _photo(path: str, label: str, status: os.stat_result | None) -> Photo:
    return Photo(path, label, status.st_size, status.st_mtime_ns // 1000) if status else Photo(path, label, 0, 0)


def _text(name: str) -> str:
    # A name that is not UTF-8 cannot stand in a table: shown escaped, and rejected when it is read.
    return name.encode("utf-8", "backslashreplace").decode()
