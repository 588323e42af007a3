"""What an image is built from and by: its revision, and the command."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from orchard import __version__
from orchard.network.backbones import MOBILENET_V2
from orchard_deploy.__main__ import main
from orchard_deploy.image.docker_engine import PROXIES, build_command
from orchard_deploy.image.tag import FILES, FOLDERS, find_revision
from orchard_deploy.spec import SPEC_FILE, Spec

from tests.deploy.conftest import ROOT

REVISION = ("abc", 7)


def git(tree: Path, *words: str) -> str:
    who = ["-c", "user.name=Someone", "-c", "user.email=someone@example.com", "-c", "commit.gpgsign=false"]
    return subprocess.run(
        ["git", "-C", str(tree), *who, *words], capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small repository with something of everything that is baked."""
    tree = tmp_path / "tree"
    for folder in FOLDERS:
        (tree / folder).mkdir(parents=True)
        (tree / folder / "main.py").touch()
    for name in FILES:
        (tree / name).touch()
    (tree / ".gitignore").write_text("__pycache__/\n", encoding="utf-8")
    git(tree, "init", "--quiet")
    git(tree, "add", ".")
    git(tree, "commit", "--quiet", "--message", "all")
    return tree


def test_the_revision_is_the_last_commit_to_what_is_baked(tree: Path) -> None:
    commit, time = git(tree, "log", "-1", "--format=%H %ct").split()
    (tree / "README.md").touch()
    git(tree, "add", ".")
    git(tree, "commit", "--quiet", "--message", "more")
    assert find_revision(tree) == (commit, int(time))


@pytest.mark.parametrize("name", ["README.md", "deploy/new.py", "app/__pycache__/main.pyc"])
def test_what_is_not_baked_may_be_as_it_likes(tree: Path, name: str) -> None:
    (tree / name).parent.mkdir(exist_ok=True)
    (tree / name).touch()
    assert re.fullmatch("[0-9a-f]{40}", find_revision(tree)[0])


@pytest.mark.parametrize("name", ["Dockerfile", ".dockerignore", "app/main.py", "app/new.py", "image/main.py"])
def test_what_is_baked_and_not_committed_is_told(tree: Path, name: str) -> None:
    before = find_revision(tree)
    (tree / name).write_text("changed", encoding="utf-8")
    assert find_revision(tree) == (f"{before[0]}-dirty", before[1])
    git(tree, "add", ".")
    assert find_revision(tree)[0] == f"{before[0]}-dirty"
    git(tree, "commit", "--quiet", "--message", "changed")
    assert re.fullmatch("[0-9a-f]{40}", find_revision(tree)[0])


def test_a_tree_that_git_does_not_know_has_no_revision(tree: Path) -> None:
    shutil.rmtree(tree / ".git")
    assert find_revision(tree) == ("unknown", 0)


def test_the_command_says_what_goes_into_the_image(spec: Spec) -> None:
    command = build_command(spec, Path("/tree"), "orchard:emr-1", REVISION, {}, "/usr/bin/docker")
    assert command == [
        *("/usr/bin/docker", "build", "--platform", "linux/amd64", "--tag", "orchard:emr-1"),
        *("--build-arg", "BASE_IMAGE=public.ecr.aws/emr-serverless/spark/emr-7.13.0:latest"),
        *("--build-arg", "BACKBONES=mobilenet_v2"),
        *("--build-arg", f"WEIGHTS_FINGERPRINT={MOBILENET_V2.fingerprint}"),
        *("--build-arg", "IMAGE_TAG=emr-1"),
        *("--build-arg", "REVISION=abc"),
        *("--build-arg", f"VERSION={__version__}"),
        *("--build-arg", "SOURCE_DATE_EPOCH=7"),
        "/tree",
    ]


def test_proxies_reach_the_build_by_their_names_only(spec: Spec) -> None:
    environ = {**dict.fromkeys(PROXIES, "http://me:pass-word@proxy:1"), "NO_PROXY": "", "ALL_PROXY": "http://other:1"}
    command = build_command(spec, Path("/tree"), "orchard:emr-1", REVISION, environ)
    plain = build_command(spec, Path("/tree"), "orchard:emr-1", REVISION, {})
    given = [name for name in PROXIES if name != "NO_PROXY"]
    assert command == [*plain[:-1], *(word for name in given for word in ("--build-arg", name)), "/tree"]


def test_the_printed_line_is_one_for_a_shell(tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = shutil.move(tree, tmp_path / "my tree")
    assert main(["build", "--spec", str(ROOT / SPEC_FILE), "--tree", str(place), "--dry-run"]) == 0
    line = capsys.readouterr().out.removesuffix("\n")
    words = shlex.split(line)
    assert words[:3] == ["DOCKER_BUILDKIT=1", "docker", "build"]
    assert words[-1] == str(place)
