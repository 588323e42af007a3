"""The page, the plot and the table of a comparison."""

from __future__ import annotations

from typing import Any

import pytest
from matplotlib.figure import Figure
from orchard.compare import figures
from orchard.compare.text import COLUMNS, cells, estimated, summary
from orchard.compare.writing import fill
from orchard.report.figures import THEMES

from tests.compare.examples import facts, measures
from tests.report.parsing import HOSTILE, Page


def test_page_has_every_number_and_fetches_nothing() -> None:
    found = facts(measures("a"), measures("b", tasks_seconds=20.0, shared=7))
    found["shared_photos"] = 7
    page = Page(fill(found))
    for text in ("2 backbones", "100 photos", "3 labels", "7 photos", "85 %", "Cherry 1", "10.9", "Differences to a"):
        assert text in page.text
    links = [link for name in ("src", "href") for link in page.attributes(name)]
    assert all(link.startswith("data:") for link in links)
    assert fill(found) == fill(found)


def test_page_without_a_speed_has_no_plot() -> None:
    page = Page(fill(facts(measures("a", tasks_photos=0))))
    assert not [name for name, _ in page.tags if name == "img"]
    assert "not measured" in page.text


@pytest.mark.parametrize("text", HOSTILE)
def test_names_cannot_harm_the_page(text: str) -> None:
    found = facts(measures(text, {text: (text, 60, 30), "b": ("b", 60, 30)}))
    page = Page(fill(found | {"input": text, "test": text, "rule": text}))
    assert "script" not in {tag for tag, _ in page.tags}


def drawn(found: dict[str, Any]) -> Any:
    figure = Figure(figsize=(4, 3))
    figures.accuracy_against_dollars(figure, THEMES["light"], found["backbones"], found["frontier"])
    (axes,) = figure.axes
    return axes


def test_plot_marks_the_frontier_and_names_all() -> None:
    worse = measures("worse", {"Apple 1": ("Apple", 60, 5), "Apple 2": ("Apple", 60, 9)}, tasks_seconds=50.0)
    found = facts(measures("a"), worse, measures("slow", tasks_photos=0))
    axes = drawn(found)
    points = {line.get_color() for line in axes.lines if line.get_marker() == "o"}
    assert points == {THEMES["light"]["accent"], THEMES["light"]["muted"]}
    assert [text.get_text() for text in axes.texts] == ["a", "worse"]
    limits = [tuple(line.get_ydata()) for line in axes.lines if line.get_marker() == "_"]
    expected = [row["accuracy"] for row in found["backbones"][:2]]
    assert limits == [(accuracy["low"], accuracy["high"]) for accuracy in expected]


def test_table() -> None:
    found = facts(measures("a"), measures("b", tasks_photos=0, tasks_seconds=0.0))
    rows = dict(summary(found, "out/"))
    assert rows["report"] == "out/compare.html"
    assert rows["tested on"] == "100 photos of 3 labels"
    assert rows["frontier"] == "a"
    assert len({len(rows[name]) for name in ("backbone", "a", "b")}) == 1
    assert len(cells(found["backbones"][0])) == len(COLUMNS)
    assert "not measured" in rows["b"]


def test_estimated() -> None:
    assert estimated({"value": 0.5, "low": None, "high": None}) == "50\N{NO-BREAK SPACE}%"
    assert estimated({"value": 0.5, "low": 0.25, "high": 0.751}) == "50\N{NO-BREAK SPACE}% (25.0-75.1)"
