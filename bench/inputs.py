"""What the cases need: photos, outputs, features, weights, Daft, an S3 endpoint. Made when first asked for, untimed."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from orchard.errors import WeightsError
from orchard.network.backbones import MOBILENET_V2, Backbone
from orchard.network.weights import BakedWeights, cache_root, find_weights
from orchard.pca import projection
from orchard.pca.moments import Moments
from orchard.tables import columns

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
SLOTS = 2
MASTER = f"local[{SLOTS}]"
DAFT = ("daft==0.7.26", "ai-edge-litert", "pillow", "numpy", "pyarrow")
TRAINING, SAMPLE = 2940, 50
STRIDE = 11  # through the training set when some of it is taken: no common divisor with 2,940, so every variety is met
FILES = 4  # of a table of features: a run's default number of partitions
# A spectrum like that of the 2,940 photos' features, which need 124 components for 90 % of the variance; 3,000 rows of
# these need 114.
RANK, DECAY, NOISE, SHIFT, DEAD = 300, 0.9, 0.15, 0.1, 32
# Of features with classes: how fast components' variances fall, and how far classes are apart, in standard deviations.
SPECTRUM, APART = 0.94, 0.2
# Of the S3 endpoint of tests/s3, which checks none.
S3_ENVIRON = {
    "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_REGION": "eu-west-1",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}


class CaseError(Exception):
    """A case cannot be measured here; the message says why."""


def peer(name: str) -> str:
    """A peer's script."""
    return str(_existing(SHARED / "peers" / name))


@functools.cache
def photos(work: Path, count: int) -> str:
    """A folder of photos: 50 are the golden sample, 2,940 the whole training set, any other number links to those."""
    source = _existing(SHARED / "fruits-360")
    if count == TRAINING:
        return str(source / "Training")
    if count != SAMPLE:
        return repeated(work / f"photos{count}", sorted((source / "Training").rglob("*.jpg")), count)
    with np.load(_existing(SHARED / "golden" / "sample50.npz")) as golden:
        for path in map(Path, golden["paths"].tolist()):
            _link(work / "sample" / path.parent.name / path.name, source / path)
    return str(work / "sample")


def repeated(folder: Path, originals: Sequence[Path], count: int) -> str:
    """So many links to `originals` in `folder`, each with a name of its own; the first are the same for every count."""
    for number in range(count):
        original = originals[number * STRIDE % len(originals)]
        _link(folder / original.parent.name / f"{original.stem}_{number // len(originals)}.jpg", original)
    return str(folder)


def _link(link: Path, target: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target)


def _existing(path: Path) -> Path:
    if not path.exists():
        raise CaseError(f"{path.relative_to(ROOT.parent)} is not beside this clone")
    return path


def orchard_run(photos: str, output: Path, *options: str, backbone: Backbone = MOBILENET_V2) -> list[str]:
    """The command of a run of Orchard."""
    folders = ["--input", photos, "--output", str(output)]
    folders += ["--backbone", backbone.name, "--weights", weights(backbone).folder]
    return [sys.executable, "-m", "orchard", "run", *folders, "--master", MASTER, "--json", *options]


@functools.cache
def output(work: Path, count: int) -> str:
    """The output of a run on so many photos."""
    folder = work / f"output{count}"
    _must(orchard_run(photos(work, count), folder))
    return str(folder)


@functools.cache
def features(work: Path, rows: int) -> tuple[str, int]:
    """A folder of made-up features in `work`, and how many components keep 90 % of their variance."""
    matrix, folder = make_features(rows), work / f"features{rows}"
    folder.mkdir()
    for number, part in enumerate(np.array_split(matrix, FILES)):
        pq.write_table(pa.table({"features": columns.float_lists(part)}), folder / f"part-{number:05}.parquet")
    return str(folder), projection.fit(Moments.of(matrix), variance=0.90).k


def make_features(rows: int, seed: int = 0) -> npt.NDArray[np.float32]:
    """Features (rows, 1280) like a network's after ReLU and pooling: low rank plus noise, some columns zero."""
    random = np.random.default_rng(seed)
    strength = np.arange(1, RANK + 1, dtype=np.float32) ** -DECAY
    loadings = random.standard_normal((RANK, MOBILENET_V2.feature_size), dtype=np.float32)
    loadings *= (strength / np.linalg.norm(strength))[:, None]
    made: npt.NDArray[np.float32] = random.standard_normal((rows, RANK), dtype=np.float32) @ loadings
    made += NOISE * random.standard_normal(made.shape, dtype=np.float32) + SHIFT
    made[:, :DEAD] = 0
    return made.clip(min=0)


@functools.cache
def labelled(work: Path, rows: int, classes: int, k: int) -> str:
    """A folder of made-up features of overlapping classes, of what reduces them to `k` components, and of these."""
    features, of = make_classes(rows, classes, k)
    fitted, folder = projection.fit(Moments.of(features), components=k), work / f"labelled{rows}"
    folder.mkdir()
    for number, part in enumerate(np.array_split(np.arange(rows), FILES)):
        _write_classes(folder / f"features-{number:05}.parquet", "features", features[part], of[part])
    _write_classes(folder / "components.parquet", "components", fitted.transform(features), of)
    np.savez(folder / "projection.npz", **vars(fitted))
    return str(folder)


def make_classes(rows: int, classes: int, k: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]:
    """Features (rows, 1280) of rank `k` and the class of each; their components' variances go from about 100 to 0.5."""
    random = np.random.default_rng(rows)
    strength = np.arange(1, k + 1, dtype=np.float32) ** -SPECTRUM
    of = np.sqrt(random.random(rows, np.float32)) * classes  # the last class is the largest
    means = APART * random.standard_normal((classes, k), dtype=np.float32)
    inner = random.standard_normal((rows, k), dtype=np.float32) + means[of.astype(np.int32)]
    loadings = random.standard_normal((k, MOBILENET_V2.feature_size), dtype=np.float32)
    return (inner * np.sqrt(strength)) @ loadings, of.astype(np.int32)


def _write_classes(path: Path, name: str, matrix: npt.NDArray[np.float32], of: npt.NDArray[np.int32]) -> None:
    classes = columns.numbers(of, np.int32, pa.int32())
    pq.write_table(pa.table({name: columns.float_lists(matrix), "class": classes}), path, row_group_size=2048)


@functools.cache
def weights(backbone: Backbone = MOBILENET_V2) -> BakedWeights:
    """The baked weights, LiteRT's and Keras's; baked now if they are not there."""
    try:
        return find_weights(backbone, None)
    except WeightsError:
        _must([sys.executable, "-m", "orchard", "weights", "--backbone", backbone.name])
        return find_weights(backbone, None)


@functools.cache
def daft_python() -> str:
    """A Python that has Daft, in the user's cache, made by pip at first use: Daft is no dependency of Orchard."""
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
        raise CaseError(f"`{' '.join(command)}` failed: {last_line(done.stderr)}")


def last_line(text: str) -> str:
    """The last line that says anything."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no message")


@contextlib.contextmanager
def s3_process(*arguments: str) -> Iterator[None]:
    """Runs a module that prints an S3 endpoint's address and serves until its input ends; this process then uses it."""
    command = [sys.executable, "-m", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        os.environ.update(S3_ENVIRON, AWS_ENDPOINT_URL=process.stdout.readline().strip())
        try:
            yield
        finally:
            process.stdin.close()


def serving(folder: str, faults: Mapping[str, Any]) -> contextlib.AbstractContextManager[None]:
    """Serves a folder as bucket `photos`, with faults (see `tests.s3.server.Faults`)."""
    return s3_process("tests.s3.server", folder, "--faults", json.dumps(faults))
