from __future__ import annotations

import os
import pickle
import unicodedata
from pathlib import Path

import pytest
from orchard.errors import InputError, PhotoError, UsageError
from orchard.photos.photo import Photo
from orchard.photos.source import PhotoSource, open_source

NAMES = ["a b.jpg", "100%.JPG", "#1.png", "?x=1&y.jpeg", "né à.webp", "🍎.bmp", "plus+.tif", "'quote\".gif"]


def listed(folder: Path) -> list[str]:
    return sorted(photo.path for photo in open_source(str(folder)).list().photos)


def make(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_list_of_nested_folders(tmp_path: Path) -> None:
    make(tmp_path / "Training" / "Apple 1" / "0.jpg", b"12345")
    os.utime(tmp_path / "Training" / "Apple 1" / "0.jpg", ns=(0, 1_500_000_000_123_456_789))
    make(tmp_path / "top.png")
    assert sorted(open_source(str(tmp_path)).list().photos, key=lambda photo: photo.path) == [
        Photo("Training/Apple 1/0.jpg", "Apple 1", 5, 1_500_000_000_123_456),
        Photo("top.png", tmp_path.name, 1, (tmp_path / "top.png").stat().st_mtime_ns // 1000),
    ]


def test_list_and_read_of_any_name(tmp_path: Path) -> None:
    for name in NAMES:
        make(tmp_path / "Ünï %20 #" / name, name.encode())
    assert listed(tmp_path) == sorted(f"Ünï %20 #/{name}" for name in NAMES)
    assert all(open_source(str(tmp_path)).read(path) == path.split("/")[1].encode() for path in listed(tmp_path))


def test_list_skips_what_is_no_photo(tmp_path: Path) -> None:
    for name in ("notes.txt", ".hidden.jpg", "._0.jpg", "Thumbs.db", "jpg"):
        make(tmp_path / "Apple" / name)
    make(tmp_path / ".cache" / "0.jpg")
    os.mkfifo(tmp_path / "Apple" / "pipe.jpg")
    assert listed(tmp_path) == []


def test_list_follows_links_and_no_loops(tmp_path: Path) -> None:
    make(tmp_path / "elsewhere" / "0.jpg")
    photos = tmp_path / "photos" / "Apple"
    photos.mkdir(parents=True)
    (photos / "again").symlink_to(tmp_path / "photos")
    (photos / "linked").symlink_to(tmp_path / "elsewhere")
    (photos / "self").symlink_to("self")
    assert listed(tmp_path / "photos") == ["Apple/linked/0.jpg"]


def test_list_of_a_dangling_link(tmp_path: Path) -> None:
    (tmp_path / "gone.jpg").symlink_to("nowhere")
    assert listed(tmp_path) == ["gone.jpg"]
    with pytest.raises(PhotoError) as raised:
        open_source(str(tmp_path)).read("gone.jpg")
    assert raised.value.reason == "gone"


def test_read_of_a_changed_photo(tmp_path: Path) -> None:
    make(tmp_path / "0.jpg", b"123")
    source = open_source(str(tmp_path))
    (photo,) = source.list().photos
    assert source.read("0.jpg", listed=photo) == b"123"
    os.utime(tmp_path / "0.jpg", ns=(0, 1))
    assert refusal(source, photo) == "changed"
    make(tmp_path / "0.jpg", b"1234")
    assert refusal(source, photo) == "changed"
    assert source.read("0.jpg") == b"1234"


def test_read_of_a_file_of_2_gb(tmp_path: Path) -> None:
    with (tmp_path / "0.jpg").open("wb") as sparse:
        sparse.truncate(2 << 30)
    source = open_source(str(tmp_path))
    (photo,) = source.list().photos
    assert refusal(source, photo) == "too_large"


def refusal(source: PhotoSource, photo: Photo) -> str:
    with pytest.raises(PhotoError) as raised:
        source.read(photo.path, listed=photo)
    return raised.value.reason


def test_read_of_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    make(Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff.jpg")))
    source = open_source(str(tmp_path))
    (photo,) = source.list().photos
    assert photo.path == "bad\\udcff.jpg"
    assert refusal(source, photo) == "bad_name"
    make(tmp_path / "very\\udcff.jpg")  # whose name is just that
    assert source.read("very\\udcff.jpg") == b"x"


@pytest.mark.parametrize("uri", ["file://{}", "{}/", "{}/../{name}"])
def test_open_source_of_one_folder_by_many_names(tmp_path: Path, uri: str) -> None:
    make(tmp_path / "a b" / "0.jpg")
    assert listed(Path(uri.format(tmp_path, name=tmp_path.name))) == ["a b/0.jpg"] if "file" not in uri else True
    assert [photo.path for photo in open_source(uri.format(tmp_path, name=tmp_path.name)).list().photos] == [
        "a b/0.jpg"
    ]


def test_source_pickles_with_an_absolute_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "photos" / "0.jpg")
    monkeypatch.chdir(tmp_path)
    source = pickle.dumps(open_source("photos"))
    monkeypatch.chdir("/")
    assert pickle.loads(source).read("0.jpg") == (tmp_path / "photos" / "0.jpg").read_bytes()


def test_list_of_no_folder(tmp_path: Path) -> None:
    for folder in (tmp_path / "nowhere", make(tmp_path / "0.jpg")):
        with pytest.raises(InputError, match=str(folder)):
            listed(folder)


@pytest.mark.parametrize("scheme", ["gopher", "gs", "az", "abfs", "http"])
def test_open_source_of_an_unknown_scheme(scheme: str) -> None:
    with pytest.raises(UsageError, match=rf"{scheme}://.* s3://"):
        open_source(f"{scheme}://bucket/photos")


def test_list_counts_what_it_skips(tmp_path: Path) -> None:
    skipped = {
        ".heic": ["a/1.HEIC", "a/2.heic"],
        "no suffix": ["a/README", "a/photo.0001", "a/photo."],
        "hidden": ["a/.b.jpg", ".git/x/y.jpg", ".git/config"],
        "system folder": ["@eaDir/1.jpg/thumb.jpg", "a/Lost+Found/1.jpg", "$RECYCLE.BIN/x.txt"],
    }
    for name in ["a/1.jpg", *(name for names in skipped.values() for name in names)]:
        make(tmp_path / name)
    listing = open_source(str(tmp_path)).list()
    assert [photo.path for photo in listing.photos] == ["a/1.jpg"]
    assert listing.skipped == {reason: len(names) for reason, names in skipped.items()}


def test_list_labels_in_nfc(tmp_path: Path) -> None:
    for form in ("NFC", "NFD"):
        make(tmp_path / unicodedata.normalize(form, "Pêche") / f"{form}.jpg")
    photos = open_source(str(tmp_path)).list().photos
    assert {photo.label for photo in photos} == {unicodedata.normalize("NFC", "Pêche")}
    assert all((tmp_path / photo.path).exists() for photo in photos)
