"""Pushing to a real registry on loopback, and pulling from it."""

from __future__ import annotations

import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator

import pytest
from orchard_deploy.errors import EngineError
from orchard_deploy.image.docker_engine import DockerEngine

from tests.container.conftest import CLI

pytestmark = pytest.mark.container

CONFIG = """
version: 0.1
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: 127.0.0.1:{port}}}
"""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, registry_program: str) -> Iterator[str]:
    """`host:port` of a registry that answers."""
    folder, port = tmp_path_factory.mktemp("registry"), free_port()
    (folder / "config.yml").write_text(CONFIG.format(folder=folder / "data", port=port), encoding="utf-8")
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen([registry_program, "serve", str(folder / "config.yml")], stdout=log, stderr=log)
    try:
        _wait_for(f"http://127.0.0.1:{port}/v2/")
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def test_an_image_is_pushed_and_comes_back(registry: str, small_image: str) -> None:
    engine, remote = DockerEngine(), f"{registry}/orchard:emr-7.13.0-0123456789ab"
    lines = list(engine.push(small_image, remote, {}))
    assert lines
    assert all(line.endswith(": pushed") for line in lines)
    assert all(line.endswith(": layer already exists") for line in engine.push(small_image, remote, {}))

    original = engine.find_image(small_image)
    subprocess.run([CLI, "rmi", remote], capture_output=True, check=True)
    subprocess.run([CLI, "pull", "--quiet", remote], capture_output=True, check=True)
    pulled = engine.find_image(remote)
    assert pulled
    assert original
    assert pulled.id == original.id


def test_a_registry_that_is_not_there_is_told_in_one_line(engine: str, small_image: str) -> None:
    with pytest.raises(EngineError, match=r"127\.0\.0\.1:1/orchard:x"):
        list(DockerEngine().push(small_image, "127.0.0.1:1/orchard:x", {}))
