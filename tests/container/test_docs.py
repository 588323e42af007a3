"""The `docker run` line of docs/aws.md, word for word, as the image's own user."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.container.conftest import CLI
from tests.deploy.conftest import ROOT
from tests.run.golden import PARTITIONS, Golden
from tests.runs import Output

pytestmark = pytest.mark.container


def shell_lines(section: str) -> str:
    """The shell block of docs/aws.md that holds a plain `docker run`."""
    blocks = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    (found,) = [block for block in blocks if "docker run" in block and "orchard-deploy run-local" not in block]
    return str(found)


def test_the_plain_line_gives_the_golden_features(image: str, shared: Path, tmp_path: Path) -> None:
    golden = Golden(shared, "sample50", tmp_path, copies=True)
    shutil.move(golden.photos, tmp_path / "photos")
    page = (ROOT / "docs" / "aws.md").read_text(encoding="utf-8")
    script = shell_lines(page).replace('"$(orchard-deploy build)"', image)
    assert "--user" not in script
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "docker").symlink_to(CLI)
    environ = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    command = ["bash", "-euc", f"umask 0; {script}"]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    output = Output(tmp_path / "out")
    golden.assert_same(output)
    assert output.report["partitions"] == PARTITIONS
    assert output.report["image"] == image.rpartition(":")[2]
    assert {path.stat().st_uid for path in output.folder.rglob("*")} != {os.getuid()}
