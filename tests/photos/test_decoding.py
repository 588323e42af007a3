from __future__ import annotations

import io
import os
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from orchard.errors import PhotoError
from orchard.photos.decoding import decode, thumbnail
from orchard.photos.photo import REASONS
from PIL import Image, ImageFile, ImageOps

from tests.photos.writers import PNG_GREY, encode, picture, png, tiff

SIZE = (224, 224)


def gradient(mode: str = "RGB") -> Image.Image:
    across, down = np.meshgrid(np.arange(90), np.arange(60))
    return Image.fromarray(np.stack([across * 2, down * 4, 255 - across], axis=-1).astype(np.uint8)).convert(mode)


def reference(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB").resize(SIZE, Image.Resampling.BICUBIC))


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        ("RGB", "PNG"),
        ("L", "PNG"),
        ("P", "PNG"),
        ("RGBA", "PNG"),
        ("LA", "PNG"),
        ("1", "PNG"),
        ("CMYK", "TIFF"),
        ("P", "GIF"),
        ("RGB", "WEBP"),
        ("RGB", "BMP"),
    ],
)
def test_decode_is_pillows_rgb_and_bicubic(mode: str, kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    content = encode(gradient(mode), kind, **options)
    pixels = decode(content, SIZE)
    assert pixels.shape == (224, 224, 3)
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, reference(Image.open(io.BytesIO(content))))


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_decode_of_jpeg(mode: str) -> None:
    content = encode(gradient(mode), "JPEG")
    np.testing.assert_array_equal(decode(content, SIZE), reference(Image.open(io.BytesIO(content))))


def test_decode_of_palette_with_transparency_does_not_warn() -> None:
    content = encode(gradient("P"), "PNG", transparency=bytes(range(256)))
    assert decode(content, SIZE).shape == (224, 224, 3)


def corrupt(content: bytes) -> bytes:
    return content[:60] + bytes(40) + content[100:]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"a text file called x.jpg", "not_an_image"),
        (b"\xff\xd8\xff", "truncated"),
        (encode(gradient(), "JPEG")[:-300], "truncated"),
        (encode(gradient(), "PNG")[:100], "truncated"),
        (corrupt(encode(gradient(), "PNG")), "undecodable"),
        (encode(Image.new("1", (10_001, 10_000)), "PNG"), "too_large"),
        (encode(Image.new("1", (20_000, 20_000)), "PNG"), "too_large"),
    ],
)
def test_decode_reasons(content: bytes, reason: str) -> None:
    with pytest.raises(PhotoError) as raised:
        decode(content, SIZE)
    assert raised.value.reason == reason
    assert reason in REASONS
    assert raised.value.detail


@pytest.mark.slow
def test_decode_of_a_hundred_megapixels() -> None:
    assert decode(encode(Image.new("1", (10_000, 10_000)), "PNG"), SIZE).shape == (224, 224, 3)


ORIENTED = ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "MPO", "LZW"]


def oriented(image: Image.Image, kind: str, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, object] = {"exif": exif}
    if kind == "WEBP":
        options["lossless"] = True
    if kind == "LZW":
        kind, options["compression"] = "TIFF", "tiff_lzw"
    return encode(image, kind, **options)


@pytest.mark.parametrize("kind", ORIENTED)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_decode_applies_orientation(kind: str, orientation: int) -> None:
    content = oriented(picture(), kind, orientation)
    with Image.open(io.BytesIO(content)) as image:
        np.testing.assert_array_equal(decode(content, SIZE), reference(ImageOps.exif_transpose(image)))
    rows = np.asarray(picture())
    mirrored = {2: rows[:, ::-1], 4: rows[::-1], 5: rows.transpose(1, 0, 2), 7: rows[::-1, ::-1].transpose(1, 0, 2)}
    upright = {1: rows, 3: rows[::-1, ::-1], 6: np.rot90(rows, -1), 8: np.rot90(rows), **mirrored}[orientation]
    loss = 40 if kind in ("JPEG", "AVIF", "MPO") else 0
    expected = reference(Image.fromarray(np.ascontiguousarray(upright)))
    np.testing.assert_allclose(decode(content, SIZE).astype(int), expected, atol=loss)


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "1"])
def test_decode_applies_orientation_to_every_mode(mode: str) -> None:
    content = oriented(picture().convert(mode), "TIFF", 6)
    expected = reference(picture().convert(mode).convert("RGB").transpose(Image.Transpose.ROTATE_270))
    np.testing.assert_array_equal(decode(content, SIZE), expected)
    wide = np.asarray(picture().convert("L")).astype(np.uint16) << 4
    turned = decode(oriented(Image.fromarray(wide), "TIFF", 6), SIZE)
    grey = picture().convert("L").transpose(Image.Transpose.ROTATE_270)
    np.testing.assert_allclose(turned.astype(int), reference(grey), atol=1)


@pytest.mark.parametrize(
    "exif", [b"", b"Exif\0\0", b"Exif\0\0MM\0*\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"xyz" * 30]
)
def test_decode_ignores_damaged_exif(exif: bytes) -> None:
    content = encode(picture(), "PNG", exif=exif) if exif else encode(picture(), "PNG")
    np.testing.assert_array_equal(decode(content, SIZE), reference(picture()))


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_decode_ignores_unknown_orientations(orientation: int) -> None:
    content = oriented(picture(), "PNG", orientation)
    np.testing.assert_array_equal(decode(content, SIZE), reference(picture()))


def with_alpha(hidden: int) -> Image.Image:
    """The picture in the middle, half of it at half opacity, and `hidden` below alpha 0 around it."""
    pixels, alpha = np.asarray(picture()).copy(), np.full((60, 90), 255, np.uint8)
    alpha[:, 45:] = 128
    alpha[:15], alpha[-15:] = 0, 0
    pixels[alpha == 0] = hidden
    return Image.fromarray(np.dstack([pixels, alpha]))


def over_white(image: Image.Image) -> Image.Image:
    pixels, alpha = np.asarray(image.convert("RGBA"))[..., :3].astype(float), np.asarray(image.convert("RGBA"))[..., 3:]
    return Image.fromarray(np.rint(pixels * (alpha / 255) + 255 * (1 - alpha / 255)).astype(np.uint8))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "ICO"])
def test_decode_composites_alpha_over_white(mode: str, kind: str) -> None:
    decoded = []
    for hidden in (0, 255):
        image = with_alpha(hidden).convert(mode)
        options: dict[str, object] = {"lossless": True, "exact": True} if kind == "WEBP" else {}
        options |= {"sizes": [(90, 60)]} if kind == "ICO" else {}
        decoded.append(decode(encode(image, kind, **options), SIZE).astype(int))
        np.testing.assert_allclose(decoded[-1], reference(over_white(image)), atol=1)
    np.testing.assert_array_equal(decoded[0], decoded[1])


def test_decode_composites_alpha_of_avif() -> None:
    decoded = [decode(encode(with_alpha(hidden), "AVIF", quality=100), SIZE).astype(int) for hidden in (0, 255)]
    for pixels in decoded:
        assert np.abs(pixels - reference(over_white(with_alpha(0)))).mean() < 4


def test_decode_composites_premultiplied_alpha() -> None:
    image = with_alpha(0)
    pixels = np.asarray(image).astype(int)
    pixels[..., :3] = pixels[..., :3] * pixels[..., 3:] // 255
    content = tiff(pixels.astype(np.uint8), 2, fields={338: [1]})
    np.testing.assert_allclose(decode(content, SIZE).astype(int), reference(over_white(image)), atol=3)


def test_decode_composites_transparent_colors() -> None:
    palette = picture().quantize(16)
    index = int(np.asarray(palette)[0, 0])
    expected = np.asarray(palette.convert("RGB")).copy()
    expected[np.asarray(palette) == index] = 255
    for kind in ("PNG", "GIF"):
        content = encode(palette, kind, transparency=index)
        np.testing.assert_array_equal(decode(content, SIZE), reference(Image.fromarray(expected)))
    alphas = bytes(range(0, 256, 16))
    translucent = palette.copy()
    translucent.info["transparency"] = alphas
    expected = reference(over_white(translucent.convert("RGBA")))
    np.testing.assert_allclose(decode(encode(palette, "PNG", transparency=alphas), SIZE).astype(int), expected, atol=1)


@pytest.mark.parametrize(("mode", "key"), [("RGB", (10, 20, 30)), ("L", 77), ("1", 0), ("1", 1)])
def test_decode_composites_transparent_values(mode: str, key: object) -> None:
    pixels = picture().convert(mode)
    value = tuple(key) if isinstance(key, tuple) else 255 * key if mode == "1" and isinstance(key, int) else key
    pixels.paste(value, (0, 0, 45, 60))  # type: ignore[arg-type]
    expected = np.asarray(pixels.convert("RGB")).copy()
    wanted = value if isinstance(value, tuple) else (value,) * 3
    expected[(expected == np.array(wanted)).all(axis=-1)] = 255
    content = encode(pixels, "PNG", transparency=key)
    np.testing.assert_array_equal(decode(content, SIZE), reference(Image.fromarray(expected)))


@pytest.mark.parametrize("depth", [2, 4])
def test_decode_composites_transparent_values_of_few_bits(depth: int) -> None:
    values = np.zeros((48, 64), np.uint8)
    values[:, 32:] = 1
    packed = np.packbits(np.unpackbits(values[..., None], axis=-1)[..., -depth:].reshape(48, -1), axis=-1)
    content = png(packed, PNG_GREY, {b"tRNS": b"\0\1"})
    header = content[:16] + (64).to_bytes(4, "big") + content[20:24] + bytes([depth]) + content[25:29]
    content = header + zlib.crc32(header[12:29]).to_bytes(4, "big") + content[33:]
    pixels = decode(content, (64, 48))
    assert (pixels[:, :30] == 0).all()
    assert (pixels[:, 34:] == 255).all()


def test_decode_of_the_first_frame_and_page() -> None:
    for kind in ("GIF", "PNG", "WEBP", "TIFF", "AVIF", "MPO"):
        options: dict[str, object] = {"lossless": True} if kind == "WEBP" else {}
        first = Image.fromarray(np.asarray(picture()) // 64 * 64)
        content = encode(first, kind, save_all=True, append_images=[first.rotate(180)], **options)
        assert np.abs(decode(content, SIZE).astype(int) - reference(first)).mean() < 8


def test_decode_of_ycbcr() -> None:
    pixels = decode(encode(picture().convert("YCbCr"), "TIFF"), SIZE).astype(int)
    assert np.abs(pixels - reference(picture())).mean() < 3


@pytest.mark.parametrize("most", [1, 1000, None])
def test_decode_leaves_the_limits_of_the_process(most: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", most)
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    for kind in ("JPEG", "PNG", "TIFF", "GIF", "WEBP", "AVIF", "ICO"):
        content = encode(picture(), kind)
        assert decode(content, SIZE).std() > 10
        with pytest.raises(PhotoError) as raised:
            decode(content[: len(content) // 2], SIZE)
        assert raised.value.reason == "truncated"
    assert most == Image.MAX_IMAGE_PIXELS
    assert ImageFile.LOAD_TRUNCATED_IMAGES


def test_import_leaves_the_limits_of_the_process() -> None:
    say = "print(Image.MAX_IMAGE_PIXELS)"
    code = f"from PIL import Image; {say}; import orchard.photos.decoding; {say}"
    before, after = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert before == after


def test_decode_in_threads_keeps_descriptor_2(capfd: pytest.CaptureFixture[str]) -> None:
    contents = [encode(picture(), "TIFF", compression="tiff_lzw")[:end] for end in range(3000, 9000, 60)]

    def reason(content: bytes) -> str:
        with pytest.raises(PhotoError) as raised:
            decode(content, SIZE)
        return raised.value.reason

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(reason, contents)) == {"truncated"}
    assert capfd.readouterr() == ("", "")
    os.write(2, b"still there")
    assert capfd.readouterr().err == "still there"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_thumbnail_has_the_rules_of_decode(kind: str) -> None:
    small = thumbnail(oriented(picture(900, 600), kind, 6), 60)
    assert (small.mode, small.size) == ("RGB", (40, 60))
    upright = picture(900, 600).transpose(Image.Transpose.ROTATE_270).resize((40, 60))
    assert np.abs(np.asarray(small).astype(int) - np.asarray(upright)).mean() < 6
    with pytest.raises(PhotoError):
        thumbnail(b"", 60)


# Decodes a small photo, and then another one; says how that ended, and by how many MB it raised the process's peak.
GROWTH = """
import io, sys
from PIL import Image
from orchard.errors import PhotoError
from orchard.photos.decoding import decode

def peak():  # not getrusage's, which begins with that of whoever started the process
    return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) / 1024

small, content = io.BytesIO(), open(sys.argv[1], "rb").read()
Image.new("RGB", (500, 500)).save(small, sys.argv[2])
decode(small.getvalue(), (224, 224))
before = peak()
try:
    decode(content, (224, 224))
    how = "decoded"
except PhotoError as error:
    how = error.reason
print(how, peak() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux alone tells a process's own peak")
@pytest.mark.parametrize(
    ("mode", "size", "kind", "how", "most"),
    [
        ("1", (30_000, 30_000), "PNG", "too_large", 20),
        ("1", (10_001, 10_000), "PNG", "too_large", 20),
        ("L", (10_000, 10_000), "JPEG", "decoded", 550),
        ("RGB", (10_000, 10_000), "PNG", "decoded", 450),
        ("RGBA", (10_000, 10_000), "PNG", "decoded", 850),
    ],
)
def test_decode_memory(tmp_path: Path, mode: str, size: tuple[int, int], kind: str, how: str, most: float) -> None:
    Image.new(mode, size).save(tmp_path / "photo", kind, **({"compress_level": 1} if kind == "PNG" else {}))
    command = [sys.executable, "-c", GROWTH, str(tmp_path / "photo"), kind]
    ended, grown = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert ended == how
    assert float(grown) < most
