"""Predictions on Spark for tests: a classifier of drawn photos, and updates of a table by it."""

from __future__ import annotations

import io
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
from orchard.classifier.model import Model
from orchard.classifier.options import PredictOptions
from orchard.classifier.prediction.table import predict_table
from orchard.classifier.saved import Saved
from orchard.console import Reporter
from orchard.pca.projection import Projection
from orchard.spark.session import open_context
from orchard.storage.stores import open_store
from pyspark import SparkContext

from tests.classifier.examples import SETTINGS
from tests.runs import Output, opening

NOTHING = {"new": 0, "changed": 0, "removed": 0, "kept": 0, "retried": 0}


def saved_as(model: Model, folder: str = "model-0123456789ab") -> Saved:
    """A classifier as if it had been read."""
    return Saved(open_store("classifier"), model, {"folder": folder})


def make_classifier(features: np.ndarray, *, classes: int = 3, k: int = 8) -> Model:
    """A random classifier that is sure of some of n photos, given by their features (n, size), and not of others."""
    rng = np.random.default_rng(0)
    size = features.shape[1]
    loadings = np.linalg.qr(rng.normal(size=(size, k)))[0]
    projection = Projection(features.mean(axis=0), features.std(axis=0, ddof=1), loadings, np.full(k, 1 / k))
    names = tuple(f"Class {number} é" for number in range(classes))
    parts = projection, rng.normal(size=(classes, k)), np.zeros(classes), names, features[::6].astype(np.float32)
    model = Model(*parts, threshold=0.0, limit=np.inf, settings=SETTINGS)
    said = model.predict(features)
    threshold, limit = np.quantile(said.probabilities.max(axis=1), 0.3), np.quantile(said.unfamiliarity, 0.7)
    return Model(*parts, threshold=float(threshold), limit=float(limit), settings=SETTINGS)


class Predicted(Output):
    """The output of a prediction, read back with plain pyarrow."""

    tables = ("predictions", "rejected")
    report_name = "predictions.json"

    def predictions(self) -> dict[str, dict[str, Any]]:
        """The rows of predictions/, by path."""
        return {row["path"]: row for row in self.rows("predictions")}


def predict_in(context: SparkContext, saved: Saved, *, reporter: Reporter | None = None, **options: Any) -> Predicted:
    """A prediction in a Spark context that stays open."""
    values: dict[str, Any] = {name: str(value) if isinstance(value, Path) else value for name, value in options.items()}
    chosen = PredictOptions(classifier="classifier", **values)
    predict_table(saved, chosen, reporter or Reporter(io.StringIO()), open_context=opening(context))
    return Predicted(Path(values["output"]))


def assert_same(found: Predicted, expected: Predicted) -> None:
    rows, others = found.predictions(), expected.predictions()
    assert rows.keys() == others.keys()
    for path, row in rows.items():
        for name in ("label", "sha256", "size", "class", "unsure"):
            assert row[name] == others[path][name]
        np.testing.assert_allclose(row["probabilities"], others[path]["probabilities"], atol=1e-6)
    assert found.paths("rejected") == expected.paths("rejected")
    assert found.files() == found.live_files()


def main(saved: str, *arguments: str) -> None:
    """A prediction in a process of its own: a pickled classifier, input, output, and how many tasks."""
    photos, output, partitions = arguments
    options = PredictOptions(
        classifier=saved, input=photos, output=output, partitions=int(partitions), master="local[2]"
    )
    predict_table(pickle.loads(Path(saved).read_bytes()), options, Reporter(), open_context=open_context)


if __name__ == "__main__":
    main(*sys.argv[1:])
