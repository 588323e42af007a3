"""Photos in object storage, against a small endpoint that does wrong what it is asked to, and against moto."""

from __future__ import annotations

import itertools
import os
import pickle
import time
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from orchard.errors import InputError, PhotoError
from orchard.photos.buckets import BACKOFF, BucketSource
from orchard.photos.photo import Photo
from orchard.photos.source import PhotoSource, open_source
from orchard.storage import objects

from tests.s3.server import BUCKET, Blob, Endpoint, Faults, serving

pytestmark = pytest.mark.usefixtures("aws")
Point = Callable[[Endpoint], PhotoSource]


@pytest.fixture
def point(monkeypatch: pytest.MonkeyPatch) -> Point:
    """Points the environment at an endpoint, as a user would, and opens its bucket."""

    def open_bucket(endpoint: Endpoint) -> PhotoSource:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint.address)
        objects.forget()
        return open_source(f"s3://{BUCKET}")

    return open_bucket


def impatient(source: PhotoSource) -> PhotoSource:
    return BucketSource(source.uri, backoff=(0.01,) * len(BACKOFF))


def listed(source: PhotoSource) -> dict[str, Photo]:
    photos = source.list().photos
    assert len({photo.path for photo in photos}) == len(photos)
    return {photo.path: photo for photo in photos}


def reason(source: PhotoSource, path: str, photo: Photo | None = None) -> str:
    with pytest.raises(PhotoError) as raised:
        source.read(path, listed=photo)
    assert "\n" not in raised.value.detail
    return raised.value.reason


def test_list(point: Point) -> None:
    blobs = {"Training/Apple 1/0.jpg": Blob(b"12345", 1_500_000_000), "top.PNG": Blob(b"1"), "notes.txt": Blob(b"1")}
    with serving(blobs) as endpoint:
        assert listed(point(endpoint)) == {
            "Training/Apple 1/0.jpg": Photo("Training/Apple 1/0.jpg", "Apple 1", 5, 1_500_000_000_000_000),
            "top.PNG": Photo("top.PNG", BUCKET, 1, 1_700_000_000_000_000),
        }
        below = open_source(f"s3://{BUCKET}/Training/")
        assert listed(below) == {"Apple 1/0.jpg": Photo("Apple 1/0.jpg", "Apple 1", 5, 1_500_000_000_000_000)}
        assert below.read("Apple 1/0.jpg") == b"12345"
        assert {photo.label for photo in open_source(f"s3://{BUCKET}/Training/Apple 1").list().photos} == {"Apple 1"}


NAMES = [
    "a b.jpg",
    "a+b.jpg",
    "100%.JPG",
    "%41.jpg",
    "#1.png",
    "?x=1&y.jpeg",
    "né à.webp",
    "e\u0301.jpg",
    "🍎.bmp",
    "~!@$^*().tif",
    "'q\".gif",
]


def test_list_and_read_of_many_keys(bucket: str) -> None:
    import boto3

    client, name = boto3.client("s3", region_name="eu-west-1"), bucket.removeprefix("s3://")
    keys = [f"in put %20#/Ünï &+/{photo}" for photo in NAMES]
    for key in keys:
        client.put_object(Bucket=name, Key=key, Body=key.encode())
    for folder in ("in put %20#/", "in put %20#/empty/", "in put %20#/folder.jpg/", "in put %20#/Ünï &+/"):
        client.put_object(Bucket=name, Key=folder, Body=b"")
    source = open_source(f"{bucket}/in put %20#")
    assert set(listed(source)) == {key.removeprefix("in put %20#/") for key in keys}
    for photo in source.list().photos:
        assert source.read(photo.path, listed=photo) == f"in put %20#/{photo.path}".encode()
        assert photo.label == "Ünï &+"


# What a key can hold; no control characters, which XML cannot either, and no `.` and `..` between slashes: see below.
part = st.text(
    st.characters(exclude_categories=["Cc", "Cs", "Cn", "Co"], exclude_characters="/\ufffe\uffff"),
    min_size=1,
    max_size=20,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sets(
        st.lists(part.filter(lambda name: not name.startswith(".")), min_size=1, max_size=4).map("/".join),
        min_size=1,
        max_size=8,
    )
)
def test_list_and_read_of_any_key(point: Point, names: set[str]) -> None:
    keys = {f"{name}.jpg" for name in names}
    with serving({key: Blob(key.encode()) for key in keys}) as endpoint:
        source = point(endpoint)
        assert set(listed(source)) == keys
        assert all(source.read(key) == key.encode() for key in keys)


def test_list_skips_hidden_names_and_folders(point: Point) -> None:
    names = [".hidden.jpg", "a/._0.jpg", ".git/0.jpg", "a/", "b.jpg/", "c/d.png/", "e/photo.jpg", "empty.jpg"]
    with serving(
        {name: Blob(b"x" if "photo" in name or name.startswith((".", "a/.")) else b"") for name in names}
    ) as endpoint:
        assert set(listed(point(endpoint))) == {"e/photo.jpg", "empty.jpg"}


REFUSED = ["a/new\nline.jpg", "a/tab\t.jpg", "a/\x7f.jpg", "b//c.jpg", "c/\x01/d.jpg", "deep\n/er/1.jpg"]


def test_list_and_read_of_keys_that_obstore_refuses(point: Point) -> None:
    keys = ["a/0.jpg", *REFUSED]
    blobs = {key: Blob(key.encode()) for key in [*keys, "a/\x02.txt"]} | {"a/\x02/": Blob(b"")}
    with serving(blobs) as endpoint:
        source = point(endpoint)
        listing = source.list()
        assert sorted(photo.path for photo in listing.photos) == sorted(keys)
        assert listing.skipped == {".txt": 1}
        for photo in listing.photos:
            assert source.read(photo.path, listed=photo) == photo.path.encode()
        assert {photo.label for photo in listing.photos if photo.path.startswith("c/")} == {"\x01"}
        below = open_source(f"s3://{BUCKET}/deep\n")
        assert [(photo.path, photo.label) for photo in below.list().photos] == [("er/1.jpg", "er")]
        assert below.read("er/1.jpg") == b"deep\n/er/1.jpg"
        assert reason(source, "a/no\n.jpg") == "gone"
        endpoint.blobs["a/tab\t.jpg"] = Blob(b"changed")
        (before,) = [photo for photo in listing.photos if photo.path == "a/tab\t.jpg"]
        assert reason(source, "a/tab\t.jpg", before) == "changed"


def test_list_and_read_of_refused_keys_in_moto(bucket: str) -> None:
    import boto3

    client, name = boto3.client("s3", region_name="eu-west-1"), bucket.removeprefix("s3://")
    keys = {key for key in REFUSED if "\n" not in key}  # moto has no route to those
    for key in keys:
        client.put_object(Bucket=name, Key=key, Body=key.encode())
    source = open_source(bucket)
    assert set(listed(source)) == keys
    assert all(source.read(photo.path, listed=photo) == photo.path.encode() for photo in source.list().photos)


@pytest.mark.parametrize("key", ["a/\x01.jpg", "a/\x0b.jpg", "a/\x1f/b.jpg", "a/\r.jpg", "a/\x7f.jpg", "a/\x80.jpg"])
def test_list_and_read_of_each_control_character(point: Point, key: str) -> None:
    with serving({key: Blob(b"1"), "b/2.jpg": Blob(b"2")}) as endpoint:
        source = point(endpoint)
        assert set(listed(source)) == {key, "b/2.jpg"}
        assert source.read(key) == b"1"


def test_list_of_one_refused_key_in_a_large_bucket(bucket: str, point: Point) -> None:
    keys = {f"variety {number % 20}/{number}.jpg" for number in range(3000)} | {"variety 3/\x7f.jpg"}
    with serving({key: Blob(b"1") for key in keys}) as endpoint:
        source = point(endpoint)
        assert set(listed(source)) == keys
        assert endpoint.lists < 60


def test_read_of_a_refused_key_retries(point: Point) -> None:
    keys = {"a\x7f.jpg": "503", "b\x7f.jpg": "403", "c\x7f.jpg": "reset"}
    with serving({key: Blob(b"1") for key in keys}, Faults(keys=keys)) as endpoint:
        source = impatient(point(endpoint))
        assert [reason(source, key) for key in keys] == ["unavailable", "forbidden", "unavailable"]
        assert endpoint.gets["a\x7f.jpg"] == 1 + len(BACKOFF)
        assert endpoint.gets["b\x7f.jpg"] == 1


def test_list_counts_what_it_skips(point: Point) -> None:
    names = ["a/1.jpg", "a/2.HEIC", "a/3", ".git/x.jpg", "@eaDir/1.jpg/t.jpg", "__MACOSX/._1.jpg", "a/.DS_Store"]
    with serving({name: Blob(b"x") for name in names} | {"a/": Blob(b"")}) as endpoint:
        source = point(endpoint)
        assert set(listed(source)) == {"a/1.jpg"}
        assert source.list().skipped == {".heic": 1, "no suffix": 1, "hidden": 2, "system folder": 2}


def test_list_labels_in_nfc(point: Point) -> None:
    keys = [unicodedata.normalize(form, f"Pêche/{form}.jpg") for form in ("NFC", "NFD")]
    with serving({key: Blob(b"x") for key in keys}) as endpoint:
        found = listed(point(endpoint))
        assert set(found) == set(keys)
        assert {photo.label for photo in found.values()} == {unicodedata.normalize("NFC", "Pêche")}


def test_list_of_a_large_bucket(point: Point) -> None:
    keys = {
        f"{half}/variety {number % 131}/photo {number}.jpg" for number in range(30_000) for half in ("Training", "Test")
    }
    keys |= {f"flat/{number}.jpg" for number in range(2500)} | {f"deep/{number}/0.jpg" for number in range(1500)}
    folders = {key.rpartition("/")[0] + "/" for key in keys} | {"Training/", "Test/", "deep/"}
    with serving({key: Blob(b"1" if key in keys else b"") for key in keys | folders}) as endpoint:
        assert set(listed(point(endpoint))) == keys
        assert endpoint.lists < 3 * 131 + 20


def test_read_retries_passing_faults(point: Point) -> None:
    blobs = {f"{number}.jpg": Blob(os.urandom(5000)) for number in range(100)}
    with serving(blobs, Faults(share=0.5, kinds=("503", "500", "reset", "cut", "429"), seed=1)) as endpoint:
        source, retries = impatient(point(endpoint)), []
        for key, photo in listed(source).items():
            assert source.read(key, listed=photo, on_retry=lambda: retries.append(1)) == blobs[key].content
        assert len(retries) == endpoint.faulty.total() > 50
        assert set(endpoint.faulty) - {""} == {"503", "500", "reset", "cut", "429"}


def test_read_reasons(point: Point) -> None:
    expected = {
        "403": "forbidden",
        "404": "gone",
        "changed": "changed",
        "503": "unavailable",
        "reset": "unavailable",
        "cut": "unavailable",
    }
    keys = {f"{fault}.jpg": fault for fault in expected}
    with serving({key: Blob(b"123") for key in keys}, Faults(keys=keys)) as endpoint:
        source = impatient(point(endpoint))
        assert {key: reason(source, key, photo) for key, photo in listed(source).items()} == {
            k: expected[f] for k, f in keys.items()
        }
        tries = {fault: endpoint.gets[key] for key, fault in keys.items()}
        assert (tries["403"], tries["404"], tries["changed"]) == (1, 1, 1)
        assert tries["503"] == tries["cut"] == 1 + len(BACKOFF)
        assert reason(source, "nowhere.jpg") == "gone"


def test_read_raises_input_error_where_all_would_fail(point: Point) -> None:
    faults = {"0.jpg": "InvalidAccessKeyId", "1.jpg": "SignatureDoesNotMatch", "2.jpg": "NoSuchBucket"}
    with serving({key: Blob(b"123") for key in faults}, Faults(keys=faults)) as endpoint:
        source = point(endpoint)
        for path, message in zip(faults, ("not known there", "does not belong", "no such bucket"), strict=True):
            with pytest.raises(InputError, match=message):
                source.read(path)


def test_read_not_patient(point: Point) -> None:
    with serving({"0.jpg": Blob(b"123")}, Faults(keys={"0.jpg": "503"})) as endpoint:
        source, started = open_source(point(endpoint).uri, patient=False), time.monotonic()
        with pytest.raises(PhotoError, match="unavailable: 503 SlowDown"):
            source.read("0.jpg")
        assert time.monotonic() - started < 3
        assert endpoint.gets["0.jpg"] < 1 + len(BACKOFF)


def test_read_of_a_changed_photo(point: Point) -> None:
    with serving({"0.jpg": Blob(b"123")}) as endpoint:
        source = point(endpoint)
        photo = listed(source)["0.jpg"]
        endpoint.blobs["0.jpg"] = Blob(b"1234")
        assert reason(source, "0.jpg", photo) == "changed"
        assert source.read("0.jpg") == b"1234"


def test_read_of_an_object_of_2_gb(point: Point) -> None:
    with serving({"0.jpg": Blob(b"123", claimed=2 << 30)}) as endpoint:
        source = point(endpoint)
        assert reason(source, "0.jpg", listed(source)["0.jpg"]) == "too_large"
        assert not endpoint.gets


def test_source_pickles(point: Point) -> None:
    with serving({"0.jpg": Blob(b"123")}) as endpoint:
        source = point(endpoint)
        source.read("0.jpg")
        assert pickle.loads(pickle.dumps(source)).read("0.jpg") == b"123"


def test_source_sends_no_writes(point: Point) -> None:
    with serving({"0.jpg": Blob(b"123"), "b/": Blob(b"")}) as endpoint:
        source = point(endpoint)
        (photo,) = source.list().photos
        source.read(photo.path, listed=photo)
        assert endpoint.others == []


def test_list_retries_passing_faults(point: Point) -> None:
    keys = {f"{folder}/{number}.jpg" for folder in "ab" for number in range(1500)}
    with serving(
        {key: Blob(b"1") for key in keys}, Faults(lists=("503", "cut", "reset", "", "500", "cut"))
    ) as endpoint:
        assert set(listed(impatient(point(endpoint)))) == keys
    with (
        serving({}, Faults(lists=("403",))) as endpoint,
        pytest.raises(InputError, match=r"access denied \(AccessDenied\)"),
    ):
        listed(point(endpoint))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "AWS_ENDPOINT_URL_S3",
            "http://127.0.0.1:1",
            r"no answer from http://127.0.0.1:1 \(Connection refused\): check the network",
        ),
        ("AWS_ACCESS_KEY_ID", None, "no AWS credentials found"),
        ("AWS_PROFILE", "nobody", "check AWS_PROFILE"),
    ],
)
def test_list_errors(point: Point, monkeypatch: pytest.MonkeyPatch, name: str, value: str | None, message: str) -> None:
    with serving({"0.jpg": Blob(b"123")}) as endpoint:
        source = point(endpoint)
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name)
        started = time.monotonic()
        with pytest.raises(InputError, match=message) as raised:
            listed(source)
        assert time.monotonic() - started < 10
        assert "\n" not in str(raised.value)


def test_list_without_region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION")
    with pytest.raises(InputError, match="no AWS region is set"):
        listed(open_source("s3://bucket"))


def test_list_of_a_missing_bucket(bucket: str) -> None:
    with pytest.raises(InputError, match="there is no such bucket"):
        listed(open_source(f"{bucket}-nowhere"))


def test_read_timeout(point: Point) -> None:
    content = os.urandom(30_000)
    with serving(
        {"0.jpg": Blob(content)}, Faults(bandwidth=20_000)
    ) as endpoint:  # 1.5 s, never half a second without a byte
        source, retries = BucketSource(point(endpoint).uri, backoff=(0.01,), timeout=0.5), list[int]()
        assert source.read("0.jpg", on_retry=lambda: retries.append(1)) == content
        assert retries == []
        endpoint.faults = Freezing(kinds=("freeze",))
        assert source.read("0.jpg", on_retry=lambda: retries.append(1)) == content
        assert retries == [1]


@dataclass(frozen=True)
class Freezing(Faults):
    """The first answer stops in the middle, with the connection left open."""

    asked: Iterator[int] = field(default_factory=itertools.count)

    def of(self, key: str, tries: int) -> str:
        return "" if next(self.asked) else "freeze"


def test_list_without_credentials_of_a_process(point: Point, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config").write_text("[default]\ncredential_process = false\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    with serving({"0.jpg": Blob(b"123")}) as endpoint, pytest.raises(InputError, match="credential") as raised:
        listed(impatient(point(endpoint)))
    assert "\n" not in str(raised.value)


CREDENTIAL_PROCESS = """#!/bin/sh
key=KEY$(cat {number}) end=$(date -u -d +20min +%FT%TZ)
secrets='"SecretAccessKey": "secret", "SessionToken": "token"'
echo '{{"Version": 1, "AccessKeyId": "'$key'", '$secrets', "Expiration": "'$end'"}}'
"""


def test_read_renews_credentials(point: Point, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The chain hands out others when the first have expired, as a role's do; nothing is lost."""
    number = tmp_path / "number"
    number.write_text("0")
    script = tmp_path / "credentials"
    script.write_text(CREDENTIAL_PROCESS.format(number=number))
    script.chmod(0o755)
    (tmp_path / "config").write_text(f"[default]\ncredential_process = {script}\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    with serving({"0.jpg": Blob(b"123")}) as endpoint:
        source = point(endpoint)
        assert source.read("0.jpg") == b"123"
        number.write_text("1")
        endpoint.expired_keys.add("KEY0")
        assert source.read("0.jpg") == b"123"
        assert endpoint.keys_used == {"KEY0", "KEY1"}
