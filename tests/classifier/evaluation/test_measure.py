"""The whole evaluation against scikit-learn, on features in several files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from orchard.classifier.evaluation.measure import SCHEMA_VERSION, evaluate_model
from orchard.classifier.evaluation.scores import MISTAKES, MISTAKES_PER_LABEL
from orchard.classifier.evaluation.text import warnings, without_photos
from orchard.classifier.evaluation.writing import fill
from orchard.errors import InputError
from orchard.tables.output import Output
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, f1_score, roc_auc_score

from tests.classifier.evaluation.example import CLASSES, facts, features, first_word, model, output, training
from tests.report.parsing import Page

LABELS = ("Apple 1", "Apple 2", "Cherry 1", "Tomato 1")
TRUE = [CLASSES.index(LABELS[number % 4].split()[0]) for number in range(40)]
PHOTOS = [(f"{LABELS[number % 4]}/{number}.jpg", f"photo {number}") for number in range(40)]
MATRIX = features(1, 40, TRUE)
TRAINED = training([("Apple Rotten/3.jpg", "photo 0", 0), ("Tomato 1/x.jpg", "photo 3", 1), ("Apple 2/1", "other", -1)])


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Output:
    return output(tmp_path_factory.mktemp("evaluated"), PHOTOS, MATRIX)


@pytest.fixture(scope="module")
def unfamiliar(tmp_path_factory: pytest.TempPathFactory) -> Output:
    photos = [(f"{label}/{n}.jpg", f"{label} {n}") for label in ("Grape", "Orange", "apple Old") for n in range(10)]
    matrix = features(2, 30, scale=3)
    matrix[:10] = np.eye(5)[1]  # just like a cherry
    return output(tmp_path_factory.mktemp("unfamiliar"), photos, matrix)


@pytest.fixture(scope="module")
def evaluation(evaluated: Output, unfamiliar: Output) -> dict[str, Any]:
    return evaluate_model(model(), facts(), TRAINED, evaluated, first_word, unfamiliar=unfamiliar)


def test_evaluate_model_scikit_learn(evaluation: dict[str, Any]) -> None:
    predictions = model().predict(MATRIX)
    best, true = predictions.best, np.array(TRUE)
    assert evaluation["photos"] == 40
    assert evaluation["accuracy"] == pytest.approx(accuracy_score(true, best))
    assert evaluation["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(true, best))
    assert evaluation["confusion_matrix"]["classes"] == list(CLASSES)
    assert evaluation["confusion_matrix"]["counts"] == confusion_matrix(true, best).tolist()
    assert [row["f1"] for row in evaluation["classes"].values()] == pytest.approx(f1_score(true, best, average=None))
    assert evaluation["familiar"] == (predictions.unfamiliarity <= 1.5).mean()
    answered, at = ~predictions.unsure, evaluation["coverage"]["at_threshold"]
    assert (at["coverage"], at["photos"]) == (answered.mean(), answered.sum())
    assert at["precision"] == pytest.approx((best == true)[answered].mean())
    others = ~np.isin(np.arange(40), (0, 3))
    assert evaluation["accuracy_without_shared"] == pytest.approx(accuracy_score(true[others], best[others]))


def test_evaluate_model_labels(evaluation: dict[str, Any]) -> None:
    right = model().predict(MATRIX).best == np.array(TRUE)
    assert list(evaluation["labels"]) == sorted(LABELS)
    for number, label in enumerate(LABELS):
        row = evaluation["labels"][label]
        assert (row["class"], row["photos"]) == (label.split()[0], 10)
        assert row["accuracy"] == pytest.approx(right[number::4].mean())


def test_evaluate_model_leaks(evaluation: dict[str, Any]) -> None:
    flatters = evaluation["flatters"]
    assert (flatters["shared_photos"], flatters["shared_under_other_path"]) == (2, 2)
    assert flatters["labels_in_both"] == ["Tomato 1"]
    assert not flatters["random_split"]


def test_evaluate_model_mistakes(evaluation: dict[str, Any]) -> None:
    mistakes = evaluation["mistakes"]
    predictions, by_path = model().predict(MATRIX), {path: number for number, (path, _) in enumerate(PHOTOS)}
    assert 0 < len(mistakes) <= MISTAKES
    for label in LABELS:
        rows = [row for row in range(40) if PHOTOS[row][0].startswith(label) and predictions.best[row] != TRUE[row]]
        surest = sorted((predictions.probabilities[row].max() for row in rows), reverse=True)[:MISTAKES_PER_LABEL]
        assert [m["probability"] for m in mistakes if m["label"] == label] == pytest.approx(surest)
    for mistake in mistakes:
        row = by_path[mistake["path"]]
        assert (mistake["true"], mistake["answered"]) == (CLASSES[TRUE[row]], CLASSES[predictions.best[row]])
        assert mistake["true"] != mistake["answered"]
    assert [m["probability"] for m in mistakes] == sorted((m["probability"] for m in mistakes), reverse=True)


def test_evaluate_model_unfamiliar(evaluation: dict[str, Any]) -> None:
    found = evaluation["unfamiliar"]
    assert found["photos"] == 20
    assert found["left_out"] == {"apple Old": 10}
    assert found["not_told_apart"] == ["Grape"]
    assert found["labels"]["Grape"] == {"photos": 10, "flagged": 0.0, "flagged_at_90_percent_kept": 0.0}
    familiar = model().distances(MATRIX)
    unfamiliar = model().distances(np.concatenate([np.tile(np.eye(5)[1], (10, 1)), features(2, 30, scale=3)[10:20]]))
    kinds = np.repeat([0, 1], [40, 20])
    assert found["auroc"] == pytest.approx(roc_auc_score(kinds, np.concatenate([familiar, unfamiliar])))
    assert found["at_limit"]["flagged"] == (unfamiliar > 1.5).mean()
    wide = found["at_90_percent_kept"]
    assert (wide["kept"], wide["flagged"]) == (0.9, (unfamiliar > wide["limit"]).mean())
    apart, others = found["at_90_percent_kept_without_shared"], familiar[~np.isin(np.arange(40), (0, 3))]
    assert apart["limit"] == np.sort(others)[-(-38 * 9 // 10) - 1]
    assert apart["flagged"] == (unfamiliar > apart["limit"]).mean()


def test_evaluate_model_gives_plain_json(evaluation: dict[str, Any]) -> None:
    assert evaluation["schema_version"] == SCHEMA_VERSION
    assert json.loads(json.dumps(evaluation, allow_nan=False)) == evaluation


def test_evaluate_model_only_some_photos(evaluated: Output) -> None:
    told = list[int]()
    only = {path for path, _ in PHOTOS[:9]}
    found = evaluate_model(model(), facts("random"), TRAINED, evaluated, first_word, only=only, done=told.append)
    assert (found["photos"], found["evaluated"]["held_out"], told[-1]) == (9, True, 9)
    assert sum(row["photos"] for row in found["labels"].values()) == 9


def test_evaluate_model_missing_class(tmp_path: Path) -> None:
    found = evaluate_model(model(threshold=1.0), facts(), TRAINED, output(tmp_path, PHOTOS[:1], MATRIX[:1]), first_word)
    assert found["classes"]["Tomato"] == {"precision": None, "recall": None, "f1": None, "support": 0}
    assert found["balanced_accuracy"] == found["accuracy"]
    assert found["accuracy_without_shared"] is None
    assert found["coverage"]["at_threshold"]["precision"] is None
    json.dumps(found, allow_nan=False)


def test_evaluate_model_all_shared(evaluated: Output, unfamiliar: Output) -> None:
    """All are shared: the first warning says so, with their number, and what is left without them is nothing."""
    trained = training([(path, content, 0) for path, content in PHOTOS])
    found = evaluate_model(model(), facts(), trained, evaluated, first_word, unfamiliar=unfamiliar)
    flatters = found["flatters"]
    assert flatters["shared_photos"] == flatters["shared_under_same_path"] == found["photos"] == 40
    assert found["accuracy_without_shared"] is found["balanced_accuracy_without_shared"] is None
    assert found["unfamiliar"]["at_90_percent_kept_without_shared"] is None
    assert "all 40 photos" in warnings(found)[0]
    page = Page(fill(found, {})).text
    assert "All 40 photos" in page
    assert not re.search(r"\b(None|nan|NaN|Undefined)\b", page)
    json.dumps(found, allow_nan=False)


def test_without_photos(tmp_path: Path) -> None:
    found = evaluate_model(model(), facts(), TRAINED, output(tmp_path, PHOTOS[:1], MATRIX[:1]), first_word)
    found["classifier"]["training"]["in_no_fold"] = ["Cherry"]
    assert without_photos(found) == ["Cherry", "Tomato"]
    assert any("'Cherry', 'Tomato'" in line for line in warnings(found))
    assert "Cherry, Tomato" in Page(fill(found, {})).text


def test_evaluate_model_unknown_classes(evaluated: Output) -> None:
    with pytest.raises(InputError, match=r"'Cherry', 'Tomato'.*--labels") as error:
        evaluate_model(model(classes=("Apple", "Pear", "Plum")), facts(), TRAINED, evaluated, first_word)
    assert "\n" not in str(error.value)


def test_evaluate_model_unnamed_labels(evaluated: Output) -> None:
    with pytest.raises(InputError, match=r"'Apple 2'.*--labels"):
        evaluate_model(model(), facts(), TRAINED, evaluated, {"Apple 1": "Apple"}.get)


def test_evaluate_model_without_photos(evaluated: Output, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no photos"):
        evaluate_model(model(), facts(), TRAINED, evaluated, first_word, only=set())
    with pytest.raises(InputError, match=r"--unfamiliar"):
        evaluate_model(model(), facts(), TRAINED, evaluated, first_word, unfamiliar=evaluated)


def test_evaluate_model_feature_size(tmp_path: Path) -> None:
    wide = output(tmp_path, PHOTOS[:2], np.zeros((2, 7), np.float32))
    with pytest.raises(InputError, match="backbone"):
        evaluate_model(model(), facts(), TRAINED, wide, first_word)
