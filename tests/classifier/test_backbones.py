"""Every other network from its weights to a robot's file: bake, run, train, predict, export.

Those whose published weights no test downloads have seeded random ones.
"""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from orchard.classifier.export.export import export
from orchard.classifier.options import ExportOptions
from orchard.classifier.prediction.classifier import Classifier
from orchard.classifier.saved import read_classifier
from orchard.console import Reporter
from orchard.errors import InputError
from orchard.network.backbone import Backbone
from orchard.network.backbones import BACKBONES
from orchard.network.bake.bake import bake
from orchard.network.bake.sources import from_file, open_source
from orchard.sample import draw_samples
from pyspark import SparkContext

from tests.classifier.prediction.predicting import predict_in
from tests.classifier.training.made import train_in
from tests.network.test_keras_applications import KERAS, randomized
from tests.runs import run_in

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # of Keras' own deprecations


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn") / "photos"
    draw_samples(folder, varieties=3, per_variety=12, seed=3)
    return folder


def baked(backbone: Backbone, folder: Path) -> str:
    """A baked folder; of random weights under a fingerprint that nobody has published."""
    if backbone.fingerprint:
        sources = [open_source(source) for source in backbone.sources]
    else:
        sources = [replace(from_file(randomized(backbone, folder)), vouched=True)]
    bake(backbone, folder / "baked", sources, lambda line: None)
    return str(folder / "baked")


@pytest.mark.parametrize("name", ["efficientnet_lite1", *KERAS])
def test_from_weights_to_export(name: str, context: SparkContext, photos: Path, tmp_path: Path) -> None:
    backbone = BACKBONES[name]
    folder = baked(backbone, tmp_path)
    output = run_in(context, input=photos, output=tmp_path / "out", backbone=folder)
    assert output.matrix("features", "features").shape == (36, backbone.feature_size)
    train_in(context, tmp_path / "classifier", output.folder, labels="folder", folds=3)
    saved = read_classifier(str(tmp_path / "classifier"))
    assert saved.model.settings["backbone"] == name
    check_predictions(context, str(tmp_path / "classifier"), folder, photos, tmp_path / "predicted")
    check_export(backbone, str(tmp_path / "classifier"), folder, tmp_path / "fruit.tflite")


def check_predictions(context: SparkContext, classifier: str, folder: str, photos: Path, output: Path) -> None:
    """A table on Spark, and photos here and now, say the same."""
    table = predict_in(context, read_classifier(classifier), input=photos, output=output, backbone=folder)
    paths = sorted(photos.rglob("*.jpg"))
    found = Classifier.load(classifier, backbone=folder).predict(paths)
    rows = table.predictions()
    assert [one.best for one in found] == [rows[str(path.relative_to(photos))]["class"] for path in paths]


def check_export(backbone: Backbone, classifier: str, folder: str, file: Path) -> None:
    """The file takes bytes of the backbone's own size, and agrees with the classifier."""
    with pytest.raises(InputError, match="backbone is mobilenet_v2"):
        export(ExportOptions(classifier=classifier, output=str(file), backbone="mobilenet_v2"), Reporter(io.StringIO()))
    options = ExportOptions(classifier=classifier, output=str(file), backbone=folder)
    comparison = export(options, Reporter(io.StringIO()))["comparison"]
    assert comparison["equal_answers"] == 1
    assert comparison["probabilities"]["largest_difference"] <= 1e-4
    (given,) = Interpreter(str(file)).get_input_details()
    assert (given["dtype"], given["shape"].tolist()) == (np.uint8, [1, *backbone.shape])
