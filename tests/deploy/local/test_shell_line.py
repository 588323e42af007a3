"""The line that `run-local --dry-run` prints, run by a real shell with a `docker` that notes its words."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from orchard_deploy.image.docker_engine import DockerEngine
from orchard_deploy.local.container import ContainerRun
from orchard_deploy.spec import Spec

from tests.deploy.fake_docker import FakeDocker
from tests.deploy.local.conftest import DockerClient
from tests.deploy.local.planned import planned


def words_of(run: ContainerRun, client: DockerClient, shell: str = "sh") -> list[str]:
    """The words that `docker` got from the line, whose exit code is its own."""
    client.says(7)
    line = run.shell_line()
    assert "\n" not in line
    assert subprocess.run([shell, "-c", line], capture_output=True, check=False).returncode == 7
    return client.words()


@pytest.mark.parametrize("shell", ["bash", "sh"])
def test_the_docker_run_line_does_the_same(spec: Spec, docker_client: DockerClient, tmp_path: Path, shell: str) -> None:
    run = planned(spec, output=str(tmp_path / "deep" / "my out"))
    words = words_of(run, docker_client, shell)
    assert words == ["run", "--rm", *run.words()]
    for pair in (["--network", "none"], ["--cap-drop", "ALL"], ["--user", "1000:1001"], ["--cpus", "2"]):
        assert words[words.index(pair[0]) + 1] == pair[1]
    assert {"--read-only", "--rm", "--init"} <= set(words)
    assert [mount for mount in run.mounts if mount not in words] == []
    assert words[-len(run.command) :] == list(run.command)
    assert (tmp_path / "deep" / "my out").is_dir()


def test_paths_that_a_shell_or_docker_would_take_apart_stay_whole(
    spec: Spec, docker_client: DockerClient, tmp_path: Path
) -> None:
    words = words_of(planned(spec, input='/a:b/$HOME/"c", d', output=str(tmp_path / "out")), docker_client)
    assert 'type=bind,"source=/a:b/$HOME/""c"", d",target=/input,readonly' in words


@pytest.mark.parametrize(
    ("facts", "user"),
    [(["name=seccomp,profile=builtin"], "1000:1001"), (["name=rootless"], "0:0"), (["name=selinux"], "1000:1001")],
)
def test_rootless_engines_and_selinux(spec: Spec, fake_docker: FakeDocker, facts: list[str], user: str) -> None:
    fake_docker.facts = {"SecurityOptions": facts}
    words = planned(spec).on(DockerEngine()).words()
    security = [words[place + 1] for place, word in enumerate(words) if word == "--security-opt"]
    assert security == ["no-new-privileges", "label=disable"]
    assert words[words.index("--user") + 1] == user
