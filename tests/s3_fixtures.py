"""An S3 endpoint on this machine: moto, in a process of its own, reached the way a user would point the job at it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator

import pytest
from orchard.storage import objects


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """The address of a moto server that holds what all tests put there."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield _wait_for(f"http://127.0.0.1:{port}", process)
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(address: str, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"{address}/moto-api/data.json", timeout=5).close()
            return address
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"moto did not start (exit code {process.poll()}): is moto[server] installed?")


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a user sets: made-up credentials and a region; never those of the person running the tests."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    objects.forget()


@pytest.fixture
def bucket(moto: str, aws: None, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URI of a new, empty bucket of moto's."""
    import boto3

    monkeypatch.setenv("AWS_ENDPOINT_URL", moto)
    name = f"orchard-{uuid.uuid4().hex[:12]}"
    place = {"LocationConstraint": "eu-west-1"}
    boto3.client("s3", region_name="eu-west-1").create_bucket(Bucket=name, CreateBucketConfiguration=place)
    return f"s3://{name}"
