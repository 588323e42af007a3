"""Pushing to a real registry on loopback: once, and found again by its digest."""

from __future__ import annotations

import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from orchard_deploy.errors import EngineError, ImageError
from orchard_deploy.image.docker_engine import DockerEngine
from orchard_deploy.image.push import push_image

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


def test_an_image_is_pushed_once_and_comes_back_by_its_digest(registry: str, small_image: str) -> None:
    engine, said = DockerEngine(), list[str]()
    remote = f"{registry}/orchard:emr-7.13.0-0123456789ab"
    pinned = push_image(engine, small_image, remote, said.append)
    assert pinned.startswith(f"{registry}/orchard@sha256:")
    assert any("pushed" in line for line in said)

    said.clear()
    assert push_image(engine, small_image, remote, said.append) == pinned
    assert said == [f"{remote} is there already"]

    subprocess.run([CLI, "pull", "--quiet", pinned], capture_output=True, check=True)
    pulled, original = engine.find_image(pinned), engine.find_image(small_image)
    assert pulled
    assert original
    assert pulled.id == original.id


def test_an_image_that_is_not_there_and_a_registry_that_is_not_there_are_told_in_one_line(
    engine: str, small_image: str
) -> None:
    with pytest.raises(ImageError, match="orchard-deploy build"):
        push_image(DockerEngine(), "orchard:never-built", "127.0.0.1:1/orchard:x", print)
    with pytest.raises(EngineError, match=r"127\.0\.0\.1:1/orchard:x"):
        push_image(DockerEngine(), small_image, "127.0.0.1:1/orchard:x", print)


def test_progress_tells_steps_of_large_layers_and_the_end_of_each(tmp_path: Path) -> None:
    from orchard_deploy.image.push import progress

    events = [
        {"id": "a", "status": "Pushing", "progressDetail": {"current": done * 10**8, "total": 5 * 10**8}}
        for done in range(6)
    ]
    lines = list(
        progress(
            [
                *events,
                {"id": "a", "status": "Pushed"},
                {"id": "b", "status": "Layer already exists"},
                {"status": "digest"},
            ]
        )
    )
    assert lines == [
        "layer a: 200 of 500 MB",
        "layer a: 400 of 500 MB",
        "layer a: pushed",
        "layer b: layer already exists",
    ]
