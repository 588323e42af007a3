"""Photos in object storage, against a small endpoint that does wrong what it is asked to, and against moto."""

from __future__ import annotations

import itertools
import os
import pickle
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from orchard.errors import InputError, PhotoError
from orchard.photos.access import WITNESSES, check_access, find_witnesses
from orchard.photos.buckets import BACKOFF, BucketSource
from orchard.photos.source import Photo, PhotoSource, open_source
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
    photos = list(source.photos())
    assert len({photo.path for photo in photos}) == len(photos)
    return {photo.path: photo for photo in photos}


def reason(source: PhotoSource, path: str, photo: Photo | None = None) -> str:
    with pytest.raises(PhotoError) as raised:
        source.read(path, listed=photo)
    assert "\n" not in raised.value.detail
    return raised.value.reason


def test_photos_are_listed_with_their_label_size_and_time(point: Point) -> None:
    blobs = {"Training/Apple 1/0.jpg": Blob(b"12345", 1_500_000_000), "top.PNG": Blob(b"1"), "notes.txt": Blob(b"1")}
    with serving(blobs) as endpoint:
        assert listed(point(endpoint)) == {
            "Training/Apple 1/0.jpg": Photo("Training/Apple 1/0.jpg", "Apple 1", 5, 1_500_000_000_000_000),
            "top.PNG": Photo("top.PNG", BUCKET, 1, 1_700_000_000_000_000),
        }
        below = open_source(f"s3://{BUCKET}/Training/")
        assert listed(below) == {"Apple 1/0.jpg": Photo("Apple 1/0.jpg", "Apple 1", 5, 1_500_000_000_000_000)}
        assert below.read("Apple 1/0.jpg") == b"12345"
        assert {photo.label for photo in open_source(f"s3://{BUCKET}/Training/Apple 1").photos()} == {"Apple 1"}


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


def test_keys_of_every_kind_are_listed_and_read_back(bucket: str) -> None:
    import boto3

    client, name = boto3.client("s3", region_name="eu-west-1"), bucket.removeprefix("s3://")
    keys = [f"in put %20#/Ünï &+/{photo}" for photo in NAMES]
    for key in keys:
        client.put_object(Bucket=name, Key=key, Body=key.encode())
    for folder in ("in put %20#/", "in put %20#/empty/", "in put %20#/folder.jpg/", "in put %20#/Ünï &+/"):
        client.put_object(Bucket=name, Key=folder, Body=b"")
    source = open_source(f"{bucket}/in put %20#")
    assert set(listed(source)) == {key.removeprefix("in put %20#/") for key in keys}
    for photo in source.photos():
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
def test_any_key_is_listed_and_read_back(point: Point, names: set[str]) -> None:
    keys = {f"{name}.jpg" for name in names}
    with serving({key: Blob(key.encode()) for key in keys}) as endpoint:
        source = point(endpoint)
        assert set(listed(source)) == keys
        assert all(source.read(key) == key.encode() for key in keys)


def test_hidden_names_and_folders_are_left_out(point: Point) -> None:
    names = [".hidden.jpg", "a/._0.jpg", ".git/0.jpg", "a/", "b.jpg/", "c/d.png/", "e/photo.jpg", "empty.jpg"]
    with serving(
        {name: Blob(b"x" if "photo" in name or name.startswith((".", "a/.")) else b"") for name in names}
    ) as endpoint:
        assert set(listed(point(endpoint))) == {"e/photo.jpg", "empty.jpg"}


def test_a_key_that_cannot_be_addressed_is_named(point: Point) -> None:
    blobs, message = {"a/0.jpg": Blob(b"1"), "a//b.jpg": Blob(b"1")}, r"the key 'a//b\.jpg' has an empty part"
    with serving(blobs) as endpoint, pytest.raises(InputError, match=message) as raised:
        listed(point(endpoint))
    assert "\n" not in str(raised.value)


def test_a_large_bucket_is_listed_folder_by_folder(point: Point) -> None:
    keys = {
        f"{half}/variety {number % 131}/photo {number}.jpg" for number in range(30_000) for half in ("Training", "Test")
    }
    keys |= {f"flat/{number}.jpg" for number in range(2500)} | {f"deep/{number}/0.jpg" for number in range(1500)}
    folders = {key.rpartition("/")[0] + "/" for key in keys} | {"Training/", "Test/", "deep/"}
    with serving({key: Blob(b"1" if key in keys else b"") for key in keys | folders}) as endpoint:
        assert set(listed(point(endpoint))) == keys
        assert endpoint.lists < 3 * 131 + 20


def test_faults_that_pass_are_tried_again_and_counted(point: Point) -> None:
    blobs = {f"{number}.jpg": Blob(os.urandom(5000)) for number in range(100)}
    with serving(blobs, Faults(share=0.5, kinds=("503", "500", "reset", "cut", "429"), seed=1)) as endpoint:
        source, retries = impatient(point(endpoint)), []
        for key, photo in listed(source).items():
            assert source.read(key, listed=photo, on_retry=lambda: retries.append(1)) == blobs[key].content
        assert len(retries) == endpoint.faulty.total() > 50
        assert set(endpoint.faulty) - {""} == {"503", "500", "reset", "cut", "429"}


def test_each_photo_that_cannot_be_had_says_why(point: Point) -> None:
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


def test_what_would_befall_every_photo_is_not_one_photos_fault(point: Point) -> None:
    faults = {"0.jpg": "InvalidAccessKeyId", "1.jpg": "SignatureDoesNotMatch", "2.jpg": "NoSuchBucket"}
    with serving({key: Blob(b"123") for key in faults}, Faults(keys=faults)) as endpoint:
        source = point(endpoint)
        for path, message in zip(faults, ("not known there", "does not belong", "no such bucket"), strict=True):
            with pytest.raises(InputError, match=message):
                source.read(path)


def test_an_impatient_reader_is_told_soon(point: Point) -> None:
    with serving({"0.jpg": Blob(b"123")}, Faults(keys={"0.jpg": "503"})) as endpoint:
        source, started = point(endpoint), time.monotonic()
        with pytest.raises(PhotoError, match="unavailable: 503 SlowDown"):
            source.read("0.jpg", patient=False)
        assert time.monotonic() - started < 3
        assert endpoint.gets["0.jpg"] < 1 + len(BACKOFF)


def test_what_grew_since_the_listing_is_not_read(point: Point) -> None:
    with serving({"0.jpg": Blob(b"123")}) as endpoint:
        source = point(endpoint)
        photo = listed(source)["0.jpg"]
        endpoint.blobs["0.jpg"] = Blob(b"1234")
        assert reason(source, "0.jpg", photo) == "changed"
        assert source.read("0.jpg") == b"1234"


def test_an_object_of_2_gb_is_refused_by_its_listed_size(point: Point) -> None:
    with serving({"0.jpg": Blob(b"123", claimed=2 << 30)}) as endpoint:
        source = point(endpoint)
        assert reason(source, "0.jpg", listed(source)["0.jpg"]) == "too_large"
        assert not endpoint.gets


def test_a_source_is_an_address(point: Point) -> None:
    with serving({"0.jpg": Blob(b"123")}) as endpoint:
        source = point(endpoint)
        source.read("0.jpg")
        assert pickle.loads(pickle.dumps(source)).read("0.jpg") == b"123"


def test_only_reading_is_ever_asked_for(point: Point) -> None:
    with serving({"0.jpg": Blob(b"123"), "b/": Blob(b"")}) as endpoint:
        source = point(endpoint)
        find_witnesses(source, list(source.photos()))
        assert endpoint.others == []


def test_a_listing_outlives_passing_faults(point: Point) -> None:
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
def test_what_is_wrong_with_everything_is_one_line_within_seconds(
    point: Point, monkeypatch: pytest.MonkeyPatch, name: str, value: str | None, message: str
) -> None:
    with serving({"0.jpg": Blob(b"123")}) as endpoint:
        source = point(endpoint)
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name)
        started = time.monotonic()
        with pytest.raises(InputError, match=message) as raised:
            listed(source)
        assert time.monotonic() - started < 10
        assert "\n" not in str(raised.value)


def test_no_region_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION")
    with pytest.raises(InputError, match="no AWS region is set"):
        listed(open_source("s3://bucket"))


def test_a_missing_bucket_is_one_line(bucket: str) -> None:
    with pytest.raises(InputError, match="there is no such bucket"):
        listed(open_source(f"{bucket}-nowhere"))


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        (
            "403",
            r"\(forbidden: 403 AccessDenied\): whoever runs the job must be allowed to read them \(s3:GetObject in a bucket\)",
        ),
        ("404", r"\(gone: 404 NoSuchKey\): check that the place is there"),
        ("400", r"\(unreadable: 400 NoSuchKey\): check that the place is there"),
        ("503", r"\(unavailable: 503 SlowDown\): call again when the storage answers"),
        ("InvalidObjectState", r"\(unreadable: 403 InvalidObjectState: it is archived: restore it first\)"),
        ("KMS.DisabledException", r"\(forbidden: 403 KMS.DisabledException\)"),
    ],
)
def test_a_bucket_whose_photos_all_fail_is_told_by_its_own_reason(point: Point, fault: str, line: str) -> None:
    with serving({f"{number}.jpg": Blob(b"1") for number in range(90)}) as endpoint:
        source = impatient(point(endpoint))
        photos = list(source.photos())
        witnesses = find_witnesses(source, photos)
        endpoint.faults = Faults(keys={photo.path: fault for photo in photos})
        with pytest.raises(InputError, match=f"its photos can be listed, but not read {line}") as raised:
            find_witnesses(source, photos)
        assert "\n" not in str(raised.value)
        with pytest.raises(InputError, match=f"what could be read when the run began cannot be any more {line}"):
            check_access(source, witnesses)
        endpoint.faults = Faults(
            keys={photo.path: fault for photo in photos if photo != witnesses[-1] and fault != "503"}
        )
        check_access(source, witnesses)


def test_throttling_at_the_start_is_waited_for(point: Point) -> None:
    with serving(
        {f"{number}.jpg": Blob(b"1") for number in range(9)}, Faults(share=0.8, kinds=("503",), seed=3)
    ) as endpoint:
        source = impatient(point(endpoint))
        assert len(find_witnesses(source, list(source.photos()))) == WITNESSES
        assert endpoint.faulty["503"] > WITNESSES


def test_a_slow_body_is_read_to_its_end_and_one_that_stops_is_tried_again(point: Point) -> None:
    content = os.urandom(30_000)
    with serving(
        {"0.jpg": Blob(content)}, Faults(bandwidth=20_000)
    ) as endpoint:  # 1.5 s, never half a second without a byte
        source, retries = BucketSource(point(endpoint).uri, backoff=(0.01,), patience=0.5), list[int]()
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


def test_credentials_that_cannot_be_had_are_one_line(
    point: Point, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").write_text("[default]\ncredential_process = false\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    with serving({"0.jpg": Blob(b"123")}) as endpoint, pytest.raises(InputError, match="credential") as raised:
        listed(impatient(point(endpoint)))
    assert "\n" not in str(raised.value)


CREDENTIAL_PROCESS = """#!/bin/sh
key=KEY$(cat {number}) end=$(date -u -d +20min +%FT%TZ)
echo '{{"Version": 1, "AccessKeyId": "'$key'", "SecretAccessKey": "secret", "SessionToken": "token", "Expiration": "'$end'"}}'
"""


def test_credentials_are_renewed_while_a_run_goes_on(
    point: Point, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
