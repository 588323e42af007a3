"""How a photo is changed from one view to the next, as a fruit that turns on a table may look. Pure.

A look is drawn first, as numbers, and applied then: both depend on the random generator that is given and on nothing
else.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter
from scipy import ndimage  # type: ignore[import-untyped]

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

# A background is white where each colour is at least this, and it covers so much of the edge.
_WHITE, _WHITE_EDGE = 225, 0.5
_PATCHES = 4  # a replaced background is a smooth blend of so many by so many colours


@dataclass(frozen=True)
class Look:
    """One way to change a photo.

    Attributes:
        turn: degrees.
        scale: of the fruit; below 1 it gets smaller.
        shift: to the right and down, shares of the width and height.
        mirrored: left to right.
        gains: float32 (3,), factors of red, green and blue: light and its colour temperature.
        contrast, saturation: 1 for none.
        background: float32 (n, n, 3), colours 0..255 spread over the photo in place of white; None keeps it.
        blur: standard deviation, a share of the width; 0 for none.
    """

    turn: float
    scale: float
    shift: tuple[float, float]
    mirrored: bool
    gains: Floats
    contrast: float
    saturation: float
    background: Floats | None
    blur: float


def draw_look(random: np.random.Generator) -> Look:
    """Any look."""
    warmth, tint, light = random.normal(0, 0.08), random.normal(0, 0.03), random.normal(0, 0.12)
    gains = np.exp(np.array([warmth, tint, -warmth]) + light).astype(np.float32)
    turn, scale = random.uniform(-180, 180), np.exp(random.uniform(-0.35, 0.1))
    shift = float(random.uniform(-0.06, 0.06)), float(random.uniform(-0.06, 0.06))
    contrast, saturation = np.exp(random.normal(0, 0.1, 2))
    base, spread = random.uniform(40, 255, 3), random.normal(0, 25, (_PATCHES, _PATCHES, 3))
    replaced, blurred, mirrored = random.random(3) < (0.3, 0.3, 0.5)
    return Look(
        turn=float(turn),
        scale=float(scale),
        shift=shift,
        mirrored=bool(mirrored),
        gains=gains,
        contrast=float(contrast),
        saturation=float(saturation),
        background=np.clip(base + spread, 0, 255).astype(np.float32) if replaced else None,
        blur=float(random.uniform(0.002, 0.01)) if blurred else 0.0,
    )


def apply(look: Look, pixels: Pixels) -> Pixels:
    """The photo, uint8 RGB (height, width, 3), as it looks then, of the same shape."""
    moved = _move(look, pixels)
    coloured = _colour(look, moved.astype(np.float32))
    if look.background is not None:
        cover = white_background(moved)[..., np.newaxis]
        coloured += cover * (_spread(look.background, pixels.shape[:2]) - coloured)
    picture = Image.fromarray(np.clip(coloured + 0.5, 0, 255).astype(np.uint8))
    if look.blur:
        picture = picture.filter(ImageFilter.GaussianBlur(look.blur * pixels.shape[1]))
    return np.asarray(picture)


def _move(look: Look, pixels: Pixels) -> Pixels:
    """Turned, scaled, shifted and mirrored; white where nothing was."""
    height, width = pixels.shape[:2]
    angle, middle = np.radians(look.turn), np.array([width / 2, height / 2])
    turned = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) / look.scale
    if look.mirrored:
        turned[0] *= -1
    # From the new photo's coordinates to the old one's.
    offset = middle - turned @ (middle + np.array(look.shift) * (width, height))
    coefficients = (*turned[0], offset[0], *turned[1], offset[1])
    picture = Image.fromarray(pixels)
    moved = picture.transform(
        (width, height), Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR, fillcolor="white"
    )
    return np.asarray(moved)


def _colour(look: Look, pixels: Floats) -> Floats:
    lit = pixels * look.gains
    grey = lit.mean(axis=2, keepdims=True)
    vivid = grey + np.float32(look.saturation) * (lit - grey)
    middle = np.float32(128)
    return np.asarray(middle + np.float32(look.contrast) * (vivid - middle), np.float32)


def _spread(colours: Floats, shape: tuple[int, ...]) -> Floats:
    """Colours (n, n, 3) spread smoothly over (height, width, 3)."""
    channels = [Image.fromarray(np.ascontiguousarray(colours[..., channel])) for channel in range(3)]
    size = shape[1], shape[0]
    return np.stack([np.asarray(one.resize(size, Image.Resampling.BICUBIC)) for one in channels], axis=2)


def white_background(pixels: Pixels) -> Floats:
    """How much each pixel is background, float32 (height, width) from 0 to 1; 0 everywhere where it is not white.

    Light spots inside of a fruit are none: the background is connected to the edge.
    """
    white = pixels.min(axis=2) >= _WHITE
    parts, _ = ndimage.label(white)
    edge = np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]])
    if np.mean(edge > 0) < _WHITE_EDGE:
        return np.zeros(white.shape, np.float32)
    found = np.isin(parts, np.unique(edge[edge > 0]))
    return np.asarray(ndimage.gaussian_filter(found.astype(np.float32), 1.0), np.float32)
