"""Where photos are read from, behind one interface: list everything once, then read single photos anywhere."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import unquote, urlsplit

from app.errors import InputError, PhotoError, UsageError

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
        reason: a code from `app.pixels.REASONS`.
        detail: what exactly was wrong.
    """

    path: str
    label: str
    reason: str
    detail: str


class PhotoSource(Protocol):
    """A place with photos. Instances are pickled to the tasks, so they hold addresses and no open connections."""

    @property
    def uri(self) -> str:
        """The place as the user named it."""

    def photos(self) -> Iterator[Photo]:
        """Every photo below the place, in any order; `InputError` when the place itself cannot be listed."""

    def read(self, path: str) -> bytes:
        """The bytes of one listed photo; `PhotoError` when it cannot be had."""


def open_source(uri: str) -> PhotoSource:
    """The source for a folder or a URI.

    Raises:
        UsageError: a scheme that no source serves.
    """
    scheme = urlsplit(uri).scheme if "://" in uri else ""
    if scheme in ("", "file"):
        return LocalSource(uri)
    raise UsageError(f"--input {uri}: no reader for {scheme}:// (folders and file:// are served)")


def local_path(uri: str) -> str:
    """The absolute path of a folder given as a path or as `file://`."""
    path = unquote(urlsplit(uri).path) if uri.startswith("file://") else os.path.expanduser(uri)
    return os.path.abspath(path)


@dataclass(frozen=True)
class LocalSource:
    """A folder on this machine, or on one that every worker sees at the same path."""

    uri: str

    @property
    def root(self) -> str:
        """Absolute path of the folder."""
        return local_path(self.uri)

    def photos(self) -> Iterator[Photo]:
        """Every photo below the folder. Links are followed, hidden names and loops are not."""
        root = self.root
        if not os.path.isdir(root):
            what = "is a file, not a folder" if os.path.exists(root) else "does not exist"
            raise InputError(f"--input {self.uri}: {what}: name a folder of photos, one sub-folder a variety")
        status = os.stat(root)
        yield from _walk(root, "", os.path.basename(root), ((status.st_dev, status.st_ino),))

    def read(self, path: str) -> bytes:
        """The bytes of one photo."""
        try:
            with open(os.path.join(self.root, path), "rb") as stream:
                return stream.read()
        except OSError as exc:
            raise PhotoError("unreadable", f"{exc.strerror or exc}") from exc


def _walk(folder: str, prefix: str, label: str, seen: tuple[tuple[int, int], ...]) -> Iterator[Photo]:
    try:
        entries = list(os.scandir(folder))
    except OSError as exc:
        raise InputError(f"{folder}: cannot be listed ({exc.strerror}): give the user running the job access to it") from exc
    for entry in entries:
        if entry.name.startswith("."):
            continue
        status = _status(entry)
        if status and stat.S_ISDIR(status.st_mode):
            identity = status.st_dev, status.st_ino
            if identity not in seen:  # a link to a folder above would never end
                yield from _walk(entry.path, f"{prefix}{entry.name}/", entry.name, (*seen, identity))
        elif entry.name.lower().endswith(PHOTO_SUFFIXES) and not (status and not stat.S_ISREG(status.st_mode)):
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
