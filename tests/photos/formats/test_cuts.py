"""`decode` of files that were cut, filled up with zeros or damaged, in every format."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from orchard.errors import PhotoError
from orchard.photos.decoding import decode
from orchard.photos.photo import REASONS
from PIL import Image

from tests.photos.writers import encode, picture, tiff

SIZE = (32, 24)


def _exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "x" * 3000
    return exif


@functools.cache
def files() -> dict[str, bytes]:
    plain = picture()
    grey = Image.fromarray(np.asarray(plain)[..., 0].astype(np.uint16) << 8)

    def several() -> dict[str, object]:
        return {"save_all": True, "append_images": [picture().rotate(180)]}  # a new one: saving leaves traces in it

    drawn: dict[str, tuple[Image.Image, str, dict[str, object]]] = {
        "jpg": (plain, "JPEG", {}),
        "jpg exif": (plain, "JPEG", {"exif": _exif()}),
        "jpg progressive": (plain, "JPEG", {"progressive": True}),
        "jpg cmyk": (plain.convert("CMYK"), "JPEG", {}),
        "mpo": (plain, "MPO", several()),
        "png": (plain, "PNG", {}),
        "png exif": (plain, "PNG", {"exif": _exif()}),
        "png 16 bits": (grey, "PNG", {}),
        "png palette": (plain.quantize(64), "PNG", {}),
        "apng": (plain, "PNG", several()),
        "gif": (plain, "GIF", {}),
        "gif animated": (plain, "GIF", several()),
        "webp": (plain, "WEBP", {}),
        "webp lossless": (plain, "WEBP", {"lossless": True, "exif": _exif()}),
        "webp animated": (plain, "WEBP", several()),
        "avif": (plain, "AVIF", {}),
        "avif exif": (plain, "AVIF", {"exif": _exif()}),
        "bmp": (plain, "BMP", {}),
        "bmp palette": (plain.quantize(16), "BMP", {}),
        "ico": (plain, "ICO", {}),
        "tif": (plain, "TIFF", {}),
        "tif big": (plain, "TIFF", {"big_tiff": True}),
        "tif pages": (plain, "TIFF", several()),
        "tif fax": (plain.convert("1"), "TIFF", {"compression": "group4"}),
        "tif 16 bits": (grey, "TIFF", {"compression": "tiff_lzw"}),
        "tif strips": (plain, "TIFF", {"compression": "tiff_lzw", "tiffinfo": {278: 4}}),
        **{
            f"tif {kind}": (plain, "TIFF", {"compression": kind})
            for kind in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "zstd", "lzma")
        },
    }
    encoded = {name: encode(image, kind, **options) for name, (image, kind, options) in drawn.items()}
    colors, real = np.asarray(plain).astype(np.uint16), np.asarray(plain)[..., 0].astype(np.float32)
    tiffs = {"tif real": tiff(real, 1), "tif wide": tiff(colors, 2), "tif deflated": tiff(colors, 2, deflate=True)}
    return {**encoded, **tiffs, "tif planes": tiff(np.asarray(plain), 2, planar=True)}


NAMES = st.sampled_from(sorted(files()))
FEW = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def silent(capfd: pytest.CaptureFixture[str]) -> object:
    """Nothing may be written to the terminal in any of these tests."""
    yield
    assert capfd.readouterr() == ("", "")


def assert_truncated_or_same(content: bytes, end: int) -> None:
    try:
        pixels = decode(content[:end], SIZE)
    except PhotoError as error:
        reason, detail = error.reason, error.detail
    else:
        np.testing.assert_array_equal(pixels, decode(content, SIZE))
        return
    assert reason == "truncated", (end, detail)


@FEW
@given(NAMES, st.floats(0, 1, exclude_max=True))
def test_decode_of_a_cut_file(name: str, share: float) -> None:
    content = files()[name]
    assert_truncated_or_same(content, 1 + int(share * (len(content) - 1)))


@pytest.mark.parametrize("name", sorted(files()))
def test_decode_of_a_file_cut_at_its_ends(name: str) -> None:
    content = files()[name]
    for end in (*range(1, 40), *range(len(content) - 12, len(content))):
        assert_truncated_or_same(content, end)


@FEW
@given(NAMES, st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=8))
def test_decode_of_a_damaged_file(name: str, changes: list[tuple[float, int]]) -> None:
    content = bytearray(files()[name])
    for share, value in changes:
        content[int(share * len(content))] = value
    reason, detail = "", "fine"
    try:
        assert decode(bytes(content), SIZE).shape == (24, 32, 3)
    except PhotoError as error:
        reason, detail = error.reason, error.detail
    assert reason in ("", *REASONS)
    assert detail


@given(st.binary(max_size=300))
@example(b"")
def test_decode_of_any_bytes(content: bytes) -> None:
    with pytest.raises(PhotoError):
        decode(content, SIZE)


@pytest.mark.parametrize("name", ["jpg", "jpg progressive", "png", "gif"])
def test_decode_of_a_file_filled_up_with_zeros(name: str) -> None:
    content = files()[name]
    kept = len(content) * 2 // 3
    with pytest.raises(PhotoError) as raised:
        decode(content[:kept].ljust(len(content), b"\0"), SIZE)
    assert raised.value.reason in ("truncated", "undecodable")


@pytest.mark.parametrize("filler", [b"\0", b"\xff"])
@pytest.mark.parametrize("name", ["png", "png 16 bits", "png palette", "webp", "webp lossless", "bmp"])
def test_decode_of_a_bad_header(name: str, filler: bytes) -> None:
    content = files()[name]
    with pytest.raises(PhotoError) as raised:
        decode(content[:18] + filler * 40 + content[58:], SIZE)
    assert raised.value.reason in ("undecodable", "too_large")  # what the header says may be a size


def test_detail_has_what_a_library_wrote() -> None:
    content = bytearray(files()["tif jpeg"])
    start = content.index(b"\xff\xd8")
    content[start : start + 200] = b"\1" * 200
    with pytest.raises(PhotoError) as raised:
        decode(bytes(content), SIZE)
    assert raised.value.reason == "undecodable"
    assert "JPEG" in raised.value.detail
    assert "\n" not in raised.value.detail


def test_decode_of_every_whole_file() -> None:
    for content in files().values():
        assert decode(content, SIZE).std() > 10
