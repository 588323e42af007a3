from __future__ import annotations

import base64
import bz2
import gzip
import io
import json
import zipfile

import pytest
from orchard.errors import PhotoError
from orchard.photos.decoding import decode
from orchard.photos.formats.signatures import SHOWN, describe, image_format

from tests.photos.writers import encode, picture

JPEG = encode(picture(), "JPEG")


def box(brand: bytes, *others: bytes) -> bytes:
    content = brand + b"\0\0\0\0" + b"".join(others)
    return (8 + len(content)).to_bytes(4, "big") + b"ftyp" + content + b"\0\0\1\0meta" + bytes(500)


def zipped() -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("0.jpg", JPEG)
    return sink.getvalue()


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (box(b"heic", b"mif1", b"heic"), "HEIC"),
        (box(b"mif1", b"heic"), "HEIC"),
        (box(b"msf1", b"hevc"), "HEIC"),
        (box(b"mp42", b"isom"), "video"),
        (box(b"qt  "), "video"),
        (gzip.compress(JPEG), "gzip"),
        (bz2.compress(JPEG), "archive"),
        (zipped(), "ZIP"),
        (base64.b64encode(JPEG), "base64"),
        (base64.encodebytes(encode(picture(), "PNG")), "base64"),
        (b"data:image/jpeg;base64," + base64.b64encode(JPEG), "base64"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64, "Git LFS"),
        (b"/annex/objects/SHA256E-s1--a.jpg\n", "git-annex"),
        (b"\n <!DOCTYPE HTML><html></html>", "HTML"),
        (b"\xef\xbb\xbf<html lang=en>", "HTML"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "XML"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (json.dumps({"message": "Forbidden"}).encode(), "JSON"),
        (json.dumps([1, 2]).encode(), "JSON"),
        (b"%PDF-1.4\n%%EOF\n", "PDF"),
        (b"\xff\x0a" + bytes(range(100)), "JPEG XL"),
        (b"Not found: \xc3\xa9 is missing\n", "Not found"),
        (bytes(20_000), "zero"),
        (encode(picture(), "JPEG2000"), "JPEG 2000"),
    ],
)
def test_describe(content: bytes, word: str) -> None:
    assert image_format(content) is None
    assert word in describe(content)
    assert "\n" not in describe(content)
    with pytest.raises(PhotoError) as raised:
        decode(content, (32, 32))
    assert (raised.value.reason, raised.value.detail) == ("not_an_image", describe(content))


def test_describe_shows_the_beginning() -> None:
    content = b"\x9c\x8dthis is of no format that anybody knows, and much longer than what a table should show of it"
    assert repr(content[:SHOWN])[2:-1] in describe(content)
    assert describe(content).isprintable()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "ICO"])
def test_image_format(kind: str) -> None:
    assert image_format(encode(picture(), kind)) == kind


@pytest.mark.parametrize("content", [b"", b"BMW is a car maker", b"P3 is a plane", b"GIF of a cat", b"x"])
def test_image_format_of_others(content: bytes) -> None:
    assert image_format(content) is None
