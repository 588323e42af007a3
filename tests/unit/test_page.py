"""The report page: sound HTML, nothing from outside, nothing unescaped, and every number in its place."""

from __future__ import annotations

import base64
import copy
import re
from html.parser import HTMLParser
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from orchard.photos.source import Rejection
from orchard.report import plots
from orchard.report.page import MAX_REJECTS, Points, Thumbnail, drawings, render
from PIL import Image

VOID = {"meta", "link", "img", "br", "hr"}
NASTY = ["<script>alert(1)</script>", "a&b&amp;", "\"quoted\" 'twice'", "🍎 pomme", "{braces} %s \\", "</style></svg>"]

FACTS: dict[str, Any] = {
    "schema_version": 1,
    "created": "2026-11-22T23:26:15+00:00",
    "input": {"uri": "photos", "varieties": 2, "per_variety": 10, "ignored": 0, "labels": {"Apple": 10, "Pear": 10}},
    "counts": {"listed": 20, "featurized": 20, "rejected": 0},
    "rejected_by_reason": {},
    "partitions": [[0, 10], [1, 10]],
    "backbone": {"name": "mobilenet_v2", "feature_size": 1280, "fingerprint": "c009b1f1"},
    "runtime": "litert",
    "pca": {
        "k": 3,
        "variance_target": 0.9,
        "explained_variance_ratio": [0.6, 0.2, 0.15, 0.05],
        "cumulative": [0.6, 0.8, 0.95, 1.0],
    },
    "seconds": {
        "start": 1.6,
        "list": 0.1,
        "featurize": 2.1,
        "fit": 0.5,
        "transform": 0.4,
        "model": 0.9,
        "report": 0.5,
        "total": 6.1,
    },
    "images_per_second": 180.2,
    "spark": {"version": "3.5.6", "master": "local[4]", "executors": 1, "cores": 4},
    "versions": {"orchard": "0.1.0", "python": "3.11.7", "tensorflow": None},
    "image": None,
}


def facts(**changes: Any) -> dict[str, Any]:
    """`FACTS` with some of its parts updated, or replaced where they are no dicts."""
    made = copy.deepcopy(FACTS)
    for name, change in changes.items():
        made[name] = made.get(name, {}) | change if isinstance(change, dict) else change
    return made


def points(count: int = 20, total: int | None = None) -> Points:
    xy = np.random.default_rng(0).normal(size=(count, 2))
    return Points(["Apple", "Pear"] * (count // 2), xy, count if total is None else total)


def jpeg(color: str) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (8, 8), color).save(buffer, "JPEG")
    return buffer.getvalue()


PHOTOS = [Thumbnail("Apple", "Apple/0_100.jpg", jpeg("red")), Thumbnail("Pear", "Pear/0_100.jpg", jpeg("green"))]


class Page(HTMLParser):
    """A parsed page: its text, its tags, and whether every tag that opens also closes, in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.pieces: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.pieces.append(" " if tag in ("td", "th", "li", "text") else "")

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.pieces.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.pieces).replace("\N{NO-BREAK SPACE}", " ").split())

    def attributes(self, name: str) -> list[str]:
        return [attrs[name] or "" for _, attrs in self.tags if name in attrs]


@pytest.fixture(scope="module")
def html() -> str:
    return render(FACTS, points=points(), photos=PHOTOS, rejects=[])


@pytest.fixture(scope="module")
def nasty_html() -> str:
    """A page with trouble wherever text comes from outside."""
    rejects = [Rejection(f"photos/{text}/0.jpg", text, text, text) for text in [*NASTY, "ctrl\x1b\udcff"]]
    source = {
        "uri": f"s3://bucket/{NASTY[0]}",
        "varieties": len(NASTY),
        "per_variety": None,
        "labels": dict.fromkeys(NASTY, 1),
    }
    trouble = facts(
        input=source,
        counts={"listed": 27, "rejected": 7},
        rejected_by_reason={NASTY[0]: 7},
        backbone={"name": NASTY[0], "fingerprint": NASTY[1]},
        runtime=NASTY[2],
        spark={"master": NASTY[0], "version": NASTY[1]},
        versions={NASTY[0]: NASTY[1]},
        image=NASTY[5],
        created=NASTY[2],
        seconds={NASTY[0]: 1.0},
    )
    photos = [Thumbnail(text, f"{text}/0.jpg", jpeg("red")) for text in NASTY]
    return render(trouble, points=Points(NASTY, np.eye(6)[:, :2], 6), photos=photos, rejects=rejects)


def test_tags_are_balanced(html: str, nasty_html: str) -> None:
    assert Page(html).open == Page(nasty_html).open == []


def test_nothing_is_fetched_and_nothing_runs(html: str, nasty_html: str) -> None:
    for source in (html, nasty_html):
        page = Page(source)
        links = [link for name in ("src", "href", "xlink:href", "srcset", "data") for link in page.attributes(name)]
        assert links
        assert all(link.startswith(("data:", "#")) for link in links)
        assert not {"script", "iframe", "object", "base", "form"} & {tag for tag, _ in page.tags}
        assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]
        assert "@import" not in source
        assert set(re.findall(r"url\((.)", source)) <= {"#"}
        assert set(re.findall(r"http\S{0,6}", source)) == {'http-equiv="'[:10]}


def test_the_browser_is_told_to_fetch_nothing(html: str) -> None:
    (policy,) = [attrs["content"] for tag, attrs in Page(html).tags if tag == "meta" and "http-equiv" in attrs]
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_every_id_is_unique_and_every_reference_has_its_target(html: str) -> None:
    page = Page(html)
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))
    inner = {link[1:] for name in ("href", "xlink:href") for link in page.attributes(name) if link.startswith("#")}
    assert inner | set(re.findall(r"url\(#([^)]+)\)", html)) <= set(ids)


def test_text_from_outside_is_shown_as_it_is(nasty_html: str) -> None:
    page = Page(nasty_html)
    for text in NASTY:
        assert f"photos/{text}/0.jpg" in page.text
        assert f"{text}/0.jpg" in page.attributes("title")
    assert "ctrl\N{REPLACEMENT CHARACTER}" in page.text
    assert nasty_html.encode()


def test_sections_come_in_the_readers_order(html: str) -> None:
    headings = re.findall(r"<h2>(.*?)</h2>", html)
    assert headings == [
        "Explained variance",
        "Photos on the first two components",
        "Photos by variety",
        "Partitions",
        "Time by stage",
        "Rejected photos",
        "How it was made",
        "What the words mean",
        "How to load the results",
    ]


def test_the_summary_says_what_came_out(html: str) -> None:
    text = Page(html).text
    for fact in (
        "20 photos of 2 varieties, each now 3 numbers instead of 1,280",
        "20 of 20 photos featurized",
        "0 rejected: every photo made it",
        "3 components for 95 % of the variance",
        "180 photos a second",
        "6.1 s from start to report",
        "4 cores 1 executor, Spark on local[4]",
        "22 November 2026, 23:26 UTC",
    ):
        assert fact in text


def test_what_is_missing_is_left_out(html: str) -> None:
    bare = facts(input={"per_variety": None}, pca={"variance_target": None})
    del bare["image"], bare["input"]["ignored"]
    for page in (Page(html), Page(render(bare, points=points(), photos=[], rejects=[]))):
        assert not re.search(r"\b(None|nan|NaN)\b", page.text)
        assert "tensorflow" not in page.text
        assert "Container image none recorded" in page.text


def test_provenance_names_backbone_runtime_and_image() -> None:
    text = Page(render(facts(image="registry/orchard:abc"), points=points(), photos=[], rejects=[])).text
    for fact in (
        "MobileNetV2",
        "c009b1f1",
        "LiteRT",
        "224 x 224 (bicubic)",
        "0 … 255 to -1 … 1",
        "registry/orchard:abc",
        "orchard 0.1.0",
    ):
        assert fact in text


def test_there_is_one_drawing_for_each_figure_and_its_colours_follow_the_page(html: str) -> None:
    page = Page(html)
    figures = [attrs["aria-label"] for tag, attrs in page.tags if tag == "svg"]
    assert figures == [drawing.title for drawing in drawings(FACTS, points())]
    styles = " ".join(page.attributes("style"))
    assert "var(--ink)" in styles
    assert "var(--accent)" in styles
    assert plots.INK not in styles
    assert all(variable in html for variable in re.findall(r"var\((--[a-z-]+)\)", styles))


def test_contact_sheet_holds_the_photos_byte_for_byte(html: str) -> None:
    sources = Page(html).attributes("src")
    shown = [base64.b64decode(source.removeprefix("data:image/jpeg;base64,")) for source in sources]
    assert shown == [photo.jpeg for photo in PHOTOS]
    for data in shown:
        with Image.open(BytesIO(data)) as image:
            assert image.size == (8, 8)
    assert Page(html).attributes("alt") == ["Apple, 0_100.jpg", "Pear, 0_100.jpg"]


def test_contact_sheet_counts_what_it_leaves_out(html: str) -> None:
    text = Page(html).text
    assert "Apple 1 of 10 photos" in text
    assert "Some photos of" not in text
    fewer = render(facts(input={"varieties": 131}), points=points(), photos=PHOTOS, rejects=[])
    assert "Some photos of 2 of the 131 varieties." in Page(fewer).text


def test_photos_that_are_not_at_hand_are_accounted_for() -> None:
    page = render(FACTS, points=points(), photos=[], rejects=[])
    assert "The photos were not at hand" in page
    assert "<img" not in page


def test_no_rejects_says_so(html: str) -> None:
    assert "No photo was rejected: every one listed has its features." in Page(html).text


def test_rejects_are_counted_by_reason_and_listed_up_to_a_limit() -> None:
    rejects = [Rejection(f"Apple/{i}.jpg", "Apple", "truncated", "the end is missing") for i in range(300)]
    many = facts(counts={"listed": 1320, "rejected": 1300}, rejected_by_reason={"empty": 100, "truncated": 1200})
    page = Page(render(many, points=points(), photos=[], rejects=rejects))
    assert "1,200 truncated the file ends before its picture does 100 empty the file has no bytes" in page.text
    assert page.text.count("the end is missing") == MAX_REJECTS
    assert f"Apple/{MAX_REJECTS - 1}.jpg" in page.text
    assert f"Apple/{MAX_REJECTS}.jpg" not in page.text
    assert "1,200 more are listed in the table rejected/" in page.text
    assert "1,300 photos (98.5 %) could not be used" in page.text


def test_rejects_that_are_not_at_hand_are_pointed_to() -> None:
    some = facts(counts={"listed": 21, "rejected": 1}, rejected_by_reason={"empty": 1})
    assert (
        "Each one is listed in the table rejected/" in Page(render(some, points=points(), photos=[], rejects=[])).text
    )


def test_time_inside_tasks_is_shown_where_it_was_measured(html: str) -> None:
    assert "Inside featurizing" not in html
    measured = facts(task_seconds={"waiting": 0.5, "predicting": 6})
    text = Page(render(measured, points=points(), photos=[], rejects=[])).text
    assert "Inside featurizing, over all tasks: waiting 0.5 s, predicting 6.0 s." in text


def test_a_sample_of_the_points_is_called_one() -> None:
    assert (
        "A sample of 20 photos out of 90,000."
        in Page(render(FACTS, points=points(20, 90_000), photos=[], rejects=[])).text
    )


def test_one_component_has_no_second() -> None:
    one = facts(pca={"k": 1, "variance_target": None})
    text = Page(render(one, points=points(), photos=[], rejects=[])).text
    assert "each now 1 number instead of 1,280" in text
    assert "there is no PC 2" in text
    assert "The run asked for 1 component." in text


def test_the_same_facts_give_the_same_page(html: str) -> None:
    assert render(FACTS, points=points(), photos=PHOTOS, rejects=[]) == html


def test_a_page_without_photos_is_small() -> None:
    assert len(render(FACTS, points=points(), photos=[], rejects=[]).encode()) < 60_000
