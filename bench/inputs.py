"""What the cases need: photos, outputs, weights, Daft, an S3 endpoint. Made when first asked for, untimed."""

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
from orchard.errors import WeightsError
from orchard.network.backbones import MOBILENET_V2, Backbone
from orchard.network.weights import BakedWeights, cache_root, find_weights

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
SLOTS = 2
MASTER = f"local[{SLOTS}]"
DAFT = ("daft==0.7.26", "ai-edge-litert", "pillow", "numpy", "pyarrow")
TRAINING, SAMPLE = 2940, 50
STRIDE = 11  # through the training set when some of it is taken: no common divisor with 2,940, so every variety is met
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
def classifier(work: Path, count: int) -> str:
    """A classifier of so many photos, apples, cherries and tomatoes; its regularization is given, as of any other."""
    folder = work / f"classifier{count}"
    flags = ("--labels", "first-word", "--regularization", "1", "--output", str(folder))
    _must([sys.executable, "-m", "orchard", "train", "--features", output(work, count), *flags])
    return str(folder)


@functools.cache
def exported(work: Path, count: int, kind: str) -> str:
    """The LiteRT file of that classifier, quantized as `kind` says."""
    file = str(work / f"{kind}{count}.tflite")
    command = [sys.executable, "-m", "orchard", "export", classifier(work, count), "--output", file]
    _must([*command, "--quantize", kind])
    return file


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
