"""Bakes of the published weights by TensorFlow. They need the network: a skip would hide that nobody can bake."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import h5py
import pytest
from orchard.network.backbones import MOBILENET_V2

pytestmark = pytest.mark.slow

COMMAND = [sys.executable, "-m", "orchard.network.bake.command"]
FILES = (MOBILENET_V2.tflite_file, MOBILENET_V2.keras_file)


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """In a process of its own: what is printed from C++ counts too."""
    return subprocess.run([*COMMAND, *map(str, words)], capture_output=True, text=True, check=False, timeout=900)


@pytest.fixture(scope="module")
def baked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bake") / "weights"
    done = run("--output", folder)
    assert done.returncode == 0, done.stderr
    assert (len(done.stdout.splitlines()), len(done.stderr.splitlines())) == (1, 1)
    return folder


def kill_while_exporting(folder: Path, *words: str | Path) -> None:
    part = folder.with_name(f".{folder.name}.tmp") / MOBILENET_V2.keras_file
    with subprocess.Popen([*COMMAND, "--output", str(folder), *map(str, words)], stderr=subprocess.DEVNULL) as process:
        while not part.exists():
            assert process.poll() is None
        process.kill()


def test_a_bake_after_a_killed_one_gives_the_same_bytes(baked: Path, tmp_path: Path) -> None:
    """Another process, source and file format: the models do not show it."""
    words = ("--weights", baked / MOBILENET_V2.keras_file)
    kill_while_exporting(tmp_path / "again", *words)
    assert {path.name for path in tmp_path.iterdir()} == {".again.tmp", ".again.lock"}
    done = run("--output", tmp_path / "again", *words, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["source"]["name"] == "file mobilenet_v2.weights.h5"
    for name in FILES:
        assert (tmp_path / "again" / name).read_bytes() == (baked / name).read_bytes()


def test_accept_fingerprint_bakes_other_weights(baked: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.weights.h5"
    other.write_bytes((baked / MOBILENET_V2.keras_file).read_bytes())
    with h5py.File(other, "r+") as file:
        file["layers/conv2d/vars/0"][0, 0, 0, 0] += 0.25
    done = run("--output", tmp_path / "out", "--weights", other, "--accept-fingerprint", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["fingerprint"] != MOBILENET_V2.fingerprint
