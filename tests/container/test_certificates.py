"""Photos in S3 behind a certificate of a company's own authority, as proxies that look into TLS have one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import BotoCoreError

from tests.container.test_push import free_port
from tests.container.test_run_local import last_line, orchard_deploy

pytestmark = pytest.mark.container
KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}
# An authority of one's own, and a certificate of it for this machine.
OPENSSL = """
openssl req -x509 -newkey rsa:2048 -nodes -keyout ca-key.pem -out ca.pem -days 1 -subj /CN=company
openssl req -newkey rsa:2048 -nodes -keyout key.pem -out request.pem -subj /CN=localhost
printf 'subjectAltName=DNS:localhost\\nbasicConstraints=CA:FALSE\\n' >extensions
openssl x509 -req -in request.pem -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 1 -extfile extensions -out cert.pem
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The authority's certificate; key.pem and cert.pem are beside it."""
    folder = tmp_path_factory.mktemp("certificates")
    if not shutil.which("openssl"):
        pytest.skip("no openssl on this machine")
    subprocess.run(["sh", "-ec", OPENSSL], cwd=folder, capture_output=True, check=True)
    return folder / "ca.pem"


@pytest.fixture(scope="module")
def endpoint(bundle: Path, drawn: Path) -> Iterator[str]:
    """S3 behind that certificate, with the drawn photos."""
    port = free_port()
    words = ["-H", "127.0.0.1", "-p", str(port), "--ssl", "-c", "cert.pem", "-k", "key.pem"]
    with open(bundle.parent / "log", "wb") as log:
        command = [sys.executable, "-m", "moto.server", *words]
        process = subprocess.Popen(command, cwd=bundle.parent, stdout=log, stderr=log)
    try:
        url = f"https://localhost:{port}"
        upload(_client(url, bundle), drawn)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def _client(url: str, bundle: Path) -> Any:
    words = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
    return boto3.client("s3", endpoint_url=url, verify=str(bundle), **words)


def upload(s3: Any, photos: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            s3.create_bucket(Bucket="photos")
            break
        except BotoCoreError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)
    for path in photos.rglob("*.jpg"):
        s3.put_object(Bucket="photos", Key=path.relative_to(photos).as_posix(), Body=path.read_bytes())


def run(image: str, endpoint: str, output: str, **environ: str) -> subprocess.CompletedProcess[str]:
    places = ("--input", "s3://photos", "--output", output)
    own = {name: value for name, value in os.environ.items() if name != "SSL_CERT_FILE"}  # which this machine may need
    settings = {**own, **KEYS, "AWS_ENDPOINT_URL": endpoint, **environ}
    return orchard_deploy("run-local", "--image", image, "--network", "host", *places, environ=settings)


def test_without_the_bundle_it_is_one_line(image: str, endpoint: str, tmp_path: Path) -> None:
    done = run(image, endpoint, str(tmp_path / "out"))
    assert done.returncode == 1
    assert endpoint in last_line(done)


@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_with_the_bundle_photos_are_read(
    image: str, endpoint: str, bundle: Path, tmp_path: Path, variable: str
) -> None:
    done = run(image, endpoint, str(tmp_path / "out"), **{variable: str(bundle)})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "24 photos" in done.stdout
