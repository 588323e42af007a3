"""Drawn photos of fruit, behind `orchard sample`: a small data set where there is no real one.

A photo is a shaded solid of revolution, slightly bent, on white, 100 x 100 pixels, as in Fruits-360.
"""

from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageColor

from orchard.errors import OutputError, UsageError

Plane = NDArray[np.float64]
SIDE = 100


class Variety(NamedTuple):
    """How a variety looks."""

    name: str
    # Half width to half length; shift of the belly to the blossom end; how pointed the ends are; bend.
    shape: tuple[float, float, float, float]
    colors: tuple[str, str]  # of skin and pattern
    pattern: str  # where the second color goes
    spots: float  # lightness of dots on the skin, -1 to 1; 0 for none
    gloss: float  # 0 for velvet to 1 for wax


KNOWN = (
    Variety("Apple Red", (0.95, -0.12, 0.42, 0.0), ("#9E1620", "#DDAE4A"), "streaks", 0.3, 0.6),
    Variety("Banana", (0.27, 0.0, 0.45, 0.55), ("#E9C22F", "#6F6A26"), "tips", -0.3, 0.2),
    Variety("Orange", (0.97, 0.0, 0.5, 0.0), ("#EF8314", "#F6A02B"), "patches", -0.15, 0.5),
    Variety("Pear", (0.58, 0.45, 0.45, 0.05), ("#A9B445", "#C88A3C"), "blush", -0.4, 0.3),
    Variety("Strawberry", (0.72, -0.4, 0.52, 0.0), ("#C4161C", "#4A7A2B"), "crown", 0.7, 0.6),
    Variety("Lemon", (0.68, 0.0, 0.75, 0.0), ("#F2D01F", "#C9C235"), "tips", -0.1, 0.5),
    Variety("Eggplant", (0.44, 0.35, 0.42, 0.15), ("#2A1230", "#4E8A3A"), "crown", 0.0, 0.9),
    Variety("Watermelon", (0.94, 0.0, 0.48, 0.0), ("#8FB55A", "#1F4A22"), "streaks", 0.0, 0.4),
)


def draw_samples(folder: str | Path, *, varieties: int, per_variety: int, seed: int) -> list[str]:
    """Draw photos into `folder`, one sub-folder a variety, and return their paths relative to it.

    Photo m of variety v depends on `seed`, v and m only: a larger sample contains the smaller one, byte for byte.
    `UsageError` for numbers out of range, `OutputError` where `folder` is not empty or cannot be written.
    """
    if varieties < 1 or per_variety < 1 or seed < 0:
        raise UsageError("--varieties and --per-variety must be at least 1, and --seed at least 0")
    root, paths = Path(folder), list[str]()
    try:
        root.mkdir(parents=True, exist_ok=True)
        if any(root.iterdir()):
            raise OutputError(f"{root}: not empty: choose another --output")
        for v in range(varieties):
            variety = variety_at(v, seed)
            (root / variety.name).mkdir()
            for m in range(per_variety):
                paths.append(f"{variety.name}/{m}_{SIDE}.jpg")
                (root / paths[-1]).write_bytes(draw_photo(variety, np.random.default_rng([seed, v, m])))
    except OSError as exc:
        raise OutputError(f"{root}: {exc.strerror}: choose another --output") from exc
    return paths


def variety_at(v: int, seed: int) -> Variety:
    """Variety number `v`: a real fruit for the first ones, then an invented one."""
    if v < len(KNOWN):
        return KNOWN[v]
    rng = np.random.default_rng([seed, v])
    hue = v * 0.618 % 1 * 202 - 79  # degrees: from purple over red to green
    shape = (rng.uniform(0.4, 1), rng.uniform(-0.3, 0.4), rng.uniform(0.4, 0.7), rng.uniform(0, 0.4) * (v % 3 == 0))
    second = hue + rng.uniform(-36, 36)
    colors = (f"hsv({hue % 360:.0f},75%,{rng.uniform(40, 90):.0f}%)", f"hsv({second % 360:.0f},75%,90%)")
    pattern = ("blush", "streaks", "patches", "tips", "crown")[v % 5]
    return Variety(f"Fruit {v + 1:03d}", shape, colors, pattern, rng.uniform(-0.5, 0.5), rng.uniform())


def draw_photo(variety: Variety, rng: Generator) -> bytes:
    """One photo as JPEG bytes: a turn, a size, a light and a skin of its own."""
    angle, size = rng.normal(0, 0.5), rng.uniform(0.8, 0.95)
    y, x = np.mgrid[1 : -1 : SIDE * 1j, -1 : 1 : SIDE * 1j] / size
    x, y = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    cover, normal = _solid(variety.shape, x, y)
    around = np.arctan2(normal[..., 0], normal[..., 2]) + rng.uniform(0, 2 * np.pi)
    skin = _skin(variety, around, np.clip(y, -1, 1), rng)
    light = np.array([rng.uniform(-0.7, 0.4), rng.uniform(0.2, 0.8), 1.0])
    photo = cover * _shade(skin, normal, light, variety.gloss) + (1 - cover)
    Image.fromarray((photo * 255).astype(np.uint8)).save(buffer := BytesIO(), "JPEG", quality=90)
    return buffer.getvalue()


def _solid(shape: tuple[float, float, float, float], x: Plane, y: Plane) -> tuple[Plane, Plane]:
    """Share of each pixel that the fruit covers, (SIDE, SIDE, 1), and its unit normals, (SIDE, SIDE, 3)."""
    width, belly, blunt, bend = shape
    x = x + bend * (y**2 - 0.4)
    along = np.linspace(-1, 1, 257)
    half = width * (1 - along**2) ** blunt * (1 - belly * along)
    reach, slope = np.interp(y, along, half), np.interp(y, along, np.gradient(half, along))
    across = np.clip(x / np.maximum(reach, 1e-6), -1, 1)
    normal = np.stack([across, -slope, np.sqrt(1 - across**2)], axis=-1)
    inside = np.minimum((reach - np.abs(x)) / np.hypot(1, slope), 1 - np.abs(y))[..., np.newaxis]
    return np.clip(inside * SIDE / 2 + 0.5, 0, 1), normal / np.linalg.norm(normal, axis=-1, keepdims=True)


def _skin(variety: Variety, around: Plane, along: Plane, rng: Generator) -> Plane:
    """Colors before any light, (SIDE, SIDE, 3)."""
    wave, noise = np.cos(around), _noise(rng, 8)
    where = {
        "blush": wave + 0.5 * noise,
        "streaks": np.cos(9 * around + 2 * noise) + wave - 0.3,
        "patches": noise + 0.5 * _noise(rng, 16),
        "tips": 8 * np.abs(along) - 7 + 0.5 * noise,
        "crown": 8 * along - 5.5 + 2 * np.cos(6 * around),
    }[variety.pattern]
    share: Plane = np.clip(where + 0.5, 0, 1)[..., np.newaxis]
    skin, pattern = (np.array(ImageColor.getrgb(color)) / 255 for color in variety.colors)
    color = (skin * (1 - share) + pattern * share) * rng.normal(1, 0.03, 3)  # the last: white balance
    dots: Plane = variety.spots * np.clip(3 * _noise(rng, 33) - 1.2, 0, 1)
    lightness: Plane = 1 + 0.08 * noise + 0.05 * _noise(rng, 50) + np.where(dots > 0, 2, 1) * dots
    return color * lightness[..., np.newaxis]


def _shade(color: Plane, normal: Plane, light: Plane, gloss: float) -> Plane:
    """The skin under the light, with a highlight as sharp as it is glossy."""
    light = light / np.linalg.norm(light)
    middle = np.add(light, (0, 0, 1))
    facing = np.clip(normal @ light, 0, 1)[..., np.newaxis]
    mirror = np.clip(normal @ middle / np.linalg.norm(middle), 0, 1)[..., np.newaxis]
    lit: Plane = color * (0.3 + 0.8 * facing) + gloss * (0.7 * mirror**70 + 0.2 * mirror**9)
    return np.clip(lit, 0, 1)


def _noise(rng: Generator, cells: int) -> Plane:
    """Smooth noise of about -1 to 1, with `cells` bumps across the photo."""
    coarse = Image.fromarray(rng.uniform(-1, 1, (cells, cells)).astype(np.float32))
    return np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.float64)
