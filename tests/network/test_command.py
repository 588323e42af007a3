"""The flags of `orchard weights`."""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from orchard.errors import UsageError
from orchard.network.backbones import MOBILENET_V2
from orchard.network.bake.command import add_arguments, run
from orchard.network.weights import MANIFEST, cached_weights_folder


def weights(*words: str | Path) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return run(parser.parse_args(list(map(str, words))))


def write_baked(folder: Path) -> None:
    """A folder in order for the published backbone, as far as hashes go."""
    folder.mkdir(parents=True)
    files = {}
    for name in (MOBILENET_V2.tflite_file, MOBILENET_V2.keras_file):
        (folder / name).write_bytes(name.encode())
        files[name] = hashlib.sha256(name.encode()).hexdigest()
    manifest = {"backbone": MOBILENET_V2.name, "fingerprint": MOBILENET_V2.fingerprint, "files": files}
    (folder / MANIFEST).write_text(json.dumps(manifest))


def test_the_cache_is_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = cached_weights_folder(MOBILENET_V2)
    write_baked(folder)
    assert weights() == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert str(folder) in line
    assert MOBILENET_V2.fingerprint in line


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_baked(tmp_path / "out")
    assert weights("--output", tmp_path / "out", "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    expected = (str(tmp_path / "out"), False, MOBILENET_V2.fingerprint)
    assert (printed["folder"], printed["baked"], printed["fingerprint"]) == expected


def test_output_with_other_files(tmp_path: Path) -> None:
    (tmp_path / "apple.jpg").write_bytes(b"apple")
    # In a process of its own, which tells what it imports: other tests import TensorFlow in this one.
    words = [sys.executable, "-X", "importtime", "-m", "orchard.network.bake.command", "--output", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "apple.jpg" in done.stderr
    assert "| tensorflow" not in done.stderr


def test_accept_fingerprint_requires_weights() -> None:
    with pytest.raises(UsageError, match="--weights"):
        weights("--accept-fingerprint")
