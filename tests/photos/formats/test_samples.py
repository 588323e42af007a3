"""Samples of every width, in every word that holds them, against the same picture in 8 bits."""

from __future__ import annotations

import itertools
import re
from typing import Any

import numpy as np
import pytest
from orchard.errors import PhotoError
from orchard.photos.decoding import decode
from PIL import Image

from tests.photos.writers import PNG_GREY, PNG_LA, PNG_RGB, PNG_RGBA, encode, lzw, picture, png, tiff

SIZE = (64, 48)
COLORS = np.asarray(picture())
GREY = COLORS[..., 0]
WIDTHS = [8, 10, 12, 14, 16]
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB = 0, 1, 2


def as_8bit(values: np.ndarray) -> np.ndarray:
    return decode(encode(Image.fromarray(values), "PNG"), SIZE).astype(int)


def assert_same(content: bytes, values: np.ndarray) -> None:
    np.testing.assert_allclose(decode(content, SIZE).astype(int), as_8bit(values), atol=1)


def opaque(values: np.ndarray, bits: int) -> np.ndarray:
    return np.dstack([values, np.full(values.shape[:2], (1 << bits) - 1, np.uint16)])


@pytest.mark.parametrize("bits", WIDTHS)
def test_png_of_16_bits(bits: int) -> None:
    colors, grey = (values.astype(np.uint16) << (bits - 8) for values in (COLORS, GREY))
    assert_same(png(grey, PNG_GREY), GREY)
    assert_same(png(colors, PNG_RGB), COLORS)
    assert_same(png(opaque(grey, bits), PNG_LA), GREY)
    assert_same(png(opaque(colors, bits), PNG_RGBA), COLORS)


@pytest.mark.parametrize(("bits", "order", "deflate"), [*itertools.product(WIDTHS, "<>", [False, True])])
def test_tiff_of_16_bits(bits: int, order: str, deflate: bool) -> None:
    colors, grey = (values.astype(np.uint16) << (bits - 8) for values in (COLORS, GREY))
    assert_same(tiff(grey, BLACK_IS_ZERO, order=order, deflate=deflate), GREY)
    assert_same(tiff(colors, RGB, order=order, deflate=deflate), COLORS)
    for extra in (0, 2, 1) if bits == 16 else (0, 2):
        content = tiff(opaque(colors, bits), RGB, order=order, deflate=deflate, fields={338: [extra]})
        assert_same(content, COLORS)


UNSUPPORTED: dict[str, tuple[np.ndarray, int, dict[str, Any]]] = {
    "planes of 16 bits": (COLORS.astype(np.uint16) << 8, RGB, {"planar": True}),
    "grey and opacity of 16 bits": (opaque(GREY.astype(np.uint16) << 8, 16), BLACK_IS_ZERO, {"fields": {338: [2]}}),
    "multiplied with opacity of 12 bits": (opaque(COLORS.astype(np.uint16), 12), RGB, {"fields": {338: [1]}}),
    "signed colors": (COLORS.astype(np.int16), RGB, {}),
    "signed bytes": ((GREY.astype(int) - 128).astype(np.int8), BLACK_IS_ZERO, {}),
    "colors of 32 bits": (COLORS.astype(np.uint32), RGB, {}),
    "grey of 64 bits": (GREY.astype(np.uint64), BLACK_IS_ZERO, {}),
    "real colors": ((COLORS / 255).astype(np.float32), RGB, {}),
    "real of 16 bits": ((GREY / 255).astype(np.float16), BLACK_IS_ZERO, {}),
    "real around zero": ((GREY / 127.5 - 1).astype(np.float32), BLACK_IS_ZERO, {}),
    "integers around zero": (((GREY.astype(int) - 128) * 256).astype(np.int16), BLACK_IS_ZERO, {}),
}


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize("name", UNSUPPORTED)
def test_tiff_of_unsupported_samples(name: str, order: str, deflate: bool) -> None:
    values, photometric, options = UNSUPPORTED[name]
    with pytest.raises(PhotoError) as raised:
        decode(tiff(values, photometric, order=order, deflate=deflate, **options), SIZE)
    assert raised.value.reason == "undecodable"
    assert re.search(r"\d+", raised.value.detail)


def test_tiff_of_wide_cmyk() -> None:
    inks = np.asarray(picture().convert("CMYK"))
    pixels = decode(tiff(inks.astype(np.uint16) << 8, 5), SIZE)
    np.testing.assert_array_equal(pixels, decode(encode(Image.fromarray(inks, "CMYK"), "TIFF"), SIZE))


@pytest.mark.parametrize("order", "<>")
def test_tiff_predictors(order: str) -> None:
    wide = COLORS.astype(np.uint16) << 8
    steps = np.diff(wide, axis=1, prepend=np.zeros((60, 1, 3), np.uint16))
    tags = {259: [5], 317: [2]}
    assert_same(tiff(steps, RGB, order=order, compress=lambda raw: lzw(raw, 90 * 6), fields=tags), COLORS)


def test_tiff_tiles() -> None:
    wide = np.zeros((64, 96, 3), np.uint16)
    wide[:60, :90] = COLORS.astype(np.uint16) << 4
    cuts = [wide[top : top + 32, left : left + 48] for top in (0, 32) for left in (0, 48)]
    body = np.concatenate([tile.reshape(-1, 1, 3) for tile in cuts])
    size = 32 * 48 * 6
    strips: dict[int, list[int]] = {273: [], 278: [], 279: []}
    tiles = {322: [48], 323: [32], 324: [8 + size * index for index in range(4)], 325: [size] * 4}
    assert_same(tiff(body, RGB, fields={256: [90], 257: [60], **strips, **tiles}), COLORS)


def test_tiff_strips_of_pillow() -> None:
    grey = Image.fromarray(GREY.astype(np.uint16) << 4)
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd", "lzma"):
        assert_same(encode(grey, "TIFF", compression=compression, tiffinfo={278: 7}), GREY)
        assert_same(encode(grey, "TIFF", compression=compression, big_tiff=True), GREY)


@pytest.mark.parametrize("factor", [1 / 255, 1, 16, 257], ids=["0..1", "8 bits", "12 bits", "16 bits"])
@pytest.mark.parametrize(("order", "deflate"), [*itertools.product("<>", [False, True])])
def test_tiff_of_floats(factor: float, order: str, deflate: bool) -> None:
    values = GREY.astype(np.float32) * np.float32(factor)
    assert_same(tiff(values, BLACK_IS_ZERO, order=order, deflate=deflate), GREY)


def test_tiff_of_floats_beyond_their_range() -> None:
    values = (GREY / 255).astype(np.float32)
    values[0, 0], values[0, 1], values[0, 2], values[0, 3] = np.nan, np.inf, 1.3, -0.02
    expected = GREY.copy()
    expected[0, :4] = 0, 255, 255, 0
    assert_same(tiff(values, BLACK_IS_ZERO), expected)
    assert decode(tiff(np.full((9, 9), np.nan, np.float32), BLACK_IS_ZERO), SIZE).max() == 0


@pytest.mark.parametrize(("order", "deflate"), [*itertools.product("<>", [False, True])])
def test_tiff_of_integers(order: str, deflate: bool) -> None:
    for kind in (np.int16, np.int32):
        assert_same(tiff(GREY.astype(kind), BLACK_IS_ZERO, order=order, deflate=deflate), GREY)


def test_tiff_of_32_bits() -> None:
    assert_same(tiff(GREY.astype(np.uint32), BLACK_IS_ZERO), GREY)
    assert_same(tiff(GREY.astype(np.uint32) * 0x01010101, BLACK_IS_ZERO), GREY)


@pytest.mark.parametrize("bits", WIDTHS)
def test_tiff_where_white_is_zero(bits: int) -> None:
    inverted = ((1 << bits) - 1 - (GREY.astype(np.uint16) << (bits - 8))).astype(np.uint16)
    assert_same(tiff(inverted, WHITE_IS_ZERO), GREY)


def test_declared_widths_of_dark_pictures() -> None:
    dark = GREY // 16
    values = dark.astype(np.uint16) << 4  # at most 8 bits of 12
    assert_same(png(values, PNG_GREY, {b"sBIT": bytes([12])}), dark)
    assert_same(png(np.dstack([values] * 3), PNG_RGB, {b"sBIT": bytes([12] * 3)}), dark)
    assert_same(tiff(values, BLACK_IS_ZERO, fields={281: [4095]}), dark)


def test_transparent_value_of_16_bit_grey() -> None:
    values = np.full((48, 64), 40_000, np.uint16)
    values[:, :32] = 1000
    pixels = decode(png(values, PNG_GREY, {b"tRNS": (1000).to_bytes(2, "big")}), SIZE)
    assert (pixels[:, :30] == 255).all()
    assert (pixels[:, 34:] == 40_000 >> 8).all()


def test_black_picture_stays_black() -> None:
    for content in (png(np.zeros((9, 9), np.uint16), PNG_GREY), png(np.zeros((9, 9, 3), np.uint16), PNG_RGB)):
        assert decode(content, SIZE).max() == 0
