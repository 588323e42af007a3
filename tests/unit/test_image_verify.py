"""The checks of a baked folder that need no TensorFlow; `tests/parity/test_bake.py` has the others."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from orchard.errors import WeightsError
from orchard.network.backbones import MOBILENET_V2
from orchard.network.bake.bake import contract
from orchard.network.bake.verify import check_manifest, check_shapes, draw_picture, main
from orchard.network.weights import BakedWeights
from orchard.photos.decoding import decode

FILES = {MOBILENET_V2.tflite_file: b"model", MOBILENET_V2.keras_file: b"weights"}


@pytest.fixture
def baked(tmp_path: Path) -> BakedWeights:
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    files = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    write_manifest(tmp_path, {"files": files})
    return BakedWeights(str(tmp_path), MOBILENET_V2.fingerprint, files)


def write_manifest(folder: Path, changes: dict[str, object]) -> None:
    manifest = {
        "backbone": MOBILENET_V2.name,
        "fingerprint": MOBILENET_V2.fingerprint,
        **contract(MOBILENET_V2),
        **changes,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_manifest_in_order(baked: BakedWeights) -> None:
    assert check_manifest(MOBILENET_V2, baked) == "files: 2 match their SHA-256"


def test_manifest_must_list_both_files(baked: BakedWeights) -> None:
    fewer = BakedWeights(baked.folder, baked.fingerprint, {MOBILENET_V2.tflite_file: ""})
    with pytest.raises(WeightsError, match=r"does not list mobilenet_v2.weights.h5"):
        check_manifest(MOBILENET_V2, fewer)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("input_size", [192, 192]),
        ("feature_size", 1024),
        ("preprocessing", {"channels": "BGR", "scale": 1.0, "offset": 0.0}),
    ],
)
def test_manifest_of_another_contract_is_refused(baked: BakedWeights, key: str, value: object) -> None:
    write_manifest(Path(baked.folder), {key: value})
    with pytest.raises(WeightsError, match=f"baked for {key}"):
        check_manifest(MOBILENET_V2, baked)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("content", [b"", b"tampered"])
def test_a_changed_file_fails_with_both_hashes(
    baked: BakedWeights, name: str, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(baked.path(name)).write_bytes(content)
    assert main([baked.folder]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert hashlib.sha256(content).hexdigest() in line
    assert baked.files[name] in line


def test_a_folder_without_a_bake_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "absent")]) == 1
    assert "no baked weights there" in capsys.readouterr().err


def test_bytes_that_are_no_litert_model_are_refused(baked: BakedWeights) -> None:
    with pytest.raises(WeightsError, match="not a LiteRT model"):
        check_shapes(MOBILENET_V2, baked)


def test_drawn_picture_is_a_picture_and_always_the_same() -> None:
    pixels = decode(draw_picture(), (100, 100))
    assert draw_picture() == draw_picture()
    assert pixels.shape == (100, 100, 3)
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 30


def test_importing_the_check_imports_no_runtime() -> None:
    code = "import sys, orchard.network.bake.verify; print(sorted({'tensorflow', 'keras', 'ai_edge_litert', 'pyspark'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert done.stdout == "[]\n"
