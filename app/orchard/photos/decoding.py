"""Photo bytes to RGB pixels at a network's input size. Pillow and NumPy only."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from orchard.errors import PhotoError

Pixels = npt.NDArray[np.uint8]

# A photo of so many takes 0.4 GB and more while it is decoded; real cameras stay below it.
MAX_MEGAPIXELS = 100

REASONS = {
    "empty": "the file has no bytes",
    "not_an_image": "the bytes are of no image format that Pillow knows",
    "truncated": "the file ends before its picture does",
    "undecodable": "the picture inside is damaged",
    "too_large": f"more than {MAX_MEGAPIXELS} megapixels, or more bytes than a task can hold",
    "gone": "it was listed, but is no longer there",
    "forbidden": "it may not be read",
    "changed": "it is no longer what was listed: it was written again in the meantime",
    "unavailable": "the storage did not hand it out, however often it was asked",
    "unreadable": "the disk or the storage failed to read it",
    "bad_name": "the file's name is not valid UTF-8",
}

# Pillow only warns from 1 x this limit on and raises from 2 x; `_check_size` refuses before either can matter.
Image.MAX_IMAGE_PIXELS = MAX_MEGAPIXELS * 1_000_000


def decode(content: bytes, size: tuple[int, int]) -> Pixels:
    """Decode one photo, whatever its format, to RGB at `size` (width, height) with bicubic resampling.

    EXIF orientation is left alone, alpha is dropped, 16-bit greyscale keeps its high byte, animations give their first frame.

    Returns:
        uint8 array of shape (height, width, 3).

    Raises:
        PhotoError: with a reason from `REASONS`.
    """
    if not content:
        raise PhotoError("empty", "0 bytes")
    image = _open(content)
    _check_size(image)
    return np.asarray(_to_rgb(image).resize(size, Image.Resampling.BICUBIC))


def thumbnail(content: bytes, side: int) -> Image.Image:
    """A small RGB picture of one photo, at most `side` pixels wide and high, for looking at; errors as in `decode`."""
    image = _open(content)
    _check_size(image)
    image.draft("RGB", (side, side))  # a JPEG is then decoded at the smallest scale that suffices
    small = _to_rgb(image)
    small.thumbnail((side, side))
    return small


def _open(content: bytes) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return Image.open(io.BytesIO(content))
    except UnidentifiedImageError as exc:
        raise PhotoError("not_an_image", f"{len(content)} bytes starting with {content[:8]!r}") from exc
    except Image.DecompressionBombError as exc:
        raise PhotoError("too_large", str(exc)) from exc
    except Exception as exc:  # Pillow's plugins raise nearly anything on damaged headers
        raise PhotoError("undecodable", _describe(exc)) from exc


def _check_size(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_MEGAPIXELS * 1_000_000:
        raise PhotoError("too_large", f"{width} x {height} is more than {MAX_MEGAPIXELS} megapixels")


def _to_rgb(image: Image.Image) -> Image.Image:
    try:
        if image.mode == "RGB":
            image.load()
            return image
        if image.mode.startswith("I"):
            return _high_byte(image).convert("RGB")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # "Palette images with Transparency ..."
            return image.convert("RGB")
    except OSError as exc:
        raise PhotoError("truncated" if "truncated" in str(exc) else "undecodable", _describe(exc)) from exc
    except Exception as exc:
        raise PhotoError("undecodable", _describe(exc)) from exc


def _high_byte(image: Image.Image) -> Image.Image:
    # convert("RGB") clips 16-bit values at 255 and would give a white picture.
    values: npt.NDArray[Any] = np.asarray(image)
    high = np.empty(values.shape, np.uint8)
    for top in range(0, len(values), 256):  # band by band: at 100 megapixels each copy of all would be 400 MB
        high[top : top + 256] = values[top : top + 256].clip(0, 65535) // 256
    return Image.fromarray(high)


def _describe(exc: Exception) -> str:
    return f"{type(exc).__name__}: {exc}"
