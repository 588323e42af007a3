"""What an engine says of its machine, how it pushes and runs, and how one that does not answer is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from orchard_deploy.__main__ import main
from orchard_deploy.errors import EngineError, ImageError
from orchard_deploy.image.docker_engine import DockerEngine, Machine
from orchard_deploy.image.push import push_image
from orchard_deploy.spec import SPEC_FILE

from tests.deploy.conftest import tree_tag
from tests.deploy.fake_docker import FakeDocker


@pytest.mark.parametrize(
    ("info", "machine"),
    [
        (
            {"Architecture": "x86_64", "SecurityOptions": ["name=apparmor", "name=seccomp,profile=builtin"]},
            Machine(architecture="amd64"),
        ),
        (
            {"Architecture": "aarch64", "SecurityOptions": ["name=selinux", "name=rootless", "name=cgroupns"]},
            Machine(architecture="arm64", rootless=True, selinux=True),
        ),
        ({"SecurityOptions": None}, Machine()),
    ],
)
def test_what_docker_info_says(fake_docker: FakeDocker, info: dict[str, Any], machine: Machine) -> None:
    fake_docker.facts = info
    assert DockerEngine().machine() == machine


def test_an_image_is_pushed_once(fake_docker: FakeDocker) -> None:
    said: list[str] = []
    pushed = push_image(DockerEngine(), "orchard:x", "registry:5000/orchard:x", said.append)
    assert pushed == "registry:5000/orchard@sha256:1"
    assert fake_docker.calls == ["tag registry:5000/orchard:x", "push registry:5000/orchard:x"]
    assert said == ["layer a: pushed"]
    assert push_image(DockerEngine(), "orchard:x", "registry:5000/orchard:x", said.append) == pushed
    assert said[1:] == ["registry:5000/orchard:x is there already"]


def test_what_cannot_be_pushed_is_one_line(fake_docker: FakeDocker) -> None:
    with pytest.raises(ImageError, match="orchard:none: no such image here"):
        push_image(DockerEngine(), "orchard:none", "registry:5000/orchard:x", print)
    fake_docker.events = [{"error": "denied"}]
    with pytest.raises(EngineError, match="push registry:5000/orchard:x: denied"):
        push_image(DockerEngine(), "orchard:x", "registry:5000/orchard:x", print)


def test_push_to_a_registry_by_the_command(
    fake_docker: FakeDocker, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"orchard:{tree_tag(tree)}"
    words = ["push", "--spec", str(tree / SPEC_FILE), "--tree", str(tree), "--registry", "registry:5000"]
    assert main([*words, "--dry-run"]) == 0
    assert capsys.readouterr().out == f"push {name} to registry:5000\n"
    fake_docker.images_there[name] = fake_docker.images_there["orchard:x"]
    assert main(words) == 0
    assert capsys.readouterr().out == "registry:5000/orchard@sha256:1\n"


@pytest.mark.parametrize(("there", "flags", "built"), [(False, [], 1), (True, [], 0), (True, ["--force"], 1)])
def test_an_image_is_built_unless_it_is_there(
    fake_docker: FakeDocker, tree: Path, capfd: pytest.CaptureFixture[str], there: bool, flags: list[str], built: int
) -> None:
    """What is said of another architecture comes before the pull of its base."""
    cli, name = tree / "docker", f"orchard:{tree_tag(tree)}"
    cli.write_text(f"#!/bin/sh\necho pulling\ntouch '{tree}/built'\n", encoding="utf-8")
    cli.chmod(0o755)
    fake_docker.facts, fake_docker.built = {"Architecture": "aarch64"}, tree / "built"
    if there:
        fake_docker.images_there[name] = fake_docker.images_there["orchard:x"]
    assert main(["build", "--spec", str(tree / SPEC_FILE), "--tree", str(tree), "--docker", str(cli), *flags]) == 0
    out, err = capfd.readouterr()
    assert out == f"{name}\n"
    assert err.count("pulling") == err.count("2,000 MB  RUN make") == err.count("2,000 MB  in all") == built
    if built:
        assert 0 < err.index("is for amd64, this engine's machine is arm64") < err.index("pulling")


def test_a_build_that_fails_is_one_line(fake_docker: FakeDocker, tree: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["build", "--spec", str(tree / SPEC_FILE), "--tree", str(tree), "--docker"]
    for cli, message in (("false", "failed (exit code 1)"), ("/none/docker", "/none/docker: No such file")):
        assert main([*words, cli]) == 1
        assert message in capfd.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("machine", "image", "emulated"),
    [("amd64", "amd64", False), ("arm64", "amd64", True), ("amd64", "arm64", True), (None, "arm64", False)],
)
def test_an_image_of_another_architecture_is_one_line(machine: str | None, image: str, emulated: bool) -> None:
    line = Machine(architecture=machine).emulation("orchard:x", image)
    assert (line is not None) == emulated
    if line:
        assert "\n" not in line
        assert line.startswith(f"orchard:x is for {image}")


def test_an_engine_that_does_not_answer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/sock")
    with pytest.raises(EngineError) as raised:
        DockerEngine()
    start = f"Docker engine at unix://{tmp_path}/sock: No such file or directory: start it"
    assert str(raised.value).startswith(start)


def test_the_current_context_names_the_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `docker context use` leaves it; Docker Desktop and Colima do so."""
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / ".docker"))
    folder = tmp_path / ".docker" / "contexts" / "meta" / _digest("colima")
    folder.mkdir(parents=True)
    (tmp_path / ".docker" / "config.json").write_text(json.dumps({"currentContext": "colima"}))
    endpoint = {"docker": {"Host": f"unix://{tmp_path}/colima.sock", "SkipTLSVerify": False}}
    (folder / "meta.json").write_text(json.dumps({"Name": "colima", "Metadata": {}, "Endpoints": endpoint}))
    with pytest.raises(EngineError, match=f"unix://{tmp_path}/colima.sock"):
        DockerEngine()


def _digest(name: str) -> str:
    from hashlib import sha256

    return sha256(name.encode()).hexdigest()
