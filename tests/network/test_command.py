"""The flags of `orchard weights`."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pytest
from orchard.errors import UsageError, WeightsError
from orchard.network.backbone import Backbone
from orchard.network.backbones import BACKBONES, MOBILENET_V2
from orchard.network.bake.command import add_arguments, run
from orchard.network.weights import cached_weights_folder

from tests.network.baked import write_baked


def weights(*words: str | Path) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return run(parser.parse_args(list(map(str, words))))


def test_the_cache_is_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = cached_weights_folder(MOBILENET_V2)
    write_baked(folder, MOBILENET_V2)
    assert weights() == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert str(folder) in line
    assert MOBILENET_V2.fingerprint in line


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_baked(tmp_path / "out", MOBILENET_V2)
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


@pytest.mark.parametrize("backbone", BACKBONES.values(), ids=BACKBONES)
def test_every_backbone(
    backbone: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    write_baked(cached_weights_folder(backbone), backbone)
    assert weights("--backbone", backbone.name) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(backbone.name)


def test_unknown_backbone() -> None:
    with pytest.raises(UsageError, match="efficientnet_lite0"):
        weights("--backbone", "vgg")


def test_a_folder_is_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_baked(tmp_path / "tuned", MOBILENET_V2, fingerprint="f" * 64, lineage={"parent": "mobilenet_v2"})
    assert weights("--backbone", folder, "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["fingerprint"], printed["lineage"]["parent"]) == ("f" * 64, "mobilenet_v2")
    with pytest.raises(UsageError, match="--force"):
        weights("--backbone", folder, "--force")
    (folder / MOBILENET_V2.keras_file).write_bytes(b"damaged")
    with pytest.raises(WeightsError, match=MOBILENET_V2.keras_file):
        weights("--backbone", folder)
