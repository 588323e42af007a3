"""The lines that `run-local --dry-run` prints, run by a real shell.

A `docker` that notes its words stands in for Docker's.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.by_hand import shell_lines
from deploy.output_folder import NOBODY, ROOT
from deploy.run_local import Locally, plan_run
from deploy.spec import Spec

CALLER = (os.getuid(), os.getgid())
ASKED = Locally(
    image="orchard:x", input="/my photos", output="/out", slots=4, cpus=2, memory=6 << 30, user=(1000, 1001)
)
# Notes its words, and what it finds in the folders and files that are to be mounted, then writes a result.
DOCKER = """#!/bin/bash
printf '%s\\0' "$@" >words
for word; do
    case $word in
        *target=/output) out=${word#*source=}; out=${out%,target=*}; \\
            stat -c '%u:%g' "$out" >lent; touch "$out/report.json" ;;
        *target=/etc/passwd,*) passwd=${word#*source=}; cat "${passwd%%,*}" >passwd ;;
        *target=/aws/*) copy=${word#*source=}; copy=${copy%%,*}; cat "$copy" >copy; stat -c '%u:%g %a' "$copy" >>copy ;;
    esac
done
exit 7
"""


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with the stand-in for `docker`."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "docker").write_text(DOCKER, encoding="utf-8")
    (tmp_path / "bin" / "docker").chmod(0o755)
    (tmp_path / "tmp").mkdir()
    return tmp_path


def by_hand(spec: Spec, asked: Locally, desk: Path, caller: tuple[int, int] = CALLER, shell: str = "bash") -> list[str]:
    """The words that `docker` got, from lines that end as it did and leave no file."""
    script = "\n".join(shell_lines(plan_run(spec, asked), caller))
    environ = {**os.environ, "PATH": f"{desk / 'bin'}:{os.environ['PATH']}", "TMPDIR": str(desk / "tmp")}
    done = subprocess.run(
        [shell, "-c", script], cwd=desk, env=environ, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (7, "")
    assert list((desk / "tmp").iterdir()) == []
    return (desk / "words").read_text(encoding="utf-8").split("\0")[:-1]


@pytest.mark.parametrize("shell", ["bash", "sh"])
def test_the_docker_run_line_says_the_same(spec: Spec, desk: Path, shell: str) -> None:
    asked = replace(ASKED, output=str(desk / "deep" / "my out"), user=CALLER)
    words = by_hand(spec, asked, desk, shell=shell)
    assert words[0] == "run"
    mine = "{}:{}".format(*CALLER)
    for pair in (["--network", "none"], ["--cap-drop", "ALL"], ["--user", mine], ["--cpus", "2"]):
        assert words[words.index(pair[0]) + 1] == pair[1]
    assert "--read-only" in words
    assert "type=bind,source=/my photos,target=/input,readonly" in words
    assert words[words.index("orchard:x") + 1 :] == list(plan_run(spec, asked).command)
    assert (desk / "passwd").read_text(encoding="utf-8") == f"root:x:0:0::/tmp:/bin/sh\nhadoop:x:{mine}::/tmp:/bin/sh\n"


def test_a_new_output_folder_is_the_callers(spec: Spec, desk: Path) -> None:
    by_hand(spec, replace(ASKED, output=str(desk / "new" / "out"), user=CALLER), desk)
    assert (desk / "lent").read_text(encoding="utf-8") == "{}:{}\n".format(*CALLER)
    assert (desk / "new" / "out" / "report.json").exists()


def test_paths_that_a_shell_or_docker_would_take_apart_stay_whole(spec: Spec, desk: Path) -> None:
    words = by_hand(spec, replace(ASKED, input='/a:b/$files/"c", d', output=str(desk / "out"), user=CALLER), desk)
    assert 'type=bind,"source=/a:b/$files/""c"", d",target=/input,readonly' in words


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give files away")
def test_root_lends_the_folder_and_takes_it_back_for_its_owner(spec: Spec, desk: Path) -> None:
    (desk / "out").mkdir()
    (desk / "out" / ".lock").touch()
    os.chown(desk / "out", 1000, 1001)
    (desk / "credentials").write_text("keys\n", encoding="utf-8")
    files = {"AWS_SHARED_CREDENTIALS_FILE": desk / "credentials"}
    by_hand(spec, replace(ASKED, output=str(desk / "out"), user=NOBODY, aws_files=files), desk, ROOT)
    lent = "{}:{}".format(*NOBODY)
    assert (desk / "lent").read_text(encoding="utf-8") == f"{lent}\n"
    assert (desk / "copy").read_text(encoding="utf-8") == f"keys\n{lent} 400\n"
    assert {(path.stat().st_uid, path.stat().st_gid) for path in (desk / "out", *(desk / "out").iterdir())} == {
        (1000, 1001)
    }
