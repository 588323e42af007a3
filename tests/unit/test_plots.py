"""The figures: valid, light, the same every time, and readable from one photo to thousands."""

from __future__ import annotations

import subprocess
import sys
from io import BytesIO
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchard.report import plots
from PIL import Image

RATIO = [0.5, 0.25, 0.125, 0.0625, 0.0625]
CUMULATIVE = [0.5, 0.75, 0.875, 0.9375, 1.0]
SECONDS = {
    "start": 1.6,
    "list": 0.1,
    "featurize": 2.1,
    "fit": 0.5,
    "transform": 0.4,
    "model": 0.9,
    "report": 0.4,
    "total": 6.0,
}


def texts(drawing: plots.Drawing) -> list[str]:
    """Every text in the drawing's SVG, with spaces that do break."""
    root = ElementTree.fromstring(plots.to_svg(drawing))
    return [
        (element.text or "").replace("\N{NO-BREAK SPACE}", " ")
        for element in root.iter("{http://www.w3.org/2000/svg}text")
    ]


def cloud(varieties: int, per_variety: int) -> tuple[list[str], np.ndarray]:
    rng = np.random.default_rng(0)
    """Points of varieties of 20 kinds, 'Apple 0', 'Bpple 1' to 'Tpple 19', and round again."""
    labels = [f"{chr(65 + v % 20)}pple {v}" for v in range(varieties) for _ in range(per_variety)]
    return labels, rng.normal(size=(len(labels), 2))


def all_four() -> list[plots.Drawing]:
    labels, xy = cloud(5, 10)
    return [
        plots.variance(RATIO, CUMULATIVE, k=4, target=0.9),
        plots.scatter(labels, xy, shares=RATIO[:2]),
        plots.partitions([[0, 13], [1, 13], [2, 13], [3, 11]]),
        plots.seconds(SECONDS),
    ]


def test_importing_the_module_leaves_matplotlib_out() -> None:
    code = "import sys, orchard.report.plots, orchard.report.page; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_titles_state_the_findings() -> None:
    titles = [drawing.title.replace("\N{NO-BREAK SPACE}", " ") for drawing in all_four()]
    assert titles == [
        "4 components keep 93.8 % of the variance",
        "PC 1 and PC 2 show 75 % of the variance",
        "4 partitions of 11 to 13 photos",
        "Featurizing took 2.1 s of 6.0 s",
    ]


@pytest.mark.parametrize("drawing", all_four(), ids=lambda drawing: drawing.name)
def test_svg_carries_its_title_and_is_small_and_undated(drawing: plots.Drawing) -> None:
    svg = plots.to_svg(drawing)
    assert drawing.title.replace("\N{NO-BREAK SPACE}", " ") in texts(drawing)
    assert len(svg) < 20_000
    assert b"<metadata" not in svg
    assert b"<image" not in svg


@pytest.mark.parametrize("drawing", all_four(), ids=lambda drawing: drawing.name)
def test_same_bytes_whatever_the_users_matplotlib_settings(drawing: plots.Drawing) -> None:
    before = plots.to_svg(drawing)
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.fonttype": "path"}):
        assert plots.to_svg(drawing) == before
        assert matplotlib.rcParams["font.size"] == 30


def test_ids_do_not_collide_between_drawings() -> None:
    ids = [
        element.get("id")
        for drawing in all_four()
        for element in ElementTree.fromstring(plots.to_svg(drawing)).iter()
        if element.get("id")
    ]
    assert len(ids) == len(set(ids)) > 0


def test_variance_marks_k_and_the_target() -> None:
    found = texts(plots.variance(RATIO, CUMULATIVE, k=4, target=0.9))
    assert {"k = 4", "93.8 %", "target 90 %"} <= set(found)


def test_variance_without_a_target_shows_none() -> None:
    assert not [text for text in texts(plots.variance(RATIO, CUMULATIVE, k=1, target=None)) if "target" in text]


def test_variance_says_when_it_cuts_the_spectrum() -> None:
    ratio = np.full(1280, 1 / 1280)
    drawing = plots.variance(ratio.tolist(), np.cumsum(ratio).tolist(), k=100, target=None)
    assert "component (the first 180 of 1,280)" in texts(drawing)


def test_scatter_names_every_variety_when_they_are_few() -> None:
    labels, xy = cloud(plots.MAX_LEGEND, 2)
    assert set(labels) <= set(texts(plots.scatter(labels, xy, shares=[0.5, 0.2])))


@pytest.mark.parametrize(("varieties", "per_variety"), [(49, 8), (131, 38)])
def test_scatter_groups_many_varieties_by_kind(varieties: int, per_variety: int) -> None:
    labels, xy = cloud(varieties, per_variety)
    drawing = plots.scatter(labels, xy, shares=[0.5, 0.2])
    found = texts(drawing)
    assert f"{varieties} varieties, coloured by first word of the name" in found
    assert f"Apple ({3 if varieties == 49 else 7})" in found
    assert any("other varieties" in text for text in found)
    assert len(plots.to_svg(drawing)) < 300_000


def test_scatter_of_thousands_is_one_picture() -> None:
    labels, xy = cloud(10, 500)
    root = ElementTree.fromstring(plots.to_svg(plots.scatter(labels, xy, shares=[0.5, 0.2])))
    assert len(list(root.iter("{http://www.w3.org/2000/svg}image"))) == 1
    assert len(list(root.iter("{http://www.w3.org/2000/svg}use"))) < 50


def test_scatter_says_that_one_component_has_no_second() -> None:
    labels, xy = cloud(3, 4)
    drawing = plots.scatter(labels, xy * [1, 0], shares=[0.5])
    assert "there is no PC 2" in drawing.title
    assert not [text for text in texts(drawing) if text.startswith("PC 2")]


def test_labels_are_text_never_markup_or_mathematics() -> None:
    labels = ["_hidden", "$x^$", '<b>&"', "🍎 fill: #0072b2", "ctrl\x1b\udcff", "x" * 60]
    found = texts(plots.scatter(labels, np.eye(6)[:, :2], shares=[0.5, 0.2]))
    assert {*labels[:4], "ctrl\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}", "x" * 25 + "…"} <= set(found)


@given(
    st.lists(
        st.sampled_from([f"{kind} {n}" for kind in "abcdefghijklmnop" for n in range(3)]), min_size=1, max_size=200
    )
)
def test_every_point_is_in_one_group_and_no_two_groups_look_the_same(labels: list[str]) -> None:
    groups, _ = plots._group(labels)
    rows = np.concatenate([group.rows for group in groups])
    assert sorted(rows.tolist()) == list(range(len(labels)))
    assert len({(group.color, group.marker) for group in groups}) == len(groups)


@pytest.mark.parametrize(
    ("pairs", "title"),
    [
        ([[0, 50]], "One partition did all 50 photos"),
        ([[0, 1], [1, 1]], "2 partitions of 1 photo"),
        ([[i, 18] for i in range(5000)], "5,000 partitions of 18 photos"),
        ([[i, i % 30] for i in range(5000)], "5,000 partitions of 0 to 29 photos"),
    ],
)
def test_partitions_from_one_to_thousands(pairs: list[list[int]], title: str) -> None:
    drawing = plots.partitions(pairs)
    assert drawing.title == title
    assert len(plots.to_svg(drawing)) < 30_000


def test_few_partitions_are_labelled_with_their_number_and_size() -> None:
    assert {"7", "13", "11"} <= set(texts(plots.partitions([[6, 13], [7, 11]])))


def test_time_that_no_stage_accounts_for_is_shown() -> None:
    assert {"everything else", "4.0 s"} <= set(texts(plots.seconds({"featurize": 6.0, "total": 10.0})))
    assert "everything else" not in texts(plots.seconds({"featurize": 6.0, "total": 6.01}))


@pytest.mark.parametrize(
    "drawing", [plots.scatter([], np.zeros((0, 2)), shares=[]), plots.partitions([]), plots.seconds({})]
)
def test_nothing_to_draw_is_said(drawing: plots.Drawing) -> None:
    assert texts(drawing) == [drawing.title]


def test_png_of_all_four() -> None:
    data = plots.to_png(all_four(), scale=1)
    assert data == plots.to_png(all_four(), scale=1)
    with Image.open(BytesIO(data)) as image:
        assert image.width == 2 * plots.WIDTH + 3 * 14
        assert image.convert("RGB").getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.00 s"),
        (0.04, "0.04 s"),
        (0.42, "0.4 s"),
        (9.96, "10 s"),
        (99, "99 s"),
        (200, "3 min 20 s"),
        (900, "15 min"),
        (7500, "2 h 5 min"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert plots.duration(seconds).replace("\N{NO-BREAK SPACE}", " ") == text


@given(st.text())
def test_printable_text_fits_xml_and_utf8_and_changes_nothing_else(text: str) -> None:
    clean = plots.printable(text)
    assert len(clean) == len(text)
    assert plots.printable(clean) == clean
    assert all(a in (b, "\N{REPLACEMENT CHARACTER}") for a, b in zip(clean, text, strict=True))
    escaped = clean.replace("&", "&amp;").replace("<", "&lt;").replace("]]>", "]]&gt;")
    assert (ElementTree.fromstring(f"<a>{escaped}</a>".encode()).text or "") == clean
