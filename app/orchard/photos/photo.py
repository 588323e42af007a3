"""What a photo, a rejection and a listing are; which files are photos, and in what order; why one is rejected. Pure."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from orchard.errors import PhotoError

# A photo of so many takes 0.4 GB and more while it is decoded; real cameras stay below it.
MAX_MEGAPIXELS = 100

REASONS: dict[str, str] = {
    "empty": "the file has no bytes",
    "not_an_image": "the bytes are not of an image format that can be read",
    "truncated": "the file ends before its picture does",
    "undecodable": "the file is an image, but damaged or of an unsupported variant",
    "too_large": f"more than {MAX_MEGAPIXELS} megapixels, or more bytes than a task can hold",
    "gone": "it was listed, but no longer exists",
    "forbidden": "access to it is denied",
    "changed": "it was written again after the listing",
    "unavailable": "the storage did not answer, after several retries",
    "unreadable": "the disk or the storage failed to read it",
    "bad_name": "the file's name is not valid UTF-8",
}

# Reasons that lie with the storage and not with the photo: the next run tries such photos again.
STORAGE_REASONS = frozenset({"gone", "forbidden", "unavailable", "unreadable"})

# Above this a file is no photo for a classifier, and a task with a few of them would not fit into its memory.
MAX_MEGABYTES = 200
PHOTO_SUFFIXES = (".avif", ".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
# Folders that file servers and operating systems make beside the user's: thumbnails, deleted and recovered files.
_SYSTEM_FOLDER = re.compile(
    r"(?i)@eadir|@tmp|[@#](recently-)?(recycle|snapshot)|\$recycle\.bin|recycler|__macosx|lost\+found|"
    "system volume information"
)
_SUFFIX = re.compile(r"\.(?!\d+$)[^\s.]{1,12}$")
_DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True, slots=True)
class Photo:
    """One listed photo."""

    path: str  # relative to the input, with `/` between folders, as it is stored
    label: str  # name of the folder it lies in, in Unicode NFC
    size: int
    modified: int  # microseconds since 1970, UTC


@dataclass(frozen=True, slots=True)
class Rejection(Photo):
    """One photo that is not in `features/`: a row of `rejected/`, `reason` being a key of `REASONS`."""

    reason: str
    detail: str


@dataclass(frozen=True)
class Listing:
    """Photos in any order, and the number of files that were left out, by what `skip_reason` says of them."""

    photos: list[Photo]
    skipped: dict[str, int]


def ignore() -> None:
    """Do nothing."""


class PhotoReader(Protocol):
    """A location whose photos can be read. It is pickled to the tasks, so it holds an address, no connection."""

    @property
    def uri(self) -> str:
        """The location as the user named it."""

    @property
    def readers(self) -> int:
        """Number of reads worth having in progress at once, in each task."""

    def read(self, path: str, *, listed: Photo | None = None, on_retry: Callable[[], None] = ignore) -> bytes:
        """The bytes of one photo, or of whatever is there if `listed` is not given; safe to call from many threads.

        `on_retry` is called each time a read has to be tried again.
        `PhotoError` where it cannot be read or is no longer what was listed, `InputError` where no photo could be read.
        """


def skip_reason(path: str) -> str | None:
    """Why a file, by its path relative to the input, is no photo, or nothing in a folder, if the path ends with `/`.

    That is "hidden", "system folder", a lower-case suffix (".heic") or "no suffix"; None for a photo or its folder.
    """
    for name in path.split("/"):
        if name.startswith("."):
            return "hidden"
        if _SYSTEM_FOLDER.fullmatch(name):
            return "system folder"
    if not name or name.lower().endswith(PHOTO_SUFFIXES):
        return None
    found = _SUFFIX.search(name, 1)
    return to_text(found[0].lower()) if found else "no suffix"


def label_of(folder: str) -> str:
    """The label of photos in a folder of this name: in Unicode NFC, so that one word is one label on every system."""
    return unicodedata.normalize("NFC", to_text(folder))


def to_text(name: str) -> str:
    r"""A file name as a table can hold it: bytes that are not UTF-8 become `\udcXX`, with a backslash."""
    return name.encode("utf-8", "backslashreplace").decode()


def arrange(photos: Iterable[Photo], *, varieties: int | None = None, per_variety: int | None = None) -> list[Photo]:
    """Order photos by variety and then naturally; keep the first `varieties` x `per_variety` when given."""
    groups: dict[str, list[Photo]] = defaultdict(list)
    for photo in photos:
        groups[photo.label].append(photo)
    ordered = (sorted(groups[label], key=lambda photo: natural_key(photo.path)) for label in sorted(groups)[:varieties])
    return [photo for group in ordered for photo in group[:per_variety]]


def natural_key(path: str) -> tuple[list[str | int], str]:
    """A sort key that puts `2` before `10`; equal only for equal paths."""
    return [int(part) if part.isdecimal() else part for part in _DIGITS.split(path)], path


def partition_bounds(photos: int, partitions: int) -> list[tuple[int, int]]:
    """First and one-past-last photo of each partition: ceil(photos / partitions) consecutive ones each."""
    size = -(-photos // partitions)
    return [(min(i * size, photos), min((i + 1) * size, photos)) for i in range(partitions)]


def refuse(size: int, modified: int = 0, listed: Photo | None = None, *, precision: int = 1) -> None:
    """`PhotoError` for too many bytes, and for what is not as it was listed; times are compared to `precision`."""
    if size > MAX_MEGABYTES * 1_000_000:
        raise PhotoError("too_large", f"{size:,} bytes are more than {MAX_MEGABYTES} MB")
    if listed and (listed.size, listed.modified // precision) != (size, modified // precision):
        now = datetime.fromtimestamp(modified / 1e6, UTC).isoformat(timespec="seconds")
        raise PhotoError("changed", f"{listed.size:,} bytes when listed, {size:,} when read, modified {now}")


def hint(skipped: Mapping[str, int]) -> str:
    """What to do about files that a listing left out; empty where nothing is to be done."""
    counts = {
        "HEIC: convert to JPEG first": skipped.get(".heic", 0) + skipped.get(".heif", 0),
        "without a suffix: name them .jpg first": skipped.get("no suffix", 0),
    }
    return "; ".join(f"{count:,} {text}" for text, count in counts.items() if count)
