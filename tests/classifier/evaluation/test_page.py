"""The page of an evaluation: well-formed, self-contained, everything escaped, and every number on it."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from orchard.classifier.evaluation.measure import evaluate_model
from orchard.classifier.evaluation.text import summary, warnings
from orchard.classifier.evaluation.writing import MOST_LABELS, confusions, fill, write_evaluation
from orchard.report.templates import printable
from orchard.sample import draw_samples
from orchard.storage.stores import open_store

from tests.classifier.evaluation.example import facts, features, first_word, model, output, training
from tests.report.parsing import HOSTILE, Page

TRUE = [number % 3 for number in range(30)]
PHOTOS = [(f"{('Apple 1', 'Cherry 1', 'Tomato 1')[number % 3]}/{number}.jpg", f"{number}") for number in range(30)]


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("page")
    evaluated = output(folder / "evaluated", PHOTOS, features(3, 30, TRUE), str(folder / "photos"))
    others = output(
        folder / "others", [("Grape/0.jpg", "g"), ("Sky/0.jpg", "s")], np.eye(5, dtype=np.float32)[:2] * [[1], [9]]
    )
    trained = training([("Apple Rotten/0.jpg", "0", 0), ("Apple 1/9.jpg", "9", 0), ("Cherry 1/1.jpg", "1", -1)])
    return evaluate_model(model(), facts("random"), trained, evaluated, first_word, unfamiliar=others)


@pytest.fixture(scope="module")
def html(evaluation: dict[str, Any]) -> str:
    return fill(evaluation, {evaluation["mistakes"][0]["path"]: b"jpeg"})


def test_fill_self_contained(html: str) -> None:
    page = Page(html)
    links = [link for name in ("src", "href", "srcset", "data") for link in page.attributes(name)]
    assert all(link.startswith(("data:", "#")) for link in links)
    assert not {"script", "iframe", "object", "base", "form"} & {tag for tag, _ in page.tags}
    assert not re.findall(r"@import|url\(|https?://", html)
    (policy,) = [attrs["content"] for tag, attrs in page.tags if tag == "meta" and "http-equiv" in attrs]
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert {link[1:] for link in links if link.startswith("#")} <= set(page.attributes("id"))


def test_fill_is_reproducible(evaluation: dict[str, Any], html: str) -> None:
    assert fill(evaluation, {evaluation["mistakes"][0]["path"]: b"jpeg"}) == html


def test_fill_numbers_and_names(html: str, evaluation: dict[str, Any]) -> None:
    page = Page(html)
    for fact in ("30 photos", "Apple Rotten", "Tomato 1", "Grape", "model-0123456789ab", "99 %", "F1"):
        assert fact in page.text
    shares = [
        evaluation["accuracy"],
        evaluation["balanced_accuracy"],
        evaluation["coverage"]["at_threshold"]["coverage"],
    ]
    assert all(f"{100 * share:.1f}".removesuffix(".0") in page.text for share in shares)
    assert not re.search(r"\b(None|nan|NaN|Undefined)\b", page.text)
    assert [name for name in page.attributes("class") if name == "dark"] == ["dark"] * 3
    assert {"flatters", "unfamiliar"} <= set(page.attributes("id"))


def test_fill_no_findings(evaluation: dict[str, Any]) -> None:
    quiet = copy.deepcopy(evaluation)
    quiet |= {"unfamiliar": None, "mistakes": []}
    quiet["confusion_matrix"]["counts"] = [[10, 0, 0], [0, 10, 0], [0, 0, 10]]
    quiet["coverage"]["at_threshold"] |= {"precision": None, "coverage": 0.0, "photos": 0}
    quiet["flatters"] |= {"shared_photos": 0, "labels_in_both": [], "random_split": False}
    quiet["evaluated"]["input"] = None
    page = Page(fill(quiet, {}))
    assert "unfamiliar" not in page.attributes("id")
    assert not [name for name in page.attributes("class") if name == "alert"]
    assert not re.search(r"\b(None|nan|NaN|Undefined)\b", page.text)
    assert {name for name, _ in summary(quiet)}.isdisjoint({"warning", "unfamiliar", "report"})


def many(evaluation: dict[str, Any], classes: int) -> dict[str, Any]:
    """The same evaluation with other classes, and as many labels and more."""
    names = [f"Class {number}" for number in range(classes)]
    wide = copy.deepcopy(evaluation)
    wide["confusion_matrix"] = {
        "classes": names,
        "counts": np.random.default_rng(0).poisson(1, (classes,) * 2).tolist(),
    }
    wide["classes"] = dict.fromkeys(names, evaluation["classes"]["Apple"])
    wide["labels"] = {f"Label {number}": evaluation["labels"]["Apple 1"] for number in range(MOST_LABELS + 5)}
    return wide


def test_fill_heat_map(evaluation: dict[str, Any]) -> None:
    page = Page(fill(many(evaluation, 131), {}))
    assert [name for name in page.attributes("class") if name == "dark"] == ["dark"] * 4
    assert "Class 130" in page.text
    assert not [name for name in page.attributes("class") if name == "matrix"]
    assert len(re.findall(r"Label \d+", page.text)) == MOST_LABELS
    assert ("top 3", "100 %") in [
        (name, value.replace("\N{NO-BREAK SPACE}", " ")) for name, value in summary(many(evaluation, 4))
    ]


def hostile(evaluation: Any, text: str) -> Any:
    """The evaluation with `text` in place of every other text and name from outside."""
    made = json.loads(json.dumps(evaluation))
    made["classes"] = {f"{text}{number}": row for number, row in enumerate(made["classes"].values())}
    made["confusion_matrix"]["classes"] = list(made["classes"])
    made["labels"] = {text: {**made["labels"]["Apple 1"], "class": text}}
    for mistake in made["mistakes"]:
        mistake |= {"path": text, "label": text, "true": text, "answered": text}
    made["evaluated"] |= {"features": text, "input": text}
    made["classifier"] |= {"folder": text, "settings": dict.fromkeys(made["classifier"]["settings"], text)}
    made["classifier"]["training"] |= {"features": text, "rule": text, "split": {"kind": text}}
    made["flatters"] |= {
        "labels_in_both": [text],
        "shared_folders": [{"training": text, "evaluated": text, "photos": 1}],
    }
    made["unfamiliar"] |= {
        "features": text,
        "left_out": {text: 1},
        "labels": {text: made["unfamiliar"]["labels"]["Grape"]},
        "not_told_apart": [text],
    }
    return made


def test_fill_draws_any_class_names(evaluation: dict[str, Any]) -> None:
    wide = many(evaluation, 16)
    wide["confusion_matrix"]["classes"] = ["🍎", "$x$", "$", "\x00", "<b>", "a" * 50, "苹果", *"abcdefghi"]
    Page(fill(wide, {}))


@pytest.fixture(scope="module")
def harmless(evaluation: dict[str, Any]) -> Page:
    return Page(fill(hostile(evaluation, "harmless"), {"harmless": b""}))


@pytest.mark.parametrize("text", HOSTILE)
def test_fill_escapes(evaluation: dict[str, Any], harmless: Page, text: str) -> None:
    page = Page(fill(hostile(evaluation, text), {text: b""}))
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in harmless.tags]
    assert page.text.count(str(printable(text))) == harmless.text.count("harmless")


def test_confusions_most_frequent_first() -> None:
    assert confusions(["a", "b", "c"], [[5, 1, 0], [3, 1, 0], [0, 0, 0]]) == [("b", "a", 3, 0.75), ("a", "b", 1, 1 / 6)]


def test_write_evaluation_mistakes(evaluation: dict[str, Any], tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "report"))
    write_evaluation(store, evaluation)
    assert json.loads(store.read("evaluation.json")) == evaluation
    before = Page(store.read("evaluation.html").decode())
    assert before.attributes("title") == []
    draw_samples(tmp_path / "photos", varieties=1, per_variety=1, seed=0)
    (drawn,) = (str(path.relative_to(tmp_path / "photos")) for path in (tmp_path / "photos").rglob("*.jpg"))
    there = copy.deepcopy(evaluation)
    there["evaluated"]["input"], there["mistakes"][0]["path"] = str(tmp_path / "photos"), drawn
    write_evaluation(store, there)
    assert Page(store.read("evaluation.html").decode()).attributes("title") == [drawn]


def test_summary_facts(evaluation: dict[str, Any]) -> None:
    rows = {name: value.replace("\N{NO-BREAK SPACE}", " ") for name, value in summary(evaluation, "out/")}
    assert all(fact in rows["warning"] for fact in ("2 photos", "Apple Rotten = Apple 1 (1)", "random"))
    assert f"{100 * evaluation['balanced_accuracy']:.1f}".removesuffix(".0") in rows["accuracy"]
    assert "Grape" in rows["unfamiliar"]
    assert rows["report"] == "out/evaluation.html"


def test_warnings_folder_pairs(evaluation: dict[str, Any]) -> None:
    pairs = [{"training": f"{number}", "evaluated": "e", "photos": 1} for number in range(20)]
    many = {**evaluation["flatters"], "shared_photos": 64, "shared_folders": pairs, "shared_folder_pairs": 64}
    assert "61 more pairs" in warnings({**evaluation, "flatters": many})[0]


def test_write_evaluation_not_finite(evaluation: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_evaluation(open_store(str(tmp_path / "report")), evaluation | {"accuracy": float("nan")})
    assert not (tmp_path / "report").exists()
