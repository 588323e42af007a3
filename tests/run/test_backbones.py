"""--backbone of a run: a folder of one's own weights, and what does not mix."""

from __future__ import annotations

from pathlib import Path

import pytest
from orchard.classifier.settings import check_same
from orchard.errors import InputError, MachineError, OutputError
from orchard.features.task import Network
from orchard.network.backbones import BACKBONES, MOBILENET_V2
from orchard.network.weights import BakedWeights
from orchard.options import JobOptions
from orchard.plan import make_plan
from orchard.tables.output import open_output
from pyspark import SparkContext

from tests.network.baked import copy_baked, write_baked
from tests.runs import Output, run_in

LITE = BACKBONES["efficientnet_lite0"]


@pytest.fixture(scope="module")
def tuned(weights: BakedWeights, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published weights, under another fingerprint."""
    folder = tmp_path_factory.mktemp("backbone") / "tuned"
    return copy_baked(weights.folder, folder, fingerprint="f" * 64, lineage={"parent": "mobilenet_v2"})


@pytest.fixture(scope="module")
def output(
    context: SparkContext, tuned: Path, drawn: Path, weights: BakedWeights, tmp_path_factory: pytest.TempPathFactory
) -> Output:
    folder = tmp_path_factory.mktemp("tuned") / "out"
    return run_in(context, input=drawn, output=folder, backbone=str(tuned))


def plan(drawn: Path, output: Path, **options: str) -> None:
    make_plan(JobOptions(input=str(drawn), output=str(output), **options))  # type: ignore[arg-type]


def test_backbone_of_a_folder(output: Output, tuned: Path, drawn: Path) -> None:
    settings = open_output(str(output.folder)).features.settings
    assert settings == {
        "backbone": "mobilenet_v2",
        "fingerprint": "f" * 64,
        "runtime": "litert",
        "decoding": settings["decoding"],
        "preprocessing": MOBILENET_V2.preprocessing,
    }
    assert output.report["settings"] == settings
    assert output.report["backbone"]["lineage"] == {"parent": "mobilenet_v2"}
    assert "fine-tuned" in (output.folder / "report.html").read_text(encoding="utf-8")
    plan(drawn, output.folder, backbone=str(tuned))


def test_weights_and_backbones_do_not_mix(output: Output, tuned: Path, drawn: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="fingerprint"):
        plan(drawn, output.folder)
    lite = write_baked(tmp_path / "lite", LITE)
    for named in ({"backbone": LITE.name, "weights": str(lite)}, {"backbone": str(lite)}):
        with pytest.raises(OutputError, match=r"backbone mobilenet_v2, .* efficientnet_lite0"):
            plan(drawn, output.folder, **named)


def test_preprocessing_does_not_mix(weights: BakedWeights, drawn: Path, tmp_path: Path) -> None:
    settings = Network(MOBILENET_V2, "litert", weights).settings
    other = {**settings, "preprocessing": "RGB 224x224 scale 1.0 offset 0.0"}
    open_output(str(tmp_path / "other")).claim(other, anew=False)
    with pytest.raises(OutputError, match="preprocessing"):
        plan(drawn, tmp_path / "other")


def test_too_little_memory(
    context: SparkContext, weights: BakedWeights, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchard.update.free_memory", lambda: 150)
    with pytest.raises(MachineError, match=r"mobilenet_v2.*local\[N\]"):
        run_in(context, input=drawn, output=tmp_path / "out")


def test_a_classifier_of_other_preprocessing(output: Output) -> None:
    settings = open_output(str(output.folder)).features.settings
    check_same({**settings, "runtime": "tensorflow"}, settings, "this", "that")
    for name in ("backbone", "fingerprint", "decoding", "preprocessing"):
        with pytest.raises(InputError, match=name):
            check_same({**settings, name: "other"}, settings, "this", "that")
