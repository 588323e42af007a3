"""What bytes are, by how they begin: an image format, or something else in words. Pure."""

import base64
import contextlib

# Bytes of the beginning that a rejection shows, and letters of it that are decoded if they may be base64.
SHOWN = LETTERS = 64

# Pillow's names of formats, and how their files begin, `?` for any byte. Those without a signature are left out.
_IMAGES = {
    "JPEG": (b"\xff\xd8\xff",),
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "GIF": (b"GIF8?a",),
    "WEBP": (b"RIFF????WEBP",),
    "AVIF": (b"\0\0\0?ftypavi",),
    "BMP": (b"BM?????????????\0\0\0",),
    "TIFF": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    "ICO": (b"\0\0\1\0",),
}
# What else is found under a photo's name: texts in lower case.
_OTHERS: dict[str, bytes | tuple[bytes, ...]] = {
    "a Git LFS pointer: fetch the files with `git lfs pull`": b"version https://git-lfs",
    "a git-annex pointer: fetch the files with `git annex get`": b"/annex/objects/",
    "HTML": (b"<!doctype html", b"<html", b"<head"),
    "an SVG drawing": b"<svg",
    "XML": (b"<?xml", b"<error>"),
    "JSON": (b"{", b"["),
    "base64: decode it first": b"data:image/",
    "PDF": (b"%PDF-", b"%pdf-"),
    "gzip: decompress it first": b"\x1f\x8b",
    "a ZIP archive: unpack it first": b"PK\3\4",
    "an archive: unpack it first": (b"BZh", b"Rar!", b"7z\xbc\xaf\x27\x1c", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0"),
    "JPEG XL: convert it to JPEG first": (b"\xff\x0a", b"\0\0\0\x0cJXL "),
    "JPEG 2000: convert it to JPEG first": (b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  "),
}
_AVIF, _HEIC = {b"avif", b"avis"}, {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}


def image_format(content: bytes) -> str | None:
    """Pillow's name of the format whose signature the content begins with, or the part of one in a few bytes."""
    for name, signatures in _IMAGES.items():
        for signature in signatures if content else ():
            if all(wanted in (byte, ord("?")) for wanted, byte in zip(signature, content, strict=False)):
                return name
    return "AVIF" if _brands(content) & _AVIF else None


def describe(content: bytes) -> str:
    """What content is that is no image, with enough of its beginning to see it; one line."""
    what = _other(content)
    return f"{len(content):,} bytes{f', {what}' if what else ''}, starting with {repr(content[:SHOWN])[2:-1]}"


def _other(content: bytes) -> str | None:
    text = content[:512].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for what, signatures in _OTHERS.items():
        if content.startswith(signatures) or text.startswith(signatures):
            return what
    if brands := _brands(content):
        return "HEIC: convert it to JPEG first" if brands & _HEIC else "a video or a camera's raw file"
    if not content.strip(b"\0"):
        return "all of them zero"
    letters = content[: 2 * LETTERS].translate(None, b"\r\n \t")[:LETTERS]
    with contextlib.suppress(ValueError):
        if len(letters) == LETTERS and (name := image_format(base64.urlsafe_b64decode(letters))):
            return f"base64 of a {name} file: decode it first"
    return None


def _brands(content: bytes) -> set[bytes]:
    """The brands of a file in boxes (HEIF, AVIF, MP4): its major one and those it is compatible with."""
    if content[4:8] != b"ftyp":
        return set()
    listed = content[16 : min(int.from_bytes(content[:4], "big"), 256)]
    return {content[8:12], *(listed[at : at + 4] for at in range(0, len(listed), 4))}
