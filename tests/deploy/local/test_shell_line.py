"""The line that `run-local --dry-run` prints, run by a real shell with a `docker` that notes its words."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from orchard_deploy.image.docker_engine import Machine
from orchard_deploy.local.run_local import Locally, plan_run
from orchard_deploy.spec import Spec

ASKED = Locally(
    image="orchard:x", input="/my photos", output="/out", slots=4, cpus=2, memory=6 << 30, user=(1000, 1001)
)
DOCKER = """#!/bin/sh
printf '%s\\0' "$@" >words
exit 7
"""


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with the stand-in for `docker`."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "docker").write_text(DOCKER, encoding="utf-8")
    (tmp_path / "bin" / "docker").chmod(0o755)
    return tmp_path


def words_of(spec: Spec, asked: Locally, desk: Path, shell: str = "sh") -> list[str]:
    """The words that `docker` got from the line, whose exit code is its own."""
    line = plan_run(spec, asked).shell_line()
    assert "\n" not in line
    environ = {**os.environ, "PATH": f"{desk / 'bin'}:{os.environ['PATH']}"}
    done = subprocess.run([shell, "-c", line], cwd=desk, env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (7, "")
    return (desk / "words").read_text(encoding="utf-8").split("\0")[:-1]


@pytest.mark.parametrize("shell", ["bash", "sh"])
def test_the_docker_run_line_does_the_same(spec: Spec, desk: Path, shell: str) -> None:
    asked = replace(ASKED, output=str(desk / "deep" / "my out"), names=Path("/cache/passwd"))
    words, run = words_of(spec, asked, desk, shell), plan_run(spec, asked)
    assert words == run.docker_run()[1:]
    for pair in (["--network", "none"], ["--cap-drop", "ALL"], ["--user", "1000:1001"], ["--cpus", "2"]):
        assert words[words.index(pair[0]) + 1] == pair[1]
    assert {"--read-only", "--rm", "--init"} <= set(words)
    for mount in run.mounts:
        assert mount.word() in words
    assert "type=bind,source=/cache/passwd,target=/etc/passwd,readonly" in words
    assert words[words.index("orchard:x") + 1 :] == list(run.command)
    assert (desk / "deep" / "my out").is_dir()


def test_paths_that_a_shell_or_docker_would_take_apart_stay_whole(spec: Spec, desk: Path) -> None:
    words = words_of(spec, replace(ASKED, input='/a:b/$HOME/"c", d', output=str(desk / "out")), desk)
    assert 'type=bind,"source=/a:b/$HOME/""c"", d",target=/input,readonly' in words


@pytest.mark.parametrize(
    ("machine", "user", "security"),
    [
        (Machine(), (1000, 1001), ["no-new-privileges"]),
        (Machine(rootless=True), (0, 0), ["no-new-privileges"]),
        (Machine(selinux=True), (1000, 1001), ["no-new-privileges", "label=disable"]),
    ],
)
def test_rootless_engines_and_selinux(spec: Spec, machine: Machine, user: tuple[int, int], security: list[str]) -> None:
    run = plan_run(spec, ASKED).on(machine)
    assert run.arguments()["user"] == "{}:{}".format(*user)
    assert run.arguments()["security_opt"] == security
    words = run.docker_run()
    assert [words[place + 1] for place, word in enumerate(words) if word == "--security-opt"] == security
    assert words[words.index("--user") + 1] == "{}:{}".format(*user)
