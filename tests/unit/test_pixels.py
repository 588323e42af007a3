from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from orchard.errors import PhotoError
from orchard.photos.decoding import REASONS, decode
from PIL import Image

SIZE = (224, 224)


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    sink = io.BytesIO()
    image.save(sink, kind, **options)
    return sink.getvalue()


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
def test_every_mode_is_pillows_rgb_and_bicubic(mode: str, kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    content = encode(gradient(mode), kind, **options)
    pixels = decode(content, SIZE)
    assert pixels.shape == (224, 224, 3)
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, reference(Image.open(io.BytesIO(content))))


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_jpeg_of_every_kind(mode: str) -> None:
    content = encode(gradient(mode), "JPEG")
    np.testing.assert_array_equal(decode(content, SIZE), reference(Image.open(io.BytesIO(content))))


def test_sixteen_bit_greyscale_keeps_its_high_byte() -> None:
    values = np.arange(60 * 90, dtype=np.uint16).reshape(60, 90) * 12
    pixels = decode(encode(Image.fromarray(values), "PNG"), SIZE)
    np.testing.assert_array_equal(pixels, reference(Image.fromarray((values >> 8).astype(np.uint8))))


def test_exif_orientation_is_left_alone() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # "rotate 90 degrees"
    turned, plain = encode(gradient(), "JPEG", exif=exif), encode(gradient(), "JPEG")
    np.testing.assert_array_equal(decode(turned, SIZE), decode(plain, SIZE))


def test_palette_with_transparency_does_not_warn() -> None:
    content = encode(gradient("P"), "PNG", transparency=bytes(range(256)))
    assert decode(content, SIZE).shape == (224, 224, 3)


def corrupt(content: bytes) -> bytes:
    return content[:60] + bytes(40) + content[100:]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"a text file called x.jpg", "not_an_image"),
        (b"\xff\xd8\xff", "not_an_image"),
        (encode(gradient(), "JPEG")[:-300], "truncated"),
        (encode(gradient(), "PNG")[:100], "truncated"),
        (corrupt(encode(gradient(), "PNG")), "undecodable"),
        (encode(Image.new("1", (10_001, 10_000)), "PNG"), "too_large"),
        (encode(Image.new("1", (20_000, 20_000)), "PNG"), "too_large"),
    ],
)
def test_bad_photos_have_a_reason(content: bytes, reason: str) -> None:
    with pytest.raises(PhotoError) as raised:
        decode(content, SIZE)
    assert raised.value.reason == reason
    assert reason in REASONS
    assert raised.value.detail


def test_exactly_a_hundred_megapixels_are_taken() -> None:
    assert decode(encode(Image.new("1", (10_000, 10_000)), "PNG"), SIZE).shape == (224, 224, 3)


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
def test_the_memory_for_a_photo_is_bounded_whatever_it_claims(
    tmp_path: Path, mode: str, size: tuple[int, int], kind: str, how: str, most: float
) -> None:
    Image.new(mode, size).save(tmp_path / "photo", kind, **({"compress_level": 1} if kind == "PNG" else {}))
    command = [sys.executable, "-c", GROWTH, str(tmp_path / "photo"), kind]
    ended, grown = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert ended == how
    assert float(grown) < most
