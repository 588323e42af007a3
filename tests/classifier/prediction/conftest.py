"""A classifier of the drawn photos, and their predictions on Spark."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from orchard.classifier.saved import Saved
from orchard.storage import objects
from pyspark import SparkContext

from tests.classifier.prediction.predicting import Predicted, make_classifier, predict_in, saved_as
from tests.runs import Output, run_in


@pytest.fixture(scope="session")
def features(context: SparkContext, weights: object, drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Output:
    """The output of a run on the drawn photos."""
    return run_in(context, input=drawn, output=tmp_path_factory.mktemp("run") / "out")


@pytest.fixture(scope="session")
def saved(features: Output) -> Saved:
    return saved_as(make_classifier(features.matrix("features", "features")))


@pytest.fixture(scope="session")
def whole(context: SparkContext, saved: Saved, drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Predicted:
    """The predictions of the drawn photos."""
    return predict_in(context, saved, input=drawn, output=tmp_path_factory.mktemp("whole") / "out")


@pytest.fixture
def photos(drawn: Path, tmp_path: Path) -> Path:
    """A copy of the drawn photos, to be changed."""
    return Path(shutil.copytree(drawn, tmp_path / "in"))


@pytest.fixture
def output(whole: Predicted, tmp_path: Path) -> Predicted:
    """A copy of the predictions of the drawn photos, to be brought up to date."""
    return Predicted(Path(shutil.copytree(whole.folder, tmp_path / "out")))


@pytest.fixture
def workers(context: SparkContext, aws: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], SparkContext]]:
    """A function that gives the context, whose Python workers see the AWS variables that this process has then."""
    before = dict(context.environment)

    def current() -> SparkContext:
        objects.forget()
        context.environment.update({name: value for name, value in os.environ.items() if name.startswith("AWS_")})
        return context

    yield current
    context.environment.clear()
    context.environment.update(before)
