"""What the cases need: photos, features, weights, Daft. Made when first asked for, untimed; `CaseError` where that cannot be."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from orchard.errors import WeightsError
from orchard.network.backbones import MOBILENET_V2
from orchard.network.weights import BakedWeights, cache_root, find_weights
from orchard.pca import projection
from orchard.pca.moments import Moments
from orchard.tables import columns

from bench.measure import CaseError

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
DAFT = ("daft==0.7.26", "ai-edge-litert", "pillow", "numpy", "pyarrow")
TRAINING = 2940
STRIDE = 11  # through the training set when some of it is taken: no common divisor with their number, so that every variety is met
FILES = 4  # of a table of features: a run's default number of partitions
# These give a spectrum like that of the 2,940 photos' features, which need 124 components for 90 % of the variance; here 3,000 need 114.
RANK, DECAY, NOISE, SHIFT, DEAD = 300, 0.9, 0.15, 0.1, 32


def peer(name: str) -> str:
    """A peer's script."""
    return str(_existing(SHARED / "peers" / name))


@functools.cache
def photos(work: Path, count: int) -> str:
    """A folder of photos: 50 are those of the golden sample, 2,940 the whole training set, more or fewer are links to those."""
    source = _existing(SHARED / "fruits-360")
    if count == TRAINING:
        return str(source / "Training")
    if count != 50:
        return repeated(work / f"repeated{count}", sorted((source / "Training").rglob("*.jpg")), count)
    with np.load(_existing(SHARED / "golden" / "sample50.npz")) as golden:
        for path in map(Path, golden["paths"].tolist()):
            link = work / "sample50" / path.parent.name / path.name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(source / path)
    return str(work / "sample50")


def repeated(folder: Path, originals: Sequence[Path], count: int) -> str:
    """So many links to `originals` in `folder`, each with a name of its own."""
    for number in range(count):
        original = originals[number * STRIDE % len(originals)]
        link = folder / original.parent.name / f"{original.stem}_{number // len(originals)}.jpg"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(original)
    return str(folder)


def _existing(path: Path) -> Path:
    if not path.exists():
        raise CaseError(f"{path.relative_to(ROOT.parent)} is not beside this clone")
    return path


@functools.cache
def features(work: Path, rows: int) -> tuple[str, int]:
    """A table of made-up features in `work`, and how many components keep 90 % of their variance."""
    matrix, folder = make_features(rows), work / f"features{rows}"
    folder.mkdir()
    for number, part in enumerate(np.array_split(np.arange(rows), FILES)):
        names = columns.strings([f"{row}.jpg" for row in part])
        labels = columns.strings([f"variety {row % 50}" for row in part])
        table = pa.table({"path": names, "label": labels, "features": columns.float_lists(matrix[part])})
        pq.write_table(table, folder / f"part-{number:05}.parquet")
    return str(folder), projection.fit(Moments.of(matrix), variance=0.90).k


def make_features(rows: int, seed: int = 0) -> npt.NDArray[np.float32]:
    """Features like a network's after ReLU and pooling: low rank plus noise, none negative, many zero, some columns always."""
    random = np.random.default_rng(seed)
    strength = np.arange(1, RANK + 1, dtype=np.float32) ** -DECAY
    loadings = (
        random.standard_normal((RANK, MOBILENET_V2.feature_size), dtype=np.float32)
        * (strength / np.linalg.norm(strength))[:, None]
    )
    features: npt.NDArray[np.float32] = random.standard_normal((rows, RANK), dtype=np.float32) @ loadings
    features += NOISE * random.standard_normal(features.shape, dtype=np.float32) + SHIFT
    features[:, :DEAD] = 0
    return features.clip(min=0)


@functools.cache
def weights() -> BakedWeights:
    """The baked weights, LiteRT's and Keras's; baked now if they are not there."""
    try:
        return find_weights(MOBILENET_V2, None)
    except WeightsError:
        _must([sys.executable, "-m", "orchard.network.bake.bake"])
        return find_weights(MOBILENET_V2, None)


@functools.cache
def daft_python() -> str:
    """A Python that has Daft, in the user's cache, made at first use: Daft is no dependency of Orchard."""
    folder = cache_root() / "bench" / "daft"
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
