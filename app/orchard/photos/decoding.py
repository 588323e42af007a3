"""Photo bytes to RGB pixels, as a viewer shows them. Pillow and NumPy only."""

import contextlib

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

from orchard.errors import PhotoError
from orchard.photos.formats import samples
from orchard.photos.formats.opening import is_cut, open_image, quiet
from orchard.photos.formats.signatures import describe, image_format
from orchard.photos.photo import MAX_MEGAPIXELS

Pixels = npt.NDArray[np.uint8]

# Raised whenever the same bytes give other pixels: features of different versions do not mix.
DECODING_VERSION = 2

_TURN = Image.Transpose
_TURNS = {2: _TURN.FLIP_LEFT_RIGHT, 3: _TURN.ROTATE_180, 4: _TURN.FLIP_TOP_BOTTOM, 5: _TURN.TRANSPOSE}
_TURNS |= {6: _TURN.ROTATE_270, 7: _TURN.TRANSVERSE, 8: _TURN.ROTATE_90}


def decode(content: bytes, size: tuple[int, int]) -> Pixels:
    """Decode one photo, whatever its format, to uint8 RGB of shape (height, width, 3); `size` is (width, height).

    Resampling is bicubic. EXIF orientation is applied, alpha is composited over white, wide samples become 8 bits
    (`formats.samples`), CMYK is converted as Pillow does; of animations and pages the first one counts. `PhotoError`
    has a reason of `REASONS`.
    """
    return np.asarray(_picture(content).resize(size, Image.Resampling.BICUBIC))


def resize(image: Image.Image, size: tuple[int, int]) -> Pixels:
    """As `decode`, for an image that Pillow has opened or holds in memory.

    `PhotoError` "undecodable" for one that cannot be loaded or converted.
    """
    try:
        with quiet([], descriptor=False):
            image.load()
            if not image.width * image.height:
                raise ValueError("it has no pixels")
            picture = _turned(image, _to_rgb(samples.grey(image) if samples.is_wide(image) else image))
            return np.asarray(picture.resize(size, Image.Resampling.BICUBIC))
    except PhotoError:
        raise
    except Exception as exc:  # Pillow raises nearly anything
        what = f"an image of mode {image.mode}, {image.width} x {image.height}"
        raise PhotoError("undecodable", f"{what}: {type(exc).__name__}: {exc}") from exc


def thumbnail(content: bytes, side: int) -> Image.Image:
    """A small RGB picture of one photo, at most `side` pixels wide and high, for looking at; rules as in `decode`."""
    small = _picture(content, side)
    small.thumbnail((side, side))
    return small


def _picture(content: bytes, side: int | None = None) -> Image.Image:
    """The upright RGB picture; a JPEG at the smallest scale that suffices for `side`, if given."""
    if not content:
        raise PhotoError("empty", "0 bytes")
    name = image_format(content)
    if name is None:
        raise PhotoError("not_an_image", describe(content))
    said: list[str] = []
    descriptor = name == "TIFF"  # libtiff writes its messages itself
    try:
        with quiet(said, descriptor=descriptor):
            return _load(name, content, side)
    except PhotoError:
        raise
    except Image.DecompressionBombError as exc:
        raise PhotoError("too_large", str(exc)) from exc
    except Exception as exc:  # Pillow's plugins raise nearly anything on damaged files
        with quiet([], descriptor=descriptor):
            reason = "truncated" if is_cut(name, content) else "undecodable"
        layout = f": {exc.__cause__}" if isinstance(exc.__cause__, KeyError) else ""  # of samples, not known to Pillow
        lines = [f"{name}, {len(content):,} bytes: {type(exc).__name__}: {exc}{layout}", *said]
        raise PhotoError(reason, "; ".join(line.strip() for line in lines)) from exc


def _load(name: str, content: bytes, side: int | None) -> Image.Image:
    image = open_image(name, content)
    width, height = image.size
    if width * height > MAX_MEGAPIXELS * 1_000_000:
        raise PhotoError("too_large", f"{width} x {height} is more than {MAX_MEGAPIXELS} megapixels")
    if side:
        image.draft("RGB", (side, side))
    return _turned(image, _to_rgb(samples.load(image, content)))


def _turned(image: Image.Image, picture: Image.Image) -> Image.Image:
    """A picture as the EXIF orientation of the image that it was made from demands."""
    turn = None
    with contextlib.suppress(Exception):  # damaged EXIF, of which Pillow raises nearly anything: it is ignored
        turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    return picture if turn is None else picture.transpose(turn)


def _to_rgb(image: Image.Image) -> Image.Image:
    """An image of 8 bits in RGB, as it looks on a white page."""
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")
    page = Image.new("RGB", image.size, "white")
    image = image if image.mode == "RGBA" else image.convert("RGBA")
    page.paste(image, mask=image)
    return page
