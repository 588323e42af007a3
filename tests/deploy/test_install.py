"""`pip install '.[deploy]'` in an empty environment: small, and enough to plan."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from tests.deploy.conftest import ROOT

pytestmark = pytest.mark.slow
# What can be uploaded to a function or kept in a CI cache without a second thought.
MEGABYTES = 60
BAKED = ("Dockerfile", ".dockerignore", "LICENSE", "README.md", "app", "deploy", "emr-serverless.json", "image")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the launchers alone, beside a copy of the source tree: pip leaves its build there."""
    folder = tmp_path_factory.mktemp("install")
    tree = folder / "tree"
    tree.mkdir()
    for name in (*BAKED, "pyproject.toml"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        copy(ROOT / name, tree / name)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    uv = shutil.which("uv") or shutil.which("uv", path=Path(sys.executable).parent)
    if not uv:
        _do_without("no uv: `make .venv/dev` installs it")
    python = str(folder / "venv" / "bin" / "python")
    words = ["pip", "install", "--quiet", "--compile-bytecode", "--python", python, ".[deploy]"]
    done = subprocess.run([uv, *words], cwd=tree, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode:
        _do_without(f"it cannot be installed, for want of a network maybe: {done.stderr.strip()}")
    return folder


def _do_without(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def run(installed: Path, *words: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    environ = {**kept, "HOME": str(installed / "home"), "AWS_EC2_METADATA_DISABLED": "true"}
    command = [str(installed / "venv" / "bin" / words[0]), *words[1:]]
    return subprocess.run(
        command, cwd=installed / "tree", env=environ, capture_output=True, text=True, check=False, timeout=120
    )


def test_it_is_small(installed: Path) -> None:
    size = sum(path.lstat().st_size for path in (installed / "venv").rglob("*") if not path.is_symlink())
    assert size < MEGABYTES * 1_000_000


def test_it_plans_without_an_account(installed: Path) -> None:
    done = run(installed, "orchard-deploy", "plan", "--offline")
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
    assert "12 vCPU" in done.stdout


@pytest.mark.parametrize("words", ["tag", "build --dry-run", "run-local --input app --output out --dry-run"])
def test_it_needs_nothing_of_the_job(installed: Path, words: str) -> None:
    done = run(installed, "orchard-deploy", *words.split())
    assert (done.returncode, done.stderr) == (0, "")


def test_the_job_itself_is_not_in_it(installed: Path) -> None:
    done = run(installed, "orchard", "run", "--input", "app", "--output", "out")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "orchard[local]" in done.stderr
