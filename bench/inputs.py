"""What the cases read and need: photos, features, weights, Daft. Each is made when first asked for, outside of any timing."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from app import columns, projection
from app.backbones import MOBILENET_V2
from app.errors import WeightsError
from app.moments import Moments
from app.weights import BakedWeights, cache_root, find_weights
from bench.measure import CaseError

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
DAFT = ("daft==0.7.26", "ai-edge-litert", "pillow", "numpy", "pyarrow")
FILES = 4  # of a table of features: a run's default number of partitions
# These give a spectrum like that of the 2,940 photos' features, which need 124 components for 90 % of the variance: 126 here.
RANK, DECAY, NOISE, SHIFT, DEAD = 300, 0.9, 0.15, 0.1, 32


@dataclass(frozen=True)
class Inputs:
    """Makes what the cases ask for, inside the folder `work` or the user's cache. Each method raises `CaseError` if it cannot."""

    work: Path

    def photos(self, count: int) -> Path:
        """A folder of photos: 50 are those of the golden sample, otherwise the whole training set."""
        return _sample50(self.work / "sample50") if count == 50 else _existing(SHARED / "fruits-360" / "Training")

    def features(self, rows: int) -> tuple[Path, int]:
        """A table of made-up features, and how many components keep 90 % of their variance."""
        return _features(self.work / f"features{rows}", rows)

    def peer(self, name: str) -> Path:
        """A peer's script."""
        return _existing(SHARED / "peers" / name)

    def tflite(self) -> str:
        """The LiteRT model."""
        return _weights().path(MOBILENET_V2.tflite_file)

    def keras(self) -> str:
        """The same weights for Keras."""
        return _weights().path(MOBILENET_V2.keras_file)

    def daft_python(self) -> str:
        """A Python of its own that has Daft, made at first use: Daft is no dependency of Orchard."""
        return _daft(cache_root() / "bench" / "daft")


def _existing(path: Path) -> Path:
    if not path.exists():
        raise CaseError(f"{path.relative_to(ROOT.parent)} is not beside this clone")
    return path


@functools.cache
def _sample50(folder: Path) -> Path:
    with np.load(_existing(SHARED / "golden" / "sample50.npz")) as golden:
        paths = [Path(str(path)) for path in golden["paths"]]
    for path in paths:
        (folder / path.parent.name).mkdir(parents=True, exist_ok=True)
        (folder / path.parent.name / path.name).symlink_to(SHARED / "fruits-360" / path)
    return folder


@functools.cache
def _features(folder: Path, rows: int) -> tuple[Path, int]:
    matrix = make_features(rows)
    folder.mkdir()
    for number, part in enumerate(np.array_split(np.arange(rows), FILES)):
        names = columns.strings([f"{row}.jpg" for row in part])
        labels = columns.strings([f"variety {row % 50}" for row in part])
        table = pa.table({"path": names, "label": labels, "features": columns.float_lists(matrix[part])})
        pq.write_table(table, folder / f"part-{number:05}.parquet")
    return folder, projection.fit(Moments.of(matrix), variance=0.90).k


def make_features(rows: int, seed: int = 0) -> npt.NDArray[np.float32]:
    """Features like a network's after ReLU and pooling: low rank plus noise, none negative, many zero, some columns always."""
    random = np.random.default_rng(seed)
    strength = np.arange(1, RANK + 1, dtype=np.float32) ** -DECAY
    loadings = random.standard_normal((RANK, MOBILENET_V2.feature_size), dtype=np.float32) * (strength / np.linalg.norm(strength))[:, None]
    features = random.standard_normal((rows, RANK), dtype=np.float32) @ loadings
    features += NOISE * random.standard_normal(features.shape, dtype=np.float32) + SHIFT
    features[:, :DEAD] = 0
    return np.maximum(features, 0).astype(np.float32)


@functools.cache
def _weights() -> BakedWeights:
    try:
        return find_weights(MOBILENET_V2, None)
    except WeightsError:
        _must([sys.executable, "-m", "image.bake"])
        return find_weights(MOBILENET_V2, None)


@functools.cache
def _daft(folder: Path) -> str:
    python = str(folder / "bin" / "python")
    if not (folder / "finished").exists():
        _must([sys.executable, "-m", "venv", "--clear", str(folder)])
        _must([python, "-m", "pip", "install", "--quiet", *DAFT])
        (folder / "finished").touch()
    return python


def _must(command: Sequence[str]) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CaseError(f"`{' '.join(command[1:])}` failed: {last_line(done.stderr)}")


def last_line(text: str) -> str:
    """The last line that says anything."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no message")
