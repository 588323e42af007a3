"""What an engine says of its machine, and how one that does not answer is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from orchard_deploy.__main__ import main
from orchard_deploy.errors import EngineError
from orchard_deploy.image.docker_engine import DockerEngine
from orchard_deploy.spec import SPEC_FILE

from tests.deploy.conftest import tree_tag
from tests.deploy.fake_docker import FakeDocker


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["name=apparmor", "name=seccomp,profile=builtin"], (False, False)),
        (["name=selinux", "name=rootless", "name=cgroupns"], (True, True)),
        (None, (False, False)),
    ],
)
def test_what_docker_info_says(fake_docker: FakeDocker, options: list[str] | None, expected: tuple[bool, bool]) -> None:
    fake_docker.facts = {"SecurityOptions": options}
    engine = DockerEngine()
    assert (engine.rootless, engine.selinux) == expected


@pytest.mark.parametrize(("there", "flags", "built"), [(False, [], 1), (True, [], 0), (True, ["--force"], 1)])
def test_an_image_is_built_unless_it_is_there(
    fake_docker: FakeDocker, tree: Path, capfd: pytest.CaptureFixture[str], there: bool, flags: list[str], built: int
) -> None:
    """What is said of another architecture comes before the pull of its base."""
    cli, name = tree / "docker", f"orchard:{tree_tag(tree)}"
    cli.write_text(f"#!/bin/sh\necho pulling\ntouch '{tree}/built'\n", encoding="utf-8")
    cli.chmod(0o755)
    fake_docker.architecture, fake_docker.built = "arm64", tree / "built"
    if there:
        fake_docker.images_there[name] = fake_docker.images_there["orchard:x"]
    assert main(["build", "--spec", str(tree / SPEC_FILE), "--tree", str(tree), "--docker", str(cli), *flags]) == 0
    out, err = capfd.readouterr()
    assert out == f"{name}\n"
    assert err.count("pulling") == built
    if built:
        assert 0 < err.index("is for amd64, this engine's machine is arm64") < err.index("pulling")


def test_a_build_that_fails_is_one_line(fake_docker: FakeDocker, tree: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["build", "--spec", str(tree / SPEC_FILE), "--tree", str(tree), "--docker"]
    for cli, message in (("false", "failed (exit code 1)"), ("/none/docker", "/none/docker: No such file")):
        assert main([*words, cli]) == 1
        assert message in capfd.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("machine", "image", "emulated"),
    [("amd64", "amd64", False), ("arm64", "amd64", True), ("amd64", "arm64", True), ("arm64", "arm64", False)],
)
def test_an_image_of_another_architecture_is_one_line(
    fake_docker: FakeDocker, capsys: pytest.CaptureFixture[str], machine: str, image: str, emulated: bool
) -> None:
    fake_docker.architecture = machine
    DockerEngine().say_emulation("orchard:x", image)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == emulated
    assert all(line.startswith(f"orchard-deploy: orchard:x is for {image}") for line in lines)


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
