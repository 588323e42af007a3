from __future__ import annotations

import pytest
from deltalake import DeltaTable, write_deltalake
from orchard.errors import InputError
from orchard.storage import objects
from orchard.storage.faults import fault_of

import pyarrow as pa  # isort: skip


@pytest.mark.parametrize(
    ("uri", "parts"), [("s3://b", ("b", "")), ("s3a://b/", ("b", "")), ("s3://b/a%20#?/c/", ("b", "a%20#?/c"))]
)
def test_split_uri(uri: str, parts: tuple[str, str]) -> None:
    assert objects.split_uri(uri) == parts
    assert objects.is_object_uri(uri)


@pytest.mark.parametrize("uri", ["gs://b", "az://b", "abfs://b", "file:///b", "/b", "s3"])
def test_is_object_uri(uri: str) -> None:
    assert not objects.is_object_uri(uri)


@pytest.mark.parametrize("key", ["a//b", "/a", "a/", "a/../b", "./a", "a\nb", "\x7f"])
def test_is_addressable(key: str) -> None:
    assert not objects.is_addressable(key)
    assert objects.is_addressable("a b/ç+%20.jpg")


def test_connect_keeps_its_clients(aws: None) -> None:
    first = objects.connect("s3://b", retries=1)
    assert objects.connect("s3://b", retries=1) is first
    assert objects.connect("s3://b", retries=1, timeout=1) is not first
    objects.forget(first)
    assert objects.connect("s3://b", retries=1) is not first
    with pytest.raises(InputError, match="s3://"):
        objects.connect("s3://", retries=1)


def test_storage_options(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {"aws_region": "eu-west-1", "aws_access_key_id": "AKIAEXAMPLE", "aws_secret_access_key": "secret"}
    assert objects.storage_options("s3://b/out") == keys
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localhost:1")
    objects.forget()
    http = {"aws_endpoint": "http://localhost:1", "aws_allow_http": "true"}
    assert objects.storage_options("s3://b") == {**keys, **http, "aws_session_token": "token"}
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    assert objects.storage_options("s3://b") == {"aws_region": "eu-west-1", **http, "aws_skip_signature": "true"}


def test_storage_options_without_credentials(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(InputError, match="s3://b"):
        objects.storage_options("s3://b")


def test_storage_options_serve_delta(bucket: str) -> None:
    uri = f"{bucket}/features"
    write_deltalake(uri, pa.table({"path": ["a"]}), storage_options=objects.storage_options(uri))
    assert DeltaTable(uri, storage_options=objects.storage_options(uri)).version() == 0


def test_fault_of_botocore(bucket: str) -> None:
    client = objects.connect_boto(bucket)
    with pytest.raises(client.exceptions.NoSuchKey) as raised:
        client.get_object(Bucket=bucket.removeprefix("s3://"), Key="none")
    fault = fault_of(raised.value)
    assert fault is not None
    assert (fault.status, fault.code, fault.passing) == (404, "NoSuchKey", False)


def test_fault_of_obstore(bucket: str) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        objects.connect(bucket, retries=0).get("none")
    fault = fault_of(raised.value)
    assert fault is not None
    assert (fault.status, fault.code) == (404, "NoSuchKey")
    assert fault_of(ValueError("x")) is None
