"""A classifier by `orchard-deploy run-local` in the real image: trained, used and exported by the specification."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from orchard.cli import main
from PIL import Image

from tests.deploy.conftest import ROOT
from tests.runs import Output

pytestmark = [pytest.mark.container, pytest.mark.slow]

VARIETIES, PER_VARIETY = 3, 12
RunLocal = Callable[..., str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with drawn photos of three varieties, for the outputs of all commands."""
    folder = tmp_path_factory.mktemp("classifier")
    words = ["--varieties", str(VARIETIES), "--per-variety", str(PER_VARIETY)]
    assert main(["sample", "--output", str(folder / "photos"), *words]) == 0
    return folder


@pytest.fixture(scope="module")
def run_local(image: str, folder: Path) -> RunLocal:
    """Runs a command of the specification in the image, in `folder`; returns what it printed."""
    content = json.loads((ROOT / "emr-serverless.json").read_text(encoding="utf-8"))

    def run(command: str, *words: str, arguments: tuple[str, ...] = ()) -> str:
        spec = folder / f"{command}.json"
        spec.write_text(json.dumps({**content, "command": command, "arguments": arguments}), encoding="utf-8")
        line = [sys.executable, "-m", "orchard_deploy", "run-local", "--spec", str(spec), "--image", image, *words]
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT / "app"), str(ROOT)))}
        done = subprocess.run(line, cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=600)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="module")
def classifier(run_local: RunLocal, folder: Path) -> Path:
    """A classifier of the three varieties."""
    run_local("run", "--input", "photos", "--output", "features")
    run_local("train", "--input", "features", "--output", "classifier", arguments=("--folds", "2"))
    return folder / "classifier"


def varieties(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "photos").iterdir())


def owners(folder: Path) -> set[tuple[int, int]]:
    return {(path.stat().st_uid, path.stat().st_gid) for path in (folder, *folder.rglob("*"))}


def test_train(classifier: Path, folder: Path) -> None:
    facts = json.loads((classifier / "classifier.json").read_text(encoding="utf-8"))
    assert facts["classes"] == varieties(folder)
    assert (classifier / facts["pipeline"] / "metadata").is_dir()
    assert (classifier / "evaluation.html").exists()
    assert owners(classifier) == {(os.getuid(), os.getgid())}


def test_evaluate(run_local: RunLocal, classifier: Path, folder: Path) -> None:
    run_local("evaluate", "--input", "features", "--output", "evaluation", "--", "classifier")
    facts = json.loads((folder / "evaluation" / "evaluation.json").read_text(encoding="utf-8"))
    assert facts["accuracy"] > 0.9  # the photos that it was trained on


def test_predict_a_folder_twice(run_local: RunLocal, classifier: Path, folder: Path) -> None:
    words = ("--input", "photos", "--output", "predictions", "--", "classifier")
    run_local("predict", *words)
    rows = Output(folder / "predictions").rows("predictions")
    assert Counter(row["label"] for row in rows) == dict.fromkeys(varieties(folder), PER_VARIETY)
    assert sum(row["class"] == row["label"] for row in rows) >= 0.9 * len(rows)
    run_local("predict", *words)
    assert Output(folder / "predictions").rows("predictions") == rows
    assert owners(folder / "predictions") == {(os.getuid(), os.getgid())}


def test_predict_photos(run_local: RunLocal, classifier: Path, folder: Path) -> None:
    first, second = [next((folder / "photos" / name).iterdir()) for name in varieties(folder)[:2]]
    printed = run_local("predict", "--", "classifier", str(first), str(second.relative_to(folder)))
    for photo in (first, second):
        assert f"/photos{photo}" in printed


@pytest.mark.parametrize("quantize", ["none", "int8"])
def test_export(run_local: RunLocal, classifier: Path, folder: Path, quantize: str) -> None:
    file = f"robot/{quantize}.tflite"
    run_local("export", "--output", file, "--", "classifier", "--quantize", quantize, "--photos", "photos")
    photos = sorted((folder / "photos").rglob("*.jpg"))
    right = [answer(folder / file, photo) == varieties(folder).index(photo.parent.name) for photo in photos]
    assert np.mean(right) >= 0.9
    assert owners(folder / "robot") == {(os.getuid(), os.getgid())}


def answer(file: Path, photo: Path) -> int:
    """The number of the class that an exported file answers for a photo."""
    interpreter = Interpreter(model_path=str(file), num_threads=1)
    interpreter.allocate_tensors()
    (given,) = interpreter.get_input_details()
    image = Image.open(io.BytesIO(photo.read_bytes())).convert("RGB").resize((224, 224), Image.Resampling.BILINEAR)
    interpreter.set_tensor(given["index"], np.asarray(image, given["dtype"])[np.newaxis])
    interpreter.invoke()
    outputs = [interpreter.get_tensor(found["index"]) for found in interpreter.get_output_details()]
    (probabilities,) = [values for values in outputs if values.shape == (1, VARIETIES)]
    return int(probabilities.argmax())
