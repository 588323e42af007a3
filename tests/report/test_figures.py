from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from orchard.report import figures

LIGHT, DARK = figures.THEMES["light"], figures.THEMES["dark"]
SVG = "{http://www.w3.org/2000/svg}"
PCA: dict[str, Any] = {
    "k": 4,
    "variance_target": 0.9,
    "explained_variance_ratio": [0.5, 0.25, 0.125, 0.0625, 0.0625],
    "cumulative": [0.5, 0.75, 0.875, 0.9375, 1.0],
}
SECONDS = {"starting Spark": 1.6, "featurizing": 2.1}


def drawn(draw: Any, *data: Any) -> Any:
    """The axes of a figure."""
    figure = Figure(figsize=(4, 3))
    draw(figure, LIGHT, *data)
    (axes,) = figure.axes
    return axes


def svg_of(draw: Any, *data: Any) -> bytes:
    return figures.picture(draw, *data)["light"]


def texts(svg: bytes) -> set[str]:
    found = [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]
    return {text.replace("\N{NO-BREAK SPACE}", " ") for text in found}


def cloud(varieties: int, per_variety: int) -> tuple[list[str], Any]:
    """Points of varieties of 20 kinds: 'Apple 0', 'Bpple 1', ..., 'Tpple 19', 'Apple 20', ..."""
    labels = [f"{chr(65 + v % 20)}pple {v}" for v in range(varieties) for _ in range(per_variety)]
    return labels, np.random.default_rng(0).normal(size=(len(labels), 2))


def test_variance_has_a_bar_for_each_component_and_marks_k_and_the_target() -> None:
    axes = drawn(figures.variance, PCA)
    assert [bar.get_height() for bar in axes.patches] == PCA["explained_variance_ratio"]
    assert list(axes.lines[0].get_ydata()) == PCA["cumulative"]
    assert {"k = 4", "93.8 %", "target 90 %"} <= texts(svg_of(figures.variance, PCA))


def test_variance_without_a_target() -> None:
    found = texts(svg_of(figures.variance, PCA | {"variance_target": None, "k": 1}))
    assert not any("target" in text for text in found)


def test_variance_shows_the_first_of_many_components() -> None:
    ratio = np.full(1280, 1 / 1280)
    many = PCA | {"k": 100, "explained_variance_ratio": ratio.tolist(), "cumulative": np.cumsum(ratio).tolist()}
    axes = drawn(figures.variance, many)
    assert len(axes.lines[0].get_ydata()) == 180
    assert [len(outline.get_data().values) for outline in axes.patches] == [180]


@pytest.mark.parametrize(("varieties", "per_variety"), [(5, 10), (49, 8), (131, 38)])
def test_scatter_has_every_point_once(varieties: int, per_variety: int) -> None:
    labels, xy = cloud(varieties, per_variety)
    axes = drawn(figures.scatter, figures.group(labels), xy, [0.5, 0.2])
    shown = np.concatenate([line.get_xydata() for line in axes.lines])
    assert sorted(map(tuple, shown)) == sorted(map(tuple, xy))


def test_scatter_of_one_component_has_a_row_for_each_group() -> None:
    labels, xy = cloud(3, 4)
    axes = drawn(figures.scatter, figures.group(labels), xy, [0.5])
    assert [set(line.get_ydata()) for line in axes.lines] == [{0}, {-1}, {-2}]


def test_scatter_of_thousands_is_one_image() -> None:
    labels, xy = cloud(10, 500)
    svg = svg_of(figures.scatter, figures.group(labels), xy, [0.5, 0.2])
    root = ElementTree.fromstring(svg)
    assert len(list(root.iter(f"{SVG}image"))) == 1
    assert len(list(root.iter(f"{SVG}use"))) < 50
    assert len(svg) < 300_000


def test_group_by_variety_while_they_are_few() -> None:
    labels, _ = cloud(figures.MAX_GROUPS, 2)
    assert [part.name for part in figures.group(labels)] == sorted(set(labels))


def test_group_by_the_first_word_of_the_name() -> None:
    labels, _ = cloud(131, 2)
    other, *groups = figures.group(labels)
    assert len(groups) == figures.MAX_GROUPS
    assert (groups[0].name, groups[0].varieties) == ("Apple", 7)
    assert (other.name, other.varieties) == ("other", 131 - sum(part.varieties for part in groups))


@given(st.lists(st.sampled_from([f"{kind} {n}" for kind in "abcdefghijklmnopqrst" for n in range(3)]), max_size=200))
def test_group_partitions_the_points_and_no_two_groups_look_the_same(labels: list[str]) -> None:
    groups = figures.group(labels)
    assert sorted(row for part in groups for row in part.rows.tolist()) == list(range(len(labels)))
    assert len({(part.color, part.marker) for part in groups}) == len(groups) <= figures.MAX_GROUPS + 1


@pytest.mark.parametrize("count", [1, 4, figures.MAX_BARS])
def test_partitions_has_a_bar_for_each(count: int) -> None:
    axes = drawn(figures.partitions, [[i, 10 + i] for i in range(count)])
    assert [bar.get_height() for bar in axes.patches] == [10 + i for i in range(count)]


@pytest.mark.parametrize("count", [figures.MAX_BARS + 1, 5000])
def test_partitions_by_the_thousand_are_one_outline(count: int) -> None:
    pairs = [[i, i % 30] for i in range(count)]
    (outline,) = drawn(figures.partitions, pairs).patches
    assert outline.get_data().values.tolist() == [photos for _, photos in pairs]
    assert len(svg_of(figures.partitions, pairs)) < 50_000


def test_seconds_has_a_bar_for_each_stage() -> None:
    axes = drawn(figures.seconds, SECONDS)
    assert [bar.get_width() for bar in axes.patches] == list(SECONDS.values())
    assert set(SECONDS) <= texts(svg_of(figures.seconds, SECONDS))


def test_picture_ignores_the_settings_of_matplotlib() -> None:
    before = svg_of(figures.variance, PCA)
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.fonttype": "path"}):
        assert svg_of(figures.variance, PCA) == before
        assert matplotlib.rcParams["font.size"] == 30


def test_picture_has_a_light_and_a_dark_version() -> None:
    made = figures.picture(figures.seconds, SECONDS)
    for name, other in (("light", DARK), ("dark", LIGHT)):
        svg = made[name].decode()
        assert all(figures.THEMES[name][color] in svg for color in ("ink", "muted", "accent", "soft"))
        assert other["ink"] not in svg
