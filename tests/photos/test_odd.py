"""Every row of ../shared/odd/EXPECTED.md. The same kinds are drawn in the other tests."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from orchard.errors import PhotoError
from orchard.photos.decoding import Pixels, decode
from orchard.photos.photo import Listing
from orchard.photos.source import open_source

SIZE = (224, 224)


def listing(folder: Path) -> Listing:
    return open_source(str(folder)).list()


def pixels(odd: Path, name: str) -> np.ndarray:
    found: Pixels = decode((odd / "photos" / name).read_bytes(), SIZE)
    return found.astype(int)


def reasons(folder: Path) -> dict[str, str]:
    source, found = open_source(str(folder)), {}
    for photo in source.list().photos:
        try:
            decode(source.read(photo.path, listed=photo), SIZE)
        except PhotoError as error:
            found[photo.path] = error.reason
    return found


@pytest.mark.parametrize(
    "name",
    [
        "grey_8bit_in_16bit.png",
        "grey_12bit_in_16bit.png",
        "grey_16bit.png",
        "grey_8bit_in_32bit.tif",
        "grey_float_0_to_1.tif",
    ],
)
def test_odd_wide_samples(odd: Path, name: str) -> None:
    np.testing.assert_allclose(pixels(odd, name), pixels(odd, "grey_8bit.png"), atol=1)


def test_odd_alpha(odd: Path) -> None:
    black, white = pixels(odd, "cutout_over_black.png"), pixels(odd, "cutout_over_white.png")
    np.testing.assert_array_equal(black, white)
    assert (black[:20] == 255).all()


@pytest.mark.parametrize(("suffix", "loss"), [("png", 0), ("tif", 0), ("webp", 0), ("jpg", 6)])
def test_odd_orientation(odd: Path, suffix: str, loss: int) -> None:
    np.testing.assert_allclose(pixels(odd, f"turned.{suffix}"), pixels(odd, "upright.png"), atol=loss)


@pytest.mark.parametrize("name", ["motion_photo.jpg", "named_wrong.jpg", "avif_named.jpg"])
def test_odd_decodable(odd: Path, name: str) -> None:
    assert pixels(odd, name).std() > 10


@pytest.mark.parametrize(
    ("folder", "count", "reason"),
    [("cut", 7, "truncated"), ("broken", 1, "undecodable"), ("no_image", 7, "not_an_image")],
)
def test_odd_reasons(odd: Path, folder: str, count: int, reason: str) -> None:
    found = reasons(odd / folder)
    assert len(found) == count
    assert set(found.values()) == {reason}


def test_odd_nothing_reaches_the_terminal(odd: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for folder in ("photos", "cut", "broken", "no_image"):
        reasons(odd / folder)
    assert capfd.readouterr() == ("", "")


def test_odd_phone_names(odd: Path) -> None:
    found = listing(odd / "names" / "phone")
    assert sorted(photo.path for photo in found.photos) == ["b.avif", "c.jfif", "d.jpe", "g.JPG"]
    assert found.skipped == {".heic": 1, ".dng": 1, "no suffix": 1}


def test_odd_system_folders(odd: Path) -> None:
    found = listing(odd / "names" / "nas")
    assert [photo.path for photo in found.photos] == ["e.jpg"]
    assert found.skipped == {"system folder": 5, "hidden": 1, ".jpg~": 1, ".part": 1}


def test_odd_names(odd: Path) -> None:
    found = listing(odd / "names" / "odd")
    assert len(found.photos) == 12
    assert found.skipped == {}
    assert reasons(odd / "names" / "odd") == {}


def test_odd_bad_names(odd: Path) -> None:
    assert [*reasons(odd / "names" / "latin1").values()] == ["bad_name"]


def test_odd_unicode_labels(odd: Path) -> None:
    photos = listing(odd / "names" / "unicode").photos
    assert {photo.label for photo in photos} == {"P\xeache"}
    assert len(photos) == 2
    assert all((odd / "names" / "unicode" / photo.path).exists() for photo in photos)


def test_odd_links(odd: Path) -> None:
    photos = listing(odd / "names" / "links").photos
    assert {photo.path: (photo.size, photo.modified) for photo in photos}["dangling.jpg"] == (0, 0)
    assert reasons(odd / "names" / "links")["dangling.jpg"] == "gone"
    assert len({os.path.realpath(odd / "names" / "links" / photo.path) for photo in photos}) == len(photos)
