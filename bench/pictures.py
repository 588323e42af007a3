"""Pictures that no classifier of fruit was trained on: drawn ones, and photos that Python packages ship."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SIDE, EACH = 200, 16
# Package -> where its photos are; scikit-image has a cat, a coffee cup, a motorcycle before shelves, and others.
PHOTOS = {"sklearn": "datasets/images/*.jpg", "matplotlib": "mpl-data/sample_data/*.jpg", "skimage": "data/*.[jp][pn]g"}
CROPS = 6
_SKIN = ("#e0ac69", "#8d5524", "#f1c27d", "#ffdbac")
Random = np.random.Generator


def write_pictures(folder: Path) -> int:
    """Write them as PNG, one sub-folder a kind; returns how many. The same each time."""
    random, count = np.random.default_rng(0), 0
    for kind, picture in [*_drawn(random), *_photos(random)]:
        (folder / kind).mkdir(parents=True, exist_ok=True)
        picture.convert("RGB").save(folder / kind / f"{count}.png")
        count += 1
    return count


def _drawn(random: Random) -> Iterator[tuple[str, Image.Image]]:
    for value in range(0, 256, 17):  # from black to white
        yield "grey", Image.new("RGB", (SIDE, SIDE), (value, value, value))
    for number in range(EACH):
        yield "one colour", Image.new("RGB", (SIDE, SIDE), _colour(random))
        side = (8, 20, 50, 100)[number % 4]
        yield "noise", Image.fromarray(random.integers(0, 256, (side, side, 3), np.uint8))
        yield "gradient", _gradient(random)
        yield "boxes", _boxes(random)
        yield "text", _text(random)
        yield "hand", _hand(random, _SKIN[number % len(_SKIN)])


def _colour(random: Random) -> tuple[int, int, int]:
    red, green, blue = random.integers(0, 256, 3).tolist()
    return red, green, blue


def _gradient(random: Random) -> Image.Image:
    first, last = random.integers(0, 256, (2, 3))
    share = np.linspace(0, 1, SIDE)[:, np.newaxis, np.newaxis] * np.ones((1, SIDE, 1))
    return Image.fromarray((first * (1 - share) + last * share).astype(np.uint8))


def _boxes(random: Random) -> Image.Image:
    picture = Image.new("RGB", (SIDE, SIDE), "white")
    for x, y, width, height in random.integers(20, 120, (5, 4)).tolist():
        ImageDraw.Draw(picture).rectangle((x, y, x + width, y + height), fill=_colour(random))
    return picture


def _text(random: Random) -> Image.Image:
    picture = Image.new("RGB", (SIDE, SIDE), "white")
    for row, letters in enumerate(random.integers(97, 123, (10, 30))):
        ImageDraw.Draw(picture).text((5, 5 + 18 * row), "".join(map(chr, letters)), fill="black")
    return picture


def _hand(random: Random, skin: str) -> Image.Image:
    """A palm, four fingers and a thumb on white."""
    picture, left = Image.new("RGB", (300, 300), "white"), int(random.integers(80, 120))
    draw = ImageDraw.Draw(picture)
    draw.rounded_rectangle((left, 140, left + 110, 290), 40, fill=skin)
    for finger, top in enumerate(random.integers(40, 80, 4).tolist()):
        draw.rounded_rectangle((left + 28 * finger, top, left + 28 * finger + 22, 200), 11, fill=skin)
    draw.line((left + 100, 240, left + 160, 160), fill=skin, width=26)
    return picture.rotate(float(random.uniform(-40, 40)), fillcolor="white")


def _photos(random: Random) -> Iterator[tuple[str, Image.Image]]:
    """Each photo of the packages that are installed, whole and in squares cut from it."""
    for package, pattern in PHOTOS.items():
        found = importlib.util.find_spec(package)
        for path in sorted(Path(found.origin).parent.glob(pattern)) if found and found.origin else []:
            picture = Image.open(path).convert("RGB")
            yield f"{package} {path.stem}", picture
            for share in random.uniform(0.4, 0.9, CROPS):
                side = int(share * min(picture.size))
                left, top = (int(random.integers(0, length - side + 1)) for length in picture.size)
                yield f"{package} {path.stem}", picture.crop((left, top, left + side, top + side))
