"""Drawn photos of fruit: a small stand-in for a real data set, behind `orchard sample`.

Each photo is a shaded solid on white, 100 x 100 pixels, as in Fruits-360. How one is drawn, in order: a variety's solid gives every pixel
its surface (`ball`, `spindle`, `bow`), the variety's skin colours that surface (`_paint`), a light shades it (`_shade`), and the result
is laid over white with its stem (`_compose`).
"""

from __future__ import annotations

import colorsys
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from orchard.errors import OutputError, UsageError

Plane = NDArray[np.float64]

SIDE = 100
_PIXEL = 2 / SIDE  # the width of a pixel where the photo spans -1 to 1
_BROWN, _GREEN = 0x54381F, 0x4A7A2B


@dataclass(frozen=True, kw_only=True)
class Pose:
    """How one photo differs from the next of its variety.

    Attributes:
        angle: turn in the plane of the photo, radians.
        tilt: how far the stem's end leans towards the viewer, radians; negative leans it away.
        roll: turn around the fruit's own axis, radians.
        size: half the fruit's length; 1 would fill the photo.
        light: unit vector towards the light.
    """

    angle: float
    tilt: float
    roll: float
    size: float
    light: tuple[float, float, float]


@dataclass(frozen=True)
class Surface:
    """What each pixel shows of a solid; every array is float64 (SIDE, SIDE).

    Attributes:
        cover: share of the pixel that the solid covers, 0 to 1.
        normal: unit normals as x (right), y (up), z (to the viewer), in the fruit's own frame.
        along: -1 at the blossom end to 1 at the stem's end.
        around: longitude on the fruit, radians.
    """

    cover: Plane
    normal: tuple[Plane, Plane, Plane]
    along: Plane
    around: Plane


Solid = Callable[[Plane, Plane, Pose], Surface]


@dataclass(frozen=True)
class Variety:
    """How a variety looks.

    Attributes:
        name: its folder.
        solid: the shape.
        skin, second: two colours, 0xRRGGBB; `pattern`, a key of `PATTERNS`, says where the second one goes.
        marks: what is on the skin, a key of `MARKS`.
        gloss: 0 for velvet to 1 for wax.
        stem: its colour, or None; `stem_length` is to half the fruit's length.
        lean, sway: range of `Pose.tilt`, and the largest `Pose.angle` to either side.
    """

    name: str
    solid: Solid
    skin: int
    second: int
    pattern: str
    marks: str = "none"
    gloss: float = 0.5
    stem: int | None = _BROWN
    stem_length: float = 0.2
    lean: tuple[float, float] = (-0.2, 0.9)
    sway: float = 0.5


def draw_samples(folder: str | Path, *, varieties: int, per_variety: int, seed: int) -> list[str]:
    """Draw photos into `folder`, one sub-folder a variety, and return their paths relative to it.

    Photo m of variety v depends on `seed`, v and m only: asking for more keeps the ones there were, byte for byte.

    Raises:
        UsageError: fewer than one variety or photo, or a negative seed.
        OutputError: `folder` is a file, is not empty, or cannot be written.
    """
    if varieties < 1 or per_variety < 1 or seed < 0:
        raise UsageError("--varieties and --per-variety must be at least 1, and --seed at least 0")
    root = Path(folder)
    _claim(root)
    paths: list[str] = []
    for v in range(varieties):
        variety = variety_at(v, seed)
        for m in range(per_variety):
            path = f"{variety.name}/{m}_{SIDE}.jpg"
            _write(root / path, draw_photo(variety, np.random.default_rng([seed, v, m])))
            paths.append(path)
    return paths


def variety_at(v: int, seed: int) -> Variety:
    """Variety number `v`: a real fruit for the first ones, then an invented one."""
    return KNOWN[v] if v < len(KNOWN) else _invent(v, np.random.default_rng([seed, v]))


def draw_photo(variety: Variety, rng: np.random.Generator) -> bytes:
    """One photo as JPEG bytes."""
    pose = _pose(variety, rng)
    surface = variety.solid(*_frame(pose), pose)
    skin = _shade(_paint(variety, surface, rng), surface, pose, gloss=variety.gloss)
    pixels = _compose(variety, skin, surface, pose)
    buffer = BytesIO()
    Image.fromarray((pixels * 255 + 0.5).astype(np.uint8)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _claim(root: Path) -> None:
    """Make the folder, or accept an empty one."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        in_the_way = next(root.iterdir(), None)
    except OSError as exc:
        raise OutputError(f"cannot use {root} for samples ({exc.strerror}): choose another --output") from exc
    if in_the_way is not None:
        raise OutputError(
            f"{root} is not empty (it holds {in_the_way.name!r}): choose another --output, or empty it first"
        )


def _write(path: Path, data: bytes) -> None:
    """Write under a hidden name, then rename: a reader, or a kill, never leaves half a photo under `path`."""
    partial = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(exist_ok=True)
        partial.write_bytes(data)
        os.replace(partial, path)
    except OSError as exc:
        raise OutputError(f"cannot write {path} ({exc.strerror}): free some space, or choose another --output") from exc


# --- The view -------------------------------------------------------------------------------------------------------------------------


def _pose(variety: Variety, rng: np.random.Generator) -> Pose:
    """A view of the variety, and a light from above, mostly from the left."""
    light = np.array([rng.uniform(-0.75, 0.35), rng.uniform(0.25, 0.8), 1.0])
    x, y, z = (light / np.linalg.norm(light)).tolist()
    return Pose(
        angle=float(rng.uniform(-variety.sway, variety.sway)),
        tilt=float(rng.uniform(*variety.lean)),
        roll=float(rng.uniform(0, 2 * math.pi)),
        size=float(rng.uniform(0.82, 0.96)),
        light=(x, y, z),
    )


def _frame(pose: Pose) -> tuple[Plane, Plane]:
    """The photo's pixel centres in the fruit's own frame: x across, y towards the stem's end, 1 at the fruit's end."""
    ticks = (np.arange(SIDE) + 0.5) * _PIXEL - 1
    x, y = np.meshgrid(ticks, -ticks)
    sin, cos = math.sin(pose.angle), math.cos(pose.angle)
    return (x * cos + y * sin) / pose.size, (y * cos - x * sin) / pose.size


# --- Solids ---------------------------------------------------------------------------------------------------------------------------


def ball(*, height: float = 0.9, dip: float = 0.0, taper: float = 0.0) -> Solid:
    """A round fruit seen from any side: `height` to width, a `dip` at the stem, and a `taper` towards the blossom end."""

    def solid(x: Plane, y: Plane, pose: Pose) -> Surface:
        lean = math.cos(pose.tilt)
        y = y / (1 + (height - 1) * lean)  # seen from above, any fruit is round
        x = x / (1 + taper * lean * np.clip(y, -1, 1))
        theta = np.arctan2(x, y)
        notch = dip * lean * (np.exp(-((theta / 0.42) ** 2)) + 0.5 * np.exp(-(((np.abs(theta) - math.pi) / 0.35) ** 2)))
        radius = np.hypot(x, y) / (1 - notch)
        z = np.sqrt(np.clip(1 - radius**2, 0, None))
        return _turned(_coverage((1 - radius) * pose.size), _unit(x, y, z), None, pose)

    return solid


def spindle(width: float, *, belly: float = 0.0, waist: float = 0.0, tip: float = 0.5) -> Solid:
    """A long fruit, the same all around: `belly` moves the widest part to the blossom end, `waist` narrows it, a lower `tip` blunts it."""
    t = np.linspace(-1, 1, 257)
    half = width * (1 - t**2) ** tip * (1 - belly * t + waist * t**2)
    slope = np.gradient(half, t)

    def solid(x: Plane, y: Plane, pose: Pose) -> Surface:
        along = np.clip(y, -1, 1)
        reach, tangent = np.interp(along, t, half), np.interp(along, t, slope)
        across = np.clip(x / np.maximum(reach, 1e-6), -1, 1)
        z = np.sqrt(1 - across**2)
        inside = np.minimum((reach - np.abs(x)) / np.hypot(1, tangent), 1 - np.abs(y))
        return _turned(_coverage(inside * pose.size), _unit(across, -tangent, z), along, pose)

    return solid


def bow(width: float, *, bend: float) -> Solid:
    """A long fruit whose axis is an arc of radius `bend`."""
    span = math.asin(min(1.0, 0.97 / bend))

    def solid(x: Plane, y: Plane, pose: Pose) -> Surface:
        centred = x + bend - 0.5 * bend * (1 - math.cos(span))
        along = np.arctan2(y, centred) / span
        reach = width * np.clip(1 - np.abs(along) ** 3.2, 0, None) ** 0.5
        off = np.hypot(centred, y) - bend
        across = np.clip(off / np.maximum(reach, 1e-6), -1, 1)
        inside = np.minimum(reach - np.abs(off), (1 - np.abs(along)) * span * bend)
        turn = along * span
        normal = _unit(across * np.cos(turn), across * np.sin(turn), np.sqrt(1 - across**2))
        return _turned(_coverage(inside * pose.size), normal, np.clip(along, -1, 1), pose)

    return solid


def _coverage(inside: Plane) -> Plane:
    """Share of each pixel that is covered, from the distance inside the outline: the edge is one pixel soft."""
    return np.clip(inside / _PIXEL + 0.5, 0, 1)


def _unit(x: Plane, y: Plane, z: Plane) -> tuple[Plane, Plane, Plane]:
    length = np.sqrt(x * x + y * y + z * z) + 1e-9
    return x / length, y / length, z / length


def _turned(cover: Plane, normal: tuple[Plane, Plane, Plane], along: Plane | None, pose: Pose) -> Surface:
    """The surface with its place on the fruit: `along` as the solid gives it, else read off the normal and the tilt."""
    x, y, z = normal
    sin, cos = math.sin(pose.tilt), math.cos(pose.tilt)
    around = np.arctan2(x, z * cos - y * sin) + pose.roll
    return Surface(cover, normal, y * cos + z * sin if along is None else along, around)


# --- Skin -----------------------------------------------------------------------------------------------------------------------------


def _paint(variety: Variety, surface: Surface, rng: np.random.Generator) -> Plane:
    """Skin colours before any light, float64 (SIDE, SIDE, 3)."""
    share = np.clip(PATTERNS[variety.pattern](surface, rng), 0, 1)[..., None]
    shift = 1 + 0.03 * rng.standard_normal(3)  # no two photos share their white balance and exposure
    color = (_rgb(variety.skin) * (1 - share) + _rgb(variety.second) * share) * shift
    mottle = 1 + 0.06 * _noise(rng, 7) + 0.025 * _noise(rng, 50)
    return MARKS[variety.marks](color * mottle[..., None], surface, rng)


def _rgb(code: int) -> Plane:
    """0xRRGGBB as three shares, float64 (3,)."""
    return np.array([code >> 16, code >> 8 & 255, code & 255]) / 255


def _noise(rng: np.random.Generator, cells: int) -> Plane:
    """Smooth noise of about -1 to 1, with `cells` bumps across the photo."""
    coarse = Image.fromarray(rng.uniform(-1, 1, (cells, cells)).astype(np.float32))
    return np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC), dtype=np.float64)


def _dots(rng: np.random.Generator, number: int) -> Plane:
    """That many soft dots, 3 pixels wide, anywhere in the photo: 1 at their middle, 0 outside."""
    middle = np.zeros((SIDE, SIDE))
    middle[rng.integers(0, SIDE, number), rng.integers(0, SIDE, number)] = rng.uniform(0.4, 1, number)
    beside = np.roll(middle, 1, 0) + np.roll(middle, -1, 0) + np.roll(middle, 1, 1) + np.roll(middle, -1, 1)
    return np.clip(middle + 0.5 * beside, 0, 1)


def _step(value: Plane, start: float, end: float) -> Plane:
    """0 before `start`, 1 after `end`, smooth between."""
    t = np.clip((value - start) / (end - start), 0, 1)
    return t * t * (3 - 2 * t)


def _streaks(surface: Surface, rng: np.random.Generator) -> Plane:
    """Lines from pole to pole, on one side more than on the other."""
    knots = np.linspace(0, 2 * math.pi, 110, endpoint=False)
    lines = np.interp(surface.around, knots, rng.uniform(-1, 1, len(knots)), period=2 * math.pi)
    return 0.2 + 0.42 * np.cos(surface.around) + (0.22 + 0.1 * _noise(rng, 12)) * lines + 0.15 * _noise(rng, 6)


def _bands(surface: Surface, rng: np.random.Generator) -> Plane:
    """Ten bands from pole to pole with ragged edges."""
    return _step(np.cos(10 * surface.around + 0.8 * _noise(rng, 14)), -0.1, 0.5)


Pattern = Callable[[Surface, np.random.Generator], Plane]
PATTERNS: dict[str, Pattern] = {
    "plain": lambda surface, rng: 0.25 + 0.25 * _noise(rng, 5),
    "blush": lambda surface, rng: _step(np.cos(surface.around) + 0.35 * _noise(rng, 9), -0.3, 0.9),
    "top": lambda surface, rng: _step(surface.along + 0.15 * _noise(rng, 9), 0.35, 1.0),
    "tips": lambda surface, rng: _step(np.abs(surface.along) + 0.04 * _noise(rng, 20), 0.8, 0.97),
    "patches": lambda surface, rng: 0.4 + 0.3 * _noise(rng, 6) + 0.2 * _noise(rng, 13),
    "streaks": _streaks,
    "bands": _bands,
}


def _pale_dots(color: Plane, surface: Surface, rng: np.random.Generator) -> Plane:
    return color + 0.3 * _dots(rng, 55)[..., None] * (1 - color)


def _dark_dots(color: Plane, surface: Surface, rng: np.random.Generator) -> Plane:
    return color * (1 - 0.4 * _dots(rng, 70))[..., None]


def _pores(color: Plane, surface: Surface, rng: np.random.Generator) -> Plane:
    return color * (1 + 0.10 * _noise(rng, 48))[..., None]


def _fuzz(color: Plane, surface: Surface, rng: np.random.Generator) -> Plane:
    rim = 1 - surface.normal[2]
    return color * (1 + 0.09 * rng.uniform(-1, 1, (SIDE, SIDE)))[..., None] + 0.10 * rim[..., None]


def _seeds(color: Plane, surface: Surface, rng: np.random.Generator) -> Plane:
    """Rows of pale seeds, each row half a step on from the last."""
    row = surface.along * 6.5
    offset = math.pi * (np.floor(row) % 2)
    lattice: Plane = np.cos(9 * surface.around + offset) * np.abs(np.sin(math.pi * row))
    spot: Plane = _step(lattice, 0.72, 0.92)[..., None]
    pit: Plane = _step(lattice, 0.3, 0.7)[..., None]
    return color * (1 - 0.22 * pit) * (1 - spot) + spot * _rgb(0xEDC76B)


def _crown(color: Plane, surface: Surface, rng: np.random.Generator) -> Plane:
    """Five green leaves around the stem."""
    reach = 0.75 * (0.62 + 0.38 * np.cos(5 * surface.around))
    leaf = _step(reach - np.arccos(np.clip(surface.along, -1, 1)), -0.04, 0.05)[..., None]
    return color * (1 - leaf) + _rgb(_GREEN) * leaf


def _seeds_and_crown(color: Plane, surface: Surface, rng: np.random.Generator) -> Plane:
    return _crown(_seeds(color, surface, rng), surface, rng)


Marks = Callable[[Plane, Surface, np.random.Generator], Plane]
MARKS: dict[str, Marks] = {
    "none": lambda color, surface, rng: color,
    "pale dots": _pale_dots,
    "dark dots": _dark_dots,
    "pores": _pores,
    "fuzz": _fuzz,
    "crown": _crown,
    "seeds and crown": _seeds_and_crown,
}


# --- Light and stem -------------------------------------------------------------------------------------------------------------------


def _shade(color: Plane, surface: Surface, pose: Pose, *, gloss: float) -> Plane:
    """The skin under the light: soft shadow, darker rim, and a highlight as sharp as the skin is glossy."""
    sin, cos = math.sin(pose.angle), math.cos(pose.angle)
    x, y, z = surface.normal
    x, y = x * cos - y * sin, x * sin + y * cos  # back to the photo's frame, where the light is
    facing: Plane = np.clip(x * pose.light[0] + y * pose.light[1] + z * pose.light[2], 0, 1)
    half = np.array(pose.light) + np.array([0.0, 0.0, 1.0])
    half = half / np.linalg.norm(half)
    mirror = np.clip(x * half[0] + y * half[1] + z * half[2], 0, 1)
    body: Plane = color * (0.38 + 0.74 * facing * (0.75 + 0.25 * z))[..., None]
    shine: Plane = gloss * (0.75 * mirror**70 + 0.18 * mirror**9)
    return np.clip(body + shine[..., None] * (1 - 0.3 * body), 0, 1)


def _compose(variety: Variety, skin: Plane, surface: Surface, pose: Pose) -> Plane:
    """Fruit and stem over white: the stem in front when its end leans towards the viewer, behind when it leans away."""
    white = np.ones((SIDE, SIDE, 3))
    cover = surface.cover[..., None]
    if variety.stem is None:
        return white * (1 - cover) + skin * cover
    stem = _stem(variety, surface, pose)[..., None]
    color = _rgb(variety.stem) * 0.9
    if pose.tilt < 0.05:
        canvas = white * (1 - stem) + color * stem
        return canvas * (1 - cover) + skin * cover
    canvas = white * (1 - cover) + skin * cover
    return canvas * (1 - stem) + color * stem


def _stem(variety: Variety, surface: Surface, pose: Pose) -> Plane:
    """Coverage of a stem that starts where the axis leaves the fruit and thickens to its end."""
    x, y = _frame(pose)
    rim = float(np.max(y, initial=0.0, where=(surface.cover > 0.5) & (np.abs(x) < 0.05)))
    base = min(0.8 * math.cos(pose.tilt), rim - 0.08)
    length = variety.stem_length * (0.6 + 0.4 * math.cos(pose.tilt))
    lean = 0.35 * math.sin(pose.roll)
    t = np.clip(((y - base) + lean * x) / (length * (1 + lean**2)), 0, 1)
    distance = np.hypot(x - lean * length * t, y - base - length * t)
    return _coverage((0.03 + 0.015 * t - distance) * pose.size)


# --- Varieties ------------------------------------------------------------------------------------------------------------------------


_UPRIGHT = (-0.15, 0.15)
_ANY = math.pi

KNOWN = (
    Variety("Apple Red", ball(height=0.9, dip=0.13, taper=0.07), 0x9E1620, 0xDDAE4A, "streaks", "pale dots"),
    Variety("Banana", bow(0.3, bend=1.2), 0xE9C22F, 0x6F6A26, "tips", gloss=0.2, stem=None, sway=_ANY, lean=_UPRIGHT),
    Variety(
        "Orange",
        ball(height=0.97),
        0xEF8314,
        0xF6A02B,
        "plain",
        "pores",
        stem=0x5C7A32,
        stem_length=0.03,
        lean=(-0.4, 1.3),
    ),
    Variety(
        "Pear",
        spindle(0.52, belly=0.42, waist=0.12, tip=0.45),
        0xA9B445,
        0xC88A3C,
        "blush",
        "dark dots",
        gloss=0.3,
        lean=_UPRIGHT,
        stem_length=0.3,
    ),
    Variety(
        "Strawberry",
        spindle(0.72, belly=-0.42, tip=0.55),
        0xC4161C,
        0xE2573A,
        "top",
        "seeds and crown",
        stem=_GREEN,
        lean=(0.0, 0.35),
        sway=2.0,
    ),
    Variety(
        "Plum",
        spindle(0.76, tip=0.5, belly=0.08),
        0x3C1F4B,
        0x7A5A8C,
        "patches",
        gloss=0.35,
        stem_length=0.12,
        sway=1.5,
    ),
    Variety("Lemon", spindle(0.7, waist=0.12, tip=0.72), 0xF2D01F, 0xC9C235, "tips", "pores", stem=None, sway=_ANY),
    Variety("Kiwi", spindle(0.78, tip=0.48), 0x7A5A34, 0x5F4526, "tips", "fuzz", gloss=0.05, stem=None, sway=_ANY),
    Variety(
        "Cherry",
        ball(height=0.9, dip=0.15, taper=0.12),
        0x7E0A1E,
        0xA81A2C,
        "blush",
        gloss=0.95,
        stem=0x6E7B33,
        stem_length=0.55,
    ),
    Variety(
        "Lime",
        spindle(0.82, waist=-0.15, tip=0.46),
        0x4E8A22,
        0x8DB13A,
        "blush",
        "pores",
        gloss=0.55,
        stem=None,
        sway=_ANY,
    ),
    Variety(
        "Peach",
        ball(height=0.95, dip=0.1),
        0xE9A35A,
        0xC23E35,
        "blush",
        "fuzz",
        gloss=0.05,
        stem=None,
        lean=(-0.4, 1.2),
    ),
    Variety(
        "Tomato",
        ball(height=0.82, dip=0.1),
        0xC9230F,
        0xDB5A1C,
        "plain",
        "crown",
        gloss=0.9,
        stem=_GREEN,
        stem_length=0.12,
        lean=(0.3, 1.3),
    ),
    Variety(
        "Avocado",
        spindle(0.62, belly=0.3, tip=0.48),
        0x2F4420,
        0x4E6B2C,
        "patches",
        "pale dots",
        stem_length=0.06,
        lean=_UPRIGHT,
        sway=2.0,
    ),
    Variety(
        "Eggplant",
        spindle(0.46, belly=0.38, waist=0.05, tip=0.42),
        0x2A1230,
        0x4E8A3A,
        "top",
        gloss=0.9,
        stem=0x4E7A3A,
        lean=_UPRIGHT,
        sway=2.0,
    ),
    Variety("Blueberry", ball(height=0.9), 0x2E3D6B, 0x6F83B5, "patches", gloss=0.1, stem=None),
    Variety(
        "Watermelon",
        ball(height=0.96),
        0x8FB55A,
        0x1F4A22,
        "bands",
        gloss=0.4,
        stem=0x6E7B33,
        stem_length=0.08,
        lean=(-0.3, 0.8),
        sway=1.5,
    ),
)


def _invent(v: int, rng: np.random.Generator) -> Variety:
    """A fruit no one has seen: solids, patterns and marks in turn, hues spread by the golden ratio from purple over red to green."""
    hue = ((v * 0.618034) % 1 * 0.56 - 0.22) % 1
    bright = float(rng.uniform(0.45, 0.9))
    tall = {
        "width": float(rng.uniform(0.45, 0.85)),
        "belly": float(rng.uniform(-0.3, 0.45)),
        "waist": float(rng.uniform(-0.2, 0.15)),
    }
    round_ = {
        "height": float(rng.uniform(0.72, 1.0)),
        "dip": float(rng.uniform(0, 0.18)),
        "taper": float(rng.uniform(-0.05, 0.15)),
    }
    bent = {"width": float(rng.uniform(0.2, 0.3)), "bend": float(rng.uniform(1.0, 1.6))}
    return Variety(
        name=f"Fruit {v + 1:03d}",
        solid=(ball(**round_), spindle(**tall), ball(**round_), spindle(**tall), bow(**bent))[v % 5],
        skin=_hsv(hue, float(rng.uniform(0.55, 0.85)), bright),
        second=_hsv(hue + float(rng.uniform(-0.08, 0.08)), 0.6, min(1.0, bright + 0.15)),
        pattern=list(PATTERNS)[v % len(PATTERNS)],
        marks=("none", "pale dots", "dark dots", "pores", "fuzz")[v // 2 % 5],
        gloss=float(rng.uniform(0.1, 0.9)),
        stem=None if v % 5 == 4 or v % 3 == 0 else _BROWN,
        stem_length=float(rng.uniform(0.1, 0.4)),
        lean=(-0.2, 0.9) if v % 5 in (0, 2) else (-0.15, 0.15),
        sway=(0.5, math.pi)[v % 2],
    )


def _hsv(hue: float, saturation: float, value: float) -> int:
    red, green, blue = (round(255 * share) for share in colorsys.hsv_to_rgb(hue % 1, saturation, value))
    return red << 16 | green << 8 | blue
