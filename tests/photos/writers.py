"""Image files that Pillow cannot write: PNG and TIFF of any depth, channels and byte order."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

PNG_GREY, PNG_RGB, PNG_LA, PNG_RGBA = 0, 2, 4, 6


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    """An image as Pillow writes it."""
    sink = io.BytesIO()
    image.save(sink, kind, **options)
    return sink.getvalue()


def picture(width: int = 90, height: int = 60) -> Image.Image:
    """A picture with detail and every brightness, without symmetry: each turn of it looks different."""
    across, down = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    channels = [across, down**2, (across + np.cos(9 * down) ** 2) / 2]
    return Image.fromarray(np.rint(255 * np.stack(channels, axis=-1)).astype(np.uint8))


def png(values: np.ndarray, color: int, chunks: Mapping[bytes, bytes] | None = None) -> bytes:
    """A PNG of `values` (h, w) or (h, w, channels), uint8 or uint16, with chunks between header and pixels."""
    height, width = values.shape[:2]
    depth = 8 * values.dtype.itemsize
    rows = values.astype(values.dtype.newbyteorder(">")).reshape(height, -1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    parts = {
        b"IHDR": struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0),
        **(chunks or {}),
        b"IDAT": zlib.compress(raw),
        b"IEND": b"",
    }
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in parts.items())


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def tiff(
    values: np.ndarray,
    photometric: int,
    *,
    order: str = "<",
    planar: bool = False,
    deflate: bool = False,
    compress: Callable[[bytes], bytes] | None = None,
    fields: Mapping[int, Sequence[float]] | None = None,
) -> bytes:
    """A TIFF of one strip (or one a channel) of `values` (h, w) or (h, w, channels), of any NumPy type.

    Args:
        photometric: 0 white is zero, 1 black is zero, 2 RGB, 5 CMYK.
        order: "<" or ">".
        compress: makes a strip of its bytes; `fields` must say how.
        fields: further tags; floats are written as 32 bit floats, others as 16 bits; one without values is left out.
    """
    values = values[..., None] if values.ndim == 2 else values
    height, width, channels = values.shape
    raw = values.astype(values.dtype.newbyteorder(order))  # type: ignore[arg-type]
    planes = [raw[..., channel] for channel in range(channels)] if planar else [raw]
    compress = compress or (zlib.compress if deflate else bytes)
    strips = [compress(plane.tobytes()) for plane in planes]
    kind = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    starts = [8 + sum(len(strip) for strip in strips[:index]) for index in range(len(strips))]
    known: dict[int, Sequence[float]] = {
        256: [width], 257: [height], 258: [8 * values.dtype.itemsize] * channels, 259: [8 if deflate else 1],
        262: [photometric], 273: starts, 277: [channels], 278: [height], 279: [len(strip) for strip in strips],
        284: [2 if planar else 1], 339: [kind] * channels,
    }  # fmt: skip
    known = {tag: values for tag, values in {**known, **(fields or {})}.items() if values}
    body = b"".join(strips)
    body += b"\0" * (len(body) % 2)
    return _header(order, 8 + len(body)) + body + _directory(known, order, 8 + len(body))


def _header(order: str, start: int) -> bytes:
    return (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, start)


def _directory(fields: Mapping[int, Sequence[float]], order: str, start: int) -> bytes:
    entries, beyond = b"", b""
    free = start + 2 + 12 * len(fields) + 4
    for tag, values in sorted(fields.items()):
        real = any(isinstance(value, float) for value in values)
        letter, kind = ("f", 11) if real else ("I", 4) if max(values) > 65535 else ("H", 3)
        content = struct.pack(f"{order}{len(values)}{letter}", *values)
        if len(content) > 4:
            content, beyond = struct.pack(order + "I", free + len(beyond)), beyond + content
        entries += struct.pack(order + "HHI", tag, kind, len(values)) + content.ljust(4, b"\0")
    return struct.pack(order + "H", len(fields)) + entries + b"\0\0\0\0" + beyond


def lzw(raw: bytes, width: int) -> bytes:
    """Rows of `width` bytes, compressed by LZW."""
    content = encode(
        Image.frombytes("L", (width, len(raw) // width), raw),
        "TIFF",
        compression="tiff_lzw",
        tiffinfo={278: len(raw) // width},
    )
    with Image.open(io.BytesIO(content)) as image:
        tags = image.tag_v2  # type: ignore[attr-defined]
        return content[tags[273][0] : tags[273][0] + tags[279][0]]
