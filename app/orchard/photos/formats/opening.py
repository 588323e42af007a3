"""Opens an image file with Pillow, quietly and by Orchard's limits; tells one that was cut from one that is damaged."""

import contextlib
import io
import os
import tempfile
import threading
import warnings
from collections.abc import Iterator

from PIL import Image, ImageFile

from orchard.errors import PhotoError
from orchard.photos.photo import MAX_MEGAPIXELS

# Tags of TIFF; those of `_DATA` are where strips or tiles begin, and how long they are.
_BITS, _PLANES, _SAMPLE_FORMAT, _DATA = 258, 284, 339, ((273, 279), (324, 325))
_SEPARATE, _SIGNED = 2, 2
# Warnings, limits and file descriptor 2 belong to the whole process: one thread at a time exchanges them.
_exchanging = threading.Lock()


@contextlib.contextmanager
def quiet(said: list[str], *, descriptor: bool) -> Iterator[None]:
    """Decode by Orchard's own limits, and collect in `said` Pillow's warnings and, if so wished, file descriptor 2."""
    with _exchanging, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
        # Pillow warns of more pixels than its limit, and refuses more than twice of it.
        Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = MAX_MEGAPIXELS * 1_000_000 // 2, False
        try:
            with _captured(said) if descriptor else contextlib.nullcontext():
                yield
        finally:
            Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = before
            said += dict.fromkeys(str(warning.message) for warning in caught)


@contextlib.contextmanager
def _captured(said: list[str]) -> Iterator[None]:
    with tempfile.TemporaryFile(buffering=0) as sink:
        before = os.dup(2)
        os.dup2(sink.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(before, 2)
            os.close(before)
            sink.seek(0)
            said += sink.read(4096).decode("utf-8", "replace").splitlines()


def open_image(name: str, content: bytes) -> ImageFile.ImageFile:
    """Open a file of one format (Pillow's name), not yet loaded; Pillow raises nearly anything if it is damaged.

    `PhotoError` for a TIFF that was cut in its tags, or whose pixels Pillow would show wrongly.
    """
    if name != "TIFF":
        return _open(name, io.BytesIO(content))
    image = _open(name, file := _WatchedFile(content))
    if file.overrun:  # without some of the tags, Pillow takes the samples for others
        raise PhotoError("truncated", "the tags of a TIFF lie beyond its end")
    bits = tiff_tag(image, _BITS, 1)
    if max(bits) == 8 and _SIGNED in tiff_tag(image, _SAMPLE_FORMAT, 1):
        raise PhotoError("undecodable", "a TIFF of signed samples of 8 bits is not supported")
    if max(bits) > 8 and len(bits) > 1 and tiff_tag(image, _PLANES, 1) == (_SEPARATE,):
        raise PhotoError("undecodable", f"a TIFF of separate planes of {max(bits)} bits is not supported")
    return image


def _open(name: str, file: io.BytesIO) -> ImageFile.ImageFile:
    # Not by `Image.open`: it tries formats that other programs would have to decode, and hides why one failed.
    for load_plugins in (Image.preinit, Image.init):
        if name not in Image.OPEN:
            load_plugins()
    image = Image.OPEN[name][0](file, "")
    assert isinstance(image, ImageFile.ImageFile)
    return image


def tiff_tag(image: Image.Image, tag: int, default: int) -> tuple[int, ...]:
    """The values of a tag of a TIFF."""
    value = image.tag_v2.get(tag, default)  # type: ignore[attr-defined]
    return value if isinstance(value, tuple) else (value,)


class _WatchedFile(io.BytesIO):
    """Remembers whether more bytes were requested of it than it has; blocks that fill a buffer may well be shorter."""

    overrun = False

    def read(self, size: int | None = -1) -> bytes:
        content = super().read(size)
        if size and size > len(content) and (size < ImageFile.MAXBLOCK or not content):
            self.overrun = True
        return content


def is_cut(name: str, content: bytes) -> bool:
    """Whether a file that cannot be decoded lacks its end: it says so, or Pillow looks for bytes beyond it."""
    if name == "WEBP":
        return 8 + int.from_bytes(content[4:8], "little") > len(content)
    if name == "AVIF":  # boxes, each of which begins with its length
        at, size = 0, 8
        while size >= 8 and at + 8 <= len(content):  # below 8 it is damaged
            size = int.from_bytes(content[at : at + 4], "big")
            at += size
        return (at + 8 > len(content) and at != len(content)) or b"mdat" not in content
    file = _WatchedFile(content)
    with contextlib.suppress(Exception):  # it failed before; now it is seen what is read until then
        image = _open(name, file)
        for tags in _DATA if name == "TIFF" else ():
            starts, sizes = (tiff_tag(image, tag, 0) for tag in tags)
            file.overrun |= any(start + size > len(content) for start, size in zip(starts, sizes, strict=False))
        image.load()
    return file.overrun
