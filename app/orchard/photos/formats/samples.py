"""Samples of more than 8 bits to 8 bits: the brightness that a viewer shows, also where values are narrower than words.

How wide the values are is what the file declares, or else the smallest usual width that holds the largest: a camera's
12 bits in words of 16 would be nearly black otherwise.
"""

import sys
from typing import Any

import numpy as np
from PIL import Image, ImageFile

from orchard.errors import PhotoError
from orchard.photos.formats.opening import open_image, tiff_tag

_WIDTHS = (8, 10, 12, 14, 16, 24, 32)
_BITS, _PHOTOMETRIC, _LARGEST, _SAMPLE_FORMAT = 258, 262, 281, 339
_WHITE_IS_ZERO, _SIGNED = 0, 2
# Resampling and lights overshoot a unit range, and zero by a tenth of the largest value at most.
_MOST_OF_UNIT, _OVERSHOOT = 2.0, 0.1
# libtiff hands samples over in this machine's order, and Pillow corrects for that only where they are unsigned.
_NATIVE = {"I;16BS": "I;16NS", "I;32BS": "I;32NS", "F;32BF": "F;32NF"}
# The other order of two bytes: by it, Pillow unpacks the low bytes of words.
_OTHER_ORDER = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}


def load(image: ImageFile.ImageFile, content: bytes) -> Image.Image:
    """Load an opened image of this content, and bring wide samples to 8 bits; `PhotoError` where nothing says how."""
    args: Any = image.tile[0].args if image.tile else None
    rawmode = str(args[0] if isinstance(args, tuple) and args else args)
    if rawmode in _NATIVE and image.tile[0].codec_name == "libtiff":
        _unpack_as(_NATIVE[rawmode], image)
    image.load()
    if is_wide(image):
        return grey(image, content)
    if ";16" in rawmode:
        return _colors(image, content, rawmode)
    if rawmode in ("L;2", "L;4") and isinstance(key := image.info.get("transparency"), int):
        image.info["transparency"] = key * {"L;2": 85, "L;4": 17}[rawmode]  # as Pillow has scaled the samples
    return image


def is_wide(image: Image.Image) -> bool:
    """Whether an image has one channel of more than 8 bits."""
    return image.mode in ("I", "F") or image.mode.startswith("I;")


def grey(image: Image.Image, content: bytes = b"") -> Image.Image:
    """A loaded image of one wide channel, in 8 bits; `content` is the file that it is of, if any."""
    words = values = np.asarray(image)
    if image.mode == "I" and image.format == "TIFF" and _SIGNED not in tiff_tag(image, _SAMPLE_FORMAT, 1):
        values = values.view(np.uint32)
    low, high = (edge(initial=0, where=np.isfinite(values)).item() for edge in (values.min, values.max))
    if -low > _OVERSHOOT * high:
        raise PhotoError("undecodable", f"samples from {low:g} to {high:g}, and no word on which are black and white")
    if image.mode == "F":
        white = 1.0 if high <= _MOST_OF_UNIT else max(high, 2.0 ** _width(int(high)) - 1)
        values = np.rint(np.nan_to_num(values, nan=0, posinf=white).clip(0, white) * (255 / white))
    else:
        values = np.right_shift(values.clip(0, None), _width(high, _declared_bits(image, content)) - 8)
    if image.format == "TIFF" and tiff_tag(image, _PHOTOMETRIC, _WHITE_IS_ZERO) == (_WHITE_IS_ZERO,):
        values = 255 - values
    narrow = Image.fromarray(values.astype(np.uint8))
    if isinstance(key := image.info.get("transparency"), int):
        narrow.putalpha(Image.fromarray(np.where(words == key, 0, 255).astype(np.uint8)))
    return narrow


def _colors(image: ImageFile.ImageFile, content: bytes, rawmode: str) -> Image.Image:
    """A loaded image of several channels of 16 bits, of which Pillow keeps the high bytes, in 8 bits."""
    tops: list[int] = [int(top) for _, top in image.getextrema()]  # type: ignore[misc]
    groups = [slice(0, 3), slice(3, 4)] if image.mode == "RGBA" else [slice(0, 4)]  # opacity has a width of its own
    widths = [_width(max(tops[group]) << 8 | 255, _declared_bits(image, content)) for group in groups]
    if isinstance(key := image.info.get("transparency"), tuple):
        image.info["transparency"] = tuple(value >> widths[0] - 8 for value in key)
    if set(widths) == {16}:
        return image
    if rawmode.startswith("RGBa"):
        raise PhotoError("undecodable", f"colors multiplied with opacity in {widths[0]} of 16 bits are not supported")
    is_grey = rawmode == "LA;16B"  # four bytes a pixel: grey's high and low one, and those of opacity
    other = "RGBA" if is_grey else rawmode[:-1] + _OTHER_ORDER[rawmode[-1]]
    high, low = np.asarray(image), np.asarray(_unpack_as(other, open_image(image.format or "", content)))
    low = low[..., [1, 1, 1, 3]] if is_grey else low
    parts = [high[..., at] << 16 - bits | low[..., at] >> bits - 8 for at, bits in zip(groups, widths, strict=True)]
    narrow = Image.frombytes(image.mode, image.size, np.concatenate(parts, axis=-1).tobytes())
    narrow.info = image.info
    return narrow


def _unpack_as(rawmode: str, image: ImageFile.ImageFile) -> ImageFile.ImageFile:
    for index, tile in enumerate(image.tile):
        args: Any = (rawmode, *tile.args[1:]) if isinstance(tile.args, tuple) else rawmode
        image.tile[index] = tile._replace(args=args)
    return image


def _width(largest: int, declared: int = 0) -> int:
    return next((bits for bits in _WIDTHS if bits >= declared and largest < 1 << bits), _WIDTHS[-1])


def _declared_bits(image: Image.Image, content: bytes) -> int:
    """Bits of a sample that the file declares, beyond the width of its words; 0 if it does not."""
    if image.format == "TIFF":
        return 12 if 12 in tiff_tag(image, _BITS, 1) else int(max(tiff_tag(image, _LARGEST, 0))).bit_length()
    at = content.find(b"sBIT", 0, max(content.find(b"IDAT"), 0)) if image.format == "PNG" else -1
    return max(content[at + 4 : at + 4 + int.from_bytes(content[at - 4 : at], "big")][:3]) if at > 8 else 0
