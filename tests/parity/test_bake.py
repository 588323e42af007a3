"""One real bake of the published weights, as `make demo` and the image do it, and what TensorFlow and LiteRT make of it.

Needs the network once, for the weights: if they cannot be had these tests fail, since a skip would hide that nobody can bake.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import pytest
from orchard.network.backbones import MOBILENET_V2
from orchard.network.bake.arrays import sha256
from orchard.network.weights import MANIFEST, check_weights

ROOT = Path(__file__).parents[2]
FILES = (MOBILENET_V2.tflite_file, MOBILENET_V2.keras_file)


def run(module: str, *args: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command of `image` in a process of its own: what it prints from C++ counts too."""
    command = [sys.executable, "-m", module, *map(str, args)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=900)


def kill_while_writing(*args: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "orchard.network.bake.bake", *args], cwd=ROOT, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr
        while "writing" not in process.stderr.readline():
            assert process.poll() is None
        process.kill()


@pytest.fixture(scope="session")
def first_bake(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    folder = tmp_path_factory.mktemp("bake") / "weights"
    done = run("orchard.network.bake.bake", "--output", folder)
    assert done.returncode == 0, done.stderr
    return folder, done


@pytest.fixture(scope="session")
def baked(first_bake: tuple[Path, subprocess.CompletedProcess[str]]) -> Path:
    return first_bake[0]


@pytest.fixture
def copy(baked: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(baked, tmp_path / "copy"))


def rewrite_manifest(folder: Path, **changes: object) -> None:
    """Change a manifest, and make its hashes right for whatever is in the folder now."""
    path = folder / MANIFEST
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, "files": {name: sha256(folder / name) for name in FILES}, **changes}))


def shift_first_value(path: Path, amount: float) -> None:
    with h5py.File(path, "r+") as file:
        file["layers/conv2d/vars/0"][0, 0, 0, 0] += amount


def test_weights_are_the_published_ones(baked: Path) -> None:
    assert check_weights(MOBILENET_V2, str(baked)).fingerprint == MOBILENET_V2.fingerprint


def test_bake_says_one_line_a_step_and_nothing_of_tensorflow(
    first_bake: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    done = first_bake[1]
    (result,) = done.stdout.splitlines()
    assert result.startswith("mobilenet_v2: baked in ")
    assert 3 <= len(done.stderr.splitlines()) <= 5
    assert all(line.startswith(("mobilenet_v2: ", "https://", "package ")) for line in done.stderr.splitlines())


def test_verify_accepts_it_and_says_how_close_the_runtimes_are(baked: Path) -> None:
    done = run("orchard.network.bake.verify", baked)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == ["files", "weights", "LiteRT model", "picture"]
    assert MOBILENET_V2.fingerprint in lines[1]


def test_a_bake_after_a_killed_one_gives_the_same_bytes(baked: Path, tmp_path: Path) -> None:
    """Another process, another source, another file format: the models may not tell."""
    args = ["--output", str(tmp_path / "again"), "--weights", str(baked / MOBILENET_V2.keras_file), "--json"]
    kill_while_writing(*args)
    assert {path.name for path in tmp_path.iterdir()} == {".again.tmp", ".again.lock"}

    done = run("orchard.network.bake.bake", *args)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"again", ".again.lock"}
    assert json.loads(done.stdout)["source"]["name"] == "file mobilenet_v2.weights.h5"
    for name in FILES:
        assert (tmp_path / "again" / name).read_bytes() == (baked / name).read_bytes()


def test_other_weights_are_refused_unless_accepted(copy: Path, tmp_path: Path) -> None:
    other = copy / MOBILENET_V2.keras_file
    shift_first_value(other, 0.25)
    refused = run("orchard.network.bake.bake", "--output", tmp_path / "out", "--weights", other)
    assert refused.returncode == 1
    assert MOBILENET_V2.fingerprint in refused.stderr
    assert not (tmp_path / "out").exists()

    accepted = run(
        "orchard.network.bake.bake", "--output", tmp_path / "out", "--weights", other, "--accept-fingerprint", "--json"
    )
    assert accepted.returncode == 0, accepted.stderr
    recorded = json.loads(accepted.stdout)["fingerprint"]
    assert recorded != MOBILENET_V2.fingerprint
    assert recorded in refused.stderr
    verified = run("orchard.network.bake.verify", tmp_path / "out")
    assert verified.returncode == 0, verified.stderr
    assert f"fingerprint {recorded}, not the published" in verified.stdout


def test_verify_refuses_weights_that_their_manifest_does_not_know(copy: Path) -> None:
    shift_first_value(copy / MOBILENET_V2.keras_file, 0.25)
    rewrite_manifest(copy)
    done = run("orchard.network.bake.verify", copy)
    assert done.returncode == 1
    assert "fingerprint is" in done.stderr
    assert MOBILENET_V2.fingerprint in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_verify_refuses_a_model_that_computes_something_else(copy: Path) -> None:
    """The two files are each in order, but of different weights."""
    path = copy / MOBILENET_V2.tflite_file
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 40_000] = bytes(40_000)
    path.write_bytes(content)
    rewrite_manifest(copy)
    done = run("orchard.network.bake.verify", copy)
    assert done.returncode == 1
    assert "LiteRT and Keras differ by" in done.stderr
