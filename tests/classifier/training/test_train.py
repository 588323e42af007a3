"""Whole trainings, on features made to order, in a real Spark."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from orchard.classifier.evaluation.reading import read_batches
from orchard.classifier.inputs import HELD_OUT, is_trained_on, open_features
from orchard.classifier.model import Model
from orchard.classifier.options import TrainOptions
from orchard.classifier.saved import read_classifier, read_training
from orchard.classifier.training.train import describe, summary
from orchard.errors import InputError, MachineError, OutputError
from pyspark import SparkContext
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from tests.classifier.evaluation.example import SETTINGS, output
from tests.classifier.training.made import LABELS, SIZE, make_features, train_in


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_features(tmp_path_factory.mktemp("train") / "features")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, spark_context: SparkContext, features: Path) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "classifier"
    train_in(spark_context, folder, features)
    return folder


@pytest.fixture(scope="module")
def spark_context(context: SparkContext) -> SparkContext:
    return context


def photos_of(features: Path) -> tuple[list[str], list[str], np.ndarray]:
    """Paths, labels and features of all photos."""
    batches = list(read_batches(open_features("--features", str(features)), SIZE, LABELS))
    paths, labels = ([value for batch in batches for value in getattr(batch, name)] for name in ("paths", "labels"))
    return paths, labels, np.concatenate([batch.features for batch in batches])


def fit_independently(features: Path, folds: dict[str, int], regularization: float, wanted: np.ndarray) -> np.ndarray:
    """Probabilities (n, classes) of `wanted` by scikit-learn, trained on the photos that were not held out."""
    paths, labels, vectors = photos_of(features)
    used = is_trained_on(np.array([folds[path] for path in paths]))
    classes = np.array([label.split()[0] for label in labels])[used]
    scaler = StandardScaler().fit(vectors[used].astype(np.float64))
    scaler.scale_ *= np.sqrt(used.sum() / (used.sum() - 1))  # the sample standard deviation
    pca = PCA(0.9, svd_solver="full").fit(scaler.transform(vectors[used]))
    head = LogisticRegression(
        C=1 / (regularization * used.sum()), class_weight="balanced", tol=1e-8, solver="newton-cholesky"
    ).fit(pca.transform(scaler.transform(vectors[used])), classes)
    logits = head.decision_function(pca.transform(scaler.transform(wanted)))
    return np.asarray(logits)


def test_train_agrees_with_scikit_learn(trained: Path, features: Path) -> None:
    saved = read_classifier(str(trained))
    folds = dict(zip(*(read_training(saved).column(name).to_pylist() for name in ("path", "fold")), strict=True))
    _, _, vectors = photos_of(features)
    logits = fit_independently(features, folds, saved.facts["training"]["regularization"], vectors)
    scaled = np.exp(logits / saved.facts["temperature"])
    expected = scaled / scaled.sum(axis=1, keepdims=True)
    assert saved.model.classes == ("Apple", "Cherry", "Plum")
    np.testing.assert_allclose(saved.model.probabilities(vectors), expected, atol=1e-4)


def test_train_holds_out_and_evaluates(trained: Path) -> None:
    saved = read_classifier(str(trained))
    folds = np.array(read_training(saved).column("fold").to_pylist())
    facts, evaluation = saved.facts["training"], json.loads((trained / "evaluation.json").read_text())
    assert facts["held_out"] == (folds == HELD_OUT).sum() == evaluation["photos"] > 0
    assert facts["photos"] == is_trained_on(folds).sum()
    assert evaluation["accuracy"] > 0.8
    assert evaluation["flatters"]["shared_photos"] == 0
    # A cherry of two is held out whole, and the other one split for cross-validation only.
    assert facts["split"]["blocks"] == ["Cherry 1", "Plum 1"]
    assert evaluation["flatters"]["labels_in_both"] == ["Plum 1"]
    assert (trained / "evaluation.html").is_file()


def test_train_same_bytes(trained: Path, context: SparkContext, features: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    train_in(context, again, features)
    train_in(context, again, features)
    assert files_of(again) == files_of(trained)


def test_train_in_any_partitioning(trained: Path, context: SparkContext, features: Path, tmp_path: Path) -> None:
    """The same photos in files of other sizes, and so in other tasks."""
    first = read_classifier(str(trained))
    for rows in (20, 90):
        again = make_features(tmp_path / f"{rows}", rows=rows)
        train_in(context, tmp_path / f"c{rows}", again)
        other = read_classifier(str(tmp_path / f"c{rows}"))
        assert other.facts["training"]["regularization"] == first.facts["training"]["regularization"]
        for name in ("coefficients", "intercepts", "references", "threshold", "limit"):
            np.testing.assert_allclose(getattr(other.model, name), getattr(first.model, name), atol=1e-6)
        np.testing.assert_allclose(other.facts["temperature"], first.facts["temperature"], atol=1e-6)


def files_of(folder: Path) -> dict[str, bytes]:
    """All files of a classifier but its evaluation, which names its folder."""
    paths = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("evaluation")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_train_log_labels(context: SparkContext, features: Path, tmp_path: Path) -> None:
    log = io.StringIO()
    train_in(context, tmp_path / "c", features, log=log)
    table = read_training(read_classifier(str(tmp_path / "c")))
    rows = zip(table.column("label").to_pylist(), table.column("fold").to_pylist(), strict=True)
    trained = [label for label, fold in rows if is_trained_on(np.array(fold))]
    assert 0 < len(set(trained)) < len(LABELS)
    assert f"training on {len(trained)} photos of {len(set(trained))} labels" in log.getvalue()


def test_train_on_a_test_set(context: SparkContext, features: Path, tmp_path: Path) -> None:
    test = make_features(tmp_path / "test", {"Apple 9": 8, "Plum 3": 7}, seed=1)
    found = train_in(
        context, tmp_path / "classifier", features, test=str(test), regularization=0.1, class_weight="none"
    )
    assert found["classifier"]["training"]["held_out"] == 0
    assert found["classifier"]["training"]["photos"] == sum(LABELS.values()) - found["classifier"]["training"]["unused"]
    assert [row["regularization"] for row in found["classifier"]["training"]["cross_validation"]] == [0.1]
    assert found["evaluation"]["photos"] == 15
    assert not found["evaluation"]["flatters"]["labels_in_both"]


def test_train_on_everything(context: SparkContext, features: Path, tmp_path: Path) -> None:
    found = train_in(context, tmp_path / "classifier", features, holdout=0.0)
    assert found["evaluation"] is None
    assert found["classifier"]["training"]["split"]["kind"] == "none"


def test_random_split_flatters(context: SparkContext, features: Path, tmp_path: Path) -> None:
    found = train_in(context, tmp_path / "classifier", features, random_split=True)
    assert found["evaluation"]["flatters"]["random_split"]
    assert found["classifier"]["training"]["split"]["kind"] == "random"


def test_train_threshold_and_limit(context: SparkContext, features: Path, tmp_path: Path) -> None:
    """At the limit for all held-out photos all are familiar; a precision of what is always reached answers all."""
    found = train_in(context, tmp_path / "c", features, holdout=0.0, familiar=1.0, precision=0.01)["classifier"]
    assert found["threshold"] == 0
    assert found["training"]["precision"]["coverage"] == 1
    narrow = train_in(context, tmp_path / "c", features, holdout=0.0, familiar=0.5)["classifier"]
    assert 0 < narrow["limit"] < found["limit"]


@pytest.mark.parametrize(
    ("labels", "what"),
    [
        ({"Apple 1": 9, "Apple 2": 5}, "Apple"),
        ({"Apple 1": 9, "Plum 1": 1}, "Plum"),
        ({"Apple 1": 4, "Plum 1": 4}, "5 photos"),
    ],
)
def test_too_little_to_train_on(tmp_path: Path, labels: dict[str, int], what: str) -> None:
    features = make_features(tmp_path / "features", labels)
    with pytest.raises(InputError, match=rf"--features .*{what}"):
        describe(options(features, tmp_path / "classifier"))


def test_fewest_photos_are_enough(tmp_path: Path) -> None:
    features = make_features(tmp_path / "features", {"Apple 1": 5, "Plum 1": 5})
    assert describe(options(features, tmp_path / "classifier"))["held_out"] == 2


def test_in_no_fold(context: SparkContext, tmp_path: Path) -> None:
    """A class with too few photos: a line at the training, and in the facts of both files."""
    features, log = make_features(tmp_path / "features", {"Apple 1": 9, "Plum 1": 9, "Pear 1": 2}), io.StringIO()
    found = train_in(context, tmp_path / "classifier", features, log=log)
    assert found["classifier"]["training"]["in_no_fold"] == ["Pear"]
    assert found["evaluation"]["classifier"]["training"]["in_no_fold"] == ["Pear"]
    assert found["evaluation"]["classes"]["Pear"]["support"] == 0
    warned = [line for line in log.getvalue().splitlines() if "warning: " in line and "'Pear'" in line]
    assert len(warned) == 2
    assert "'Pear'" in dict(summary(found, "classifier"))["warning"]
    log.truncate(0)
    test = make_features(tmp_path / "test", {"Apple 1": 3, "Pear 1": 3})
    train_in(context, tmp_path / "other", features, log=log, test=str(test))
    assert [name for name in ("'Apple'", "'Pear'", "'Plum'") if name in log.getvalue()] == ["'Pear'", "'Plum'"]


def test_uris_are_absolute(features: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative ones mean something in the working directory of the training only."""
    monkeypatch.chdir(features.parent)
    plan = describe(options(Path(features.name), tmp_path / "classifier", test=features.name))
    assert plan["features"] == plan["test"] == str(features)


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_train_not_finite(context: SparkContext, tmp_path: Path, value: float) -> None:
    folder, paths = tmp_path / "features", [f"{label}/{frame}.jpg" for label in ("Apple", "Plum") for frame in range(9)]
    matrix = np.random.default_rng(0).normal(size=(18, SIZE)).astype(np.float32)
    matrix[12, 3] = value
    output(folder, [(path, path) for path in paths], matrix, rows=10)
    with pytest.raises(MachineError, match=rf"--features {folder}.*Plum/3\.jpg") as raised:
        train_in(context, tmp_path / "classifier", folder)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "classifier").exists()


def options(features: Path, output: Path, **changes: Any) -> TrainOptions:
    wanted = {"labels": "first-word", "features": str(features), "output": str(output), **changes}
    return TrainOptions(**wanted)


def test_describe_csv(features: Path, tmp_path: Path) -> None:
    """The classes of labels that do not occur are known, too: another output may have them."""
    csv = tmp_path / "labels.csv"
    csv.write_text("label,class\n" + "".join(f"{label},{label.split()[0]}\n" for label in [*LABELS, "Apple 9"]))
    plan = describe(options(features, tmp_path / "classifier", labels=str(csv)))
    assert plan["mapping"] == {label: label.split()[0] for label in [*LABELS, "Apple 9"]}
    other = make_features(tmp_path / "test", {"Apple 9": 4, "Plum 1": 4})
    assert describe(options(features, tmp_path / "c", labels=str(csv), test=str(other)))["photos to evaluate on"] == 8


def test_train_test_set_refused(features: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    strange = make_features(tmp_path / "strange", {"Apple 1": 4, "Pear 1": 4})
    with pytest.raises(InputError, match="'Pear'"):
        describe(options(features, tmp_path / "classifier", test=str(strange)))
    monkeypatch.setitem(SETTINGS, "decoding", "1")
    other = make_features(tmp_path / "other", {"Apple 1": 4, "Plum 1": 4})
    with pytest.raises(InputError, match=r"--test .*decoding"):
        describe(options(features, tmp_path / "classifier", test=str(other)))


def test_what_is_no_output_of_a_run(features: Path, tmp_path: Path) -> None:
    for uri in (tmp_path, tmp_path / "none"):
        with pytest.raises(InputError, match="--features"):
            describe(options(uri, tmp_path / "classifier"))
    with pytest.raises(OutputError, match="--output"):
        describe(options(features, features))


def test_features_of_a_former_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is computed, not when the classifier is read again."""
    monkeypatch.delitem(SETTINGS, "preprocessing")
    former = make_features(tmp_path / "former")
    with pytest.raises(InputError, match=r"--features .*preprocessing.*--overwrite"):
        describe(options(former, tmp_path / "classifier"))


def test_describe_writes_nothing(features: Path, tmp_path: Path) -> None:
    plan = describe(options(features, tmp_path / "classifier"))
    assert plan["photos"] + plan["held_out"] + plan["unused"] == sum(LABELS.values())
    assert plan["photos to evaluate on"] == plan["held_out"]
    assert not (tmp_path / "classifier").exists()


def test_read_classifier_trained(trained: Path, features: Path) -> None:
    model: Model = read_classifier(str(trained)).model
    _, labels, vectors = photos_of(features)
    said = model.predict(vectors)
    right = [model.classes[best] == label.split()[0] for best, label in zip(said.best, labels, strict=True)]
    assert np.mean(right) > 0.9
    assert model.predict(vectors + 100).unsure.all()
