"""Baked folders as the job finds and checks them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from orchard.errors import WeightsError
from orchard.network.backbones import MOBILENET_V2
from orchard.network.weights import MANIFEST, cached_weights_folder, check_weights, contract, find_weights

FILES = (MOBILENET_V2.tflite_file, MOBILENET_V2.keras_file)


@pytest.fixture
def manifest() -> dict[str, object]:
    return {"fingerprint": "f" * 64, "files": dict.fromkeys(FILES, hashlib.sha256(b"model").hexdigest())}


def write(folder: Path, manifest: object) -> Path:
    folder.mkdir(parents=True)
    for name in FILES:
        (folder / name).write_bytes(b"model")
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return folder


def test_find_weights_by_flag_variable_and_cache(
    tmp_path: Path, manifest: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    flag, variable = write(tmp_path / "flag", manifest), write(tmp_path / "variable", manifest)
    cached = write(cached_weights_folder(MOBILENET_V2), manifest)
    assert find_weights(MOBILENET_V2, str(flag)).folder == str(flag)
    assert find_weights(MOBILENET_V2, None).folder == str(cached)
    monkeypatch.setenv("ORCHARD_WEIGHTS", str(variable))
    assert find_weights(MOBILENET_V2, None).folder == str(variable)


def test_cached_weights_folder_differs_by_fingerprint() -> None:
    other = replace(MOBILENET_V2, fingerprint="0" * 64)
    assert cached_weights_folder(other) != cached_weights_folder(MOBILENET_V2)


def test_check_weights_compares_every_file(tmp_path: Path, manifest: dict[str, object]) -> None:
    folder = write(tmp_path / "out", manifest)
    assert check_weights(MOBILENET_V2, str(folder)).fingerprint == "f" * 64
    (folder / FILES[0]).write_bytes(b"other")
    with pytest.raises(WeightsError, match=hashlib.sha256(b"other").hexdigest()):
        check_weights(MOBILENET_V2, str(folder))
    (folder / FILES[0]).unlink()
    with pytest.raises(WeightsError, match="orchard weights"):
        check_weights(MOBILENET_V2, str(folder))


@pytest.mark.parametrize("content", [[], {}, {"fingerprint": "", "files": {"vgg.tflite": ""}}, {"files": []}])
def test_check_weights_refuses_other_manifests(tmp_path: Path, content: object) -> None:
    with pytest.raises(WeightsError):
        check_weights(MOBILENET_V2, str(write(tmp_path / "out", content)))


def test_check_weights_without_a_folder(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="orchard weights"):
        check_weights(MOBILENET_V2, str(tmp_path / "none"))


@pytest.mark.parametrize("name", ["backbone", "input_size", "preprocessing", "feature_size"])
def test_check_weights_refuses_another_contract(tmp_path: Path, manifest: dict[str, object], name: str) -> None:
    facts = contract(MOBILENET_V2)
    assert check_weights(MOBILENET_V2, str(write(tmp_path / "same", manifest | facts)))
    with pytest.raises(WeightsError, match=name):
        check_weights(MOBILENET_V2, str(write(tmp_path / "other", manifest | facts | {name: "other"})))


def test_find_weights_in_a_folder_of_several(tmp_path: Path, manifest: dict[str, object]) -> None:
    write(tmp_path / "all" / MOBILENET_V2.name, manifest)
    assert find_weights(MOBILENET_V2, str(tmp_path / "all")).folder == str(tmp_path / "all" / MOBILENET_V2.name)
    with pytest.raises(WeightsError, match="--backbone resnet50"):
        find_weights(replace(MOBILENET_V2, name="resnet50"), str(tmp_path / "all"))
