from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
from orchard.errors import InputError, PhotoError, UsageError
from orchard.photos.source import Photo, PhotoSource, open_source

NAMES = ["a b.jpg", "100%.JPG", "#1.png", "?x=1&y.jpeg", "né à.webp", "🍎.bmp", "plus+.tif", "'quote\".gif"]


def listed(folder: Path) -> list[str]:
    return sorted(photo.path for photo in open_source(str(folder)).photos())


def make(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_lists_photos_of_nested_folders_with_their_parents_name(tmp_path: Path) -> None:
    make(tmp_path / "Training" / "Apple 1" / "0.jpg", b"12345")
    os.utime(tmp_path / "Training" / "Apple 1" / "0.jpg", ns=(0, 1_500_000_000_123_456_789))
    make(tmp_path / "top.png")
    assert sorted(open_source(str(tmp_path)).photos(), key=lambda photo: photo.path) == [
        Photo("Training/Apple 1/0.jpg", "Apple 1", 5, 1_500_000_000_123_456),
        Photo("top.png", tmp_path.name, 1, (tmp_path / "top.png").stat().st_mtime_ns // 1000),
    ]


def test_names_of_every_kind_are_listed_and_read_back(tmp_path: Path) -> None:
    for name in NAMES:
        make(tmp_path / "Ünï %20 #" / name, name.encode())
    assert listed(tmp_path) == sorted(f"Ünï %20 #/{name}" for name in NAMES)
    assert all(open_source(str(tmp_path)).read(path) == path.split("/")[1].encode() for path in listed(tmp_path))


def test_what_is_no_photo_is_left_out(tmp_path: Path) -> None:
    for name in ("notes.txt", ".hidden.jpg", "._0.jpg", "Thumbs.db", "jpg"):
        make(tmp_path / "Apple" / name)
    make(tmp_path / ".cache" / "0.jpg")
    os.mkfifo(tmp_path / "Apple" / "pipe.jpg")
    assert listed(tmp_path) == []


def test_links_are_followed_and_loops_are_not(tmp_path: Path) -> None:
    make(tmp_path / "elsewhere" / "0.jpg")
    photos = tmp_path / "photos" / "Apple"
    photos.mkdir(parents=True)
    (photos / "again").symlink_to(tmp_path / "photos")
    (photos / "linked").symlink_to(tmp_path / "elsewhere")
    (photos / "self").symlink_to("self")
    assert listed(tmp_path / "photos") == ["Apple/linked/0.jpg"]


def test_a_dangling_link_is_listed_and_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "gone.jpg").symlink_to("nowhere")
    assert listed(tmp_path) == ["gone.jpg"]
    with pytest.raises(PhotoError) as raised:
        open_source(str(tmp_path)).read("gone.jpg")
    assert raised.value.reason == "gone"


def test_what_is_no_longer_as_listed_is_refused(tmp_path: Path) -> None:
    make(tmp_path / "0.jpg", b"123")
    source = open_source(str(tmp_path))
    (photo,) = source.photos()
    assert source.read("0.jpg", listed=photo) == b"123"
    os.utime(tmp_path / "0.jpg", ns=(0, 1))
    assert refusal(source, photo) == "changed"
    make(tmp_path / "0.jpg", b"1234")
    assert refusal(source, photo) == "changed"
    assert source.read("0.jpg") == b"1234"


def test_a_file_of_2_gb_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "0.jpg").open("wb") as sparse:
        sparse.truncate(2 << 30)
    source = open_source(str(tmp_path))
    (photo,) = source.photos()
    assert refusal(source, photo) == "too_large"
    (tmp_path / "0.jpg").unlink()  # its listed size is enough to know
    assert refusal(source, photo) == "too_large"


def refusal(source: PhotoSource, photo: Photo) -> str:
    with pytest.raises(PhotoError) as raised:
        source.read(photo.path, listed=photo)
    return raised.value.reason


def test_a_name_that_is_not_utf8_is_shown_escaped_and_rejected_for_it(tmp_path: Path) -> None:
    make(Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff.jpg")))
    source = open_source(str(tmp_path))
    (photo,) = source.photos()
    assert photo.path == "bad\\udcff.jpg"
    assert refusal(source, photo) == "bad_name"
    make(tmp_path / "very\\udcff.jpg")  # whose name is just that
    assert source.read("very\\udcff.jpg") == b"x"


@pytest.mark.parametrize("uri", ["file://{}", "{}/", "{}/../{name}"])
def test_one_folder_by_many_names(tmp_path: Path, uri: str) -> None:
    make(tmp_path / "a b" / "0.jpg")
    assert listed(Path(uri.format(tmp_path, name=tmp_path.name))) == ["a b/0.jpg"] if "file" not in uri else True
    assert [photo.path for photo in open_source(uri.format(tmp_path, name=tmp_path.name)).photos()] == ["a b/0.jpg"]


def test_a_folder_named_from_here_is_the_same_folder_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "photos" / "0.jpg")
    monkeypatch.chdir(tmp_path)
    source = pickle.dumps(open_source("photos"))
    monkeypatch.chdir("/")
    assert pickle.loads(source).read("0.jpg") == (tmp_path / "photos" / "0.jpg").read_bytes()


def test_a_missing_folder_and_a_file_say_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        listed(tmp_path / "nowhere")
    with pytest.raises(InputError, match="is a file, not a folder"):
        listed(make(tmp_path / "0.jpg"))


def test_an_unknown_scheme_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no reader for gopher://"):
        open_source("gopher://bucket/photos")
