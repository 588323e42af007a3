"""The page: well-formed, self-contained, everything escaped."""

from __future__ import annotations

import base64
import re
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from orchard.photos.photo import Rejection
from orchard.report import figures
from orchard.report.templates import printable
from orchard.report.writing import MAX_REJECTS, fill, stage_times

from tests.report.example import facts, points
from tests.report.parsing import HOSTILE, Page

PHOTOS = {"Apple": {"Apple/0.jpg": b"one"}, "Pear": {"Pear/0.jpg": b"two"}}


def rejects(count: int) -> list[Rejection]:
    rest = ("Apple", 1500, 1_790_000_000_000_000, "empty", "DETAIL")
    return [Rejection(f"Apple/{i}.jpg", *rest) for i in range(count)]


def filled(photos: Any = PHOTOS, **changes: Any) -> Page:
    return Page(fill(facts(**changes), points(), photos, []))


@pytest.fixture(scope="module")
def html() -> str:
    return fill(facts(), points(), PHOTOS, [])


def test_fill_fetches_nothing_and_runs_nothing(html: str) -> None:
    page = Page(html)
    links = [link for name in ("src", "href", "srcset", "data") for link in page.attributes(name)]
    assert all(link.startswith(("data:", "#")) for link in links)
    assert not {"script", "iframe", "object", "base", "form"} & {tag for tag, _ in page.tags}
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]
    assert not re.findall(r"@import|url\(|https?://", html)


def test_fill_content_security_policy(html: str) -> None:
    (policy,) = [attrs["content"] for tag, attrs in Page(html).tags if tag == "meta" and "http-equiv" in attrs]
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert html.startswith("<!DOCTYPE html>")


def test_fill_is_reproducible_and_small(html: str) -> None:
    assert fill(facts(), points(), PHOTOS, []) == html
    assert len(html) < 250_000


def test_fill_has_four_figures_in_both_themes(html: str) -> None:
    images = [attrs for tag, attrs in Page(html).tags if tag == "img" and attrs.get("class")]
    assert [image["class"] for image in images] == ["light", "dark"] * 4
    assert len({image["src"] for image in images}) == 8
    assert all(image["alt"] for image in images)
    assert all(theme[color] in html for theme in figures.THEMES.values() for color in ("ink", "accent"))


def test_fill_embeds_thumbnails_byte_for_byte(html: str) -> None:
    start = "data:image/jpeg;base64,"
    sources = [source for source in Page(html).attributes("src") if source.startswith(start)]
    assert [base64.b64decode(source.removeprefix(start)) for source in sources] == [b"one", b"two"]
    assert Page(html).attributes("title") == ["Apple/0.jpg", "Pear/0.jpg"]


def test_fill_ids_are_unique_and_referred_to(html: str) -> None:
    page = Page(html)
    ids, links = page.attributes("id"), page.attributes("href")
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)


def test_fill_numbers(html: str) -> None:
    text = Page(html).text
    for number in (
        "1,280",
        "c009b1f1",
        "22 November 2026, 23:26 UTC",
        "95 %",
        "local[4]",
        "8 to 12 photos",
        "version 7",
    ):
        assert number in text
    assert not re.search(r"\b(None|nan|NaN|Undefined)\b", text)


@pytest.mark.parametrize(
    "changes",
    [
        {"partitions": []},
        {"pca": {"k": 1, "variance_target": None}},
        {"seconds": {"total": 0.0}},
        {"image": "registry/orchard:abc", "tables": {}, "input": {"per_variety": None}},
        {"input": {"skipped": {".heic": 3, "no suffix": 1}, "varieties": 20}},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_fill_unusual_runs(changes: dict[str, Any]) -> None:
    page = filled(photos={}, **changes)
    skipped = changes.get("input", {}).get("skipped", {})
    assert all(str(value) in page.text for value in ("20", *skipped, changes.get("image") or ""))
    assert ("3 HEIC" in page.text) == bool(skipped)


def test_fill_without_points() -> None:
    page = Page(fill(facts(), ([], np.zeros((0, 2))), {}, []))
    assert len([image for image in page.attributes("class") if image == "dark"]) == 3


def test_fill_says_how_many_points_are_a_sample() -> None:
    assert "20 photos out of 90,000" in filled(counts={"listed": 90_000, "featurized": 90_000}).text


def test_fill_lists_rejects_up_to_a_limit() -> None:
    many = facts(counts={"listed": 1320, "rejected": 1300}, rejected_by_reason={"empty": 100, "truncated": 1200})
    page = Page(fill(many, points(), {}, rejects(300)))
    assert page.text.count("DETAIL") == MAX_REJECTS
    assert [f"Apple/{i}.jpg" in page.text for i in (0, MAX_REJECTS - 1, MAX_REJECTS)] == [True, True, False]
    assert page.text.index("truncated") < page.text.index("empty")
    for fact in ("1,200", "1.5 kB", "21 September 2026", "98.5 %"):
        assert fact in page.text
    assert [attrs for _, attrs in page.tags if attrs.get("href") == "#rejected"]


def test_fill_lists_folders_that_share_photos() -> None:
    folders = [{"first": "Training/Apple 9", "second": "Test/Apple 10", "photos": 1120}]
    page = filled(copies={"exact": 1240, "across_splits": 1130, "pairs": 1, "folders": folders})
    assert "copies" in page.attributes("id")
    assert all(fact in page.text for fact in ("1,240", "1,130", "1,120", "Training/Apple 9", "Test/Apple 10"))
    assert "copies" not in filled().attributes("id")


def hostile_page(text: str) -> Page:
    """A page with `text` wherever text comes from outside."""
    made = facts(
        created=text,
        input={"uri": text, "varieties": 1, "labels": {text: 20}, "skipped": {text: 1}},
        counts={"featurized": 19, "rejected": 1},
        rejected_by_reason={text: 1},
        copies={"exact": 1, "across_splits": 0, "pairs": 1, "folders": [{"first": text, "second": text, "photos": 1}]},
        settings=dict.fromkeys(("backbone", "fingerprint", "runtime", "decoding"), text),
        backbone={"name": text, "feature_size": 1280, "fingerprint": text},
        runtime=text,
        spark={"version": text, "master": text, "executors": 1, "cores": 4},
        versions={text: text},
        image=text,
        partitions=[],
        seconds={text: 1.0, "total": 1.0},
    )
    return Page(fill(made, ([text], np.zeros((1, 2))), {text: {text: b""}}, [Rejection(text, text, 0, 0, text, text)]))


@pytest.fixture(scope="module")
def harmless() -> Page:
    return hostile_page("harmless")


@pytest.mark.parametrize("text", HOSTILE)
def test_fill_escapes(harmless: Page, text: str) -> None:
    page, clean = hostile_page(text), str(printable(text))
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in harmless.tags]
    assert page.text.count(clean) == harmless.text.count("harmless")
    assert page.attributes("title") == [clean]


@settings(max_examples=20, deadline=None)
@given(st.text(min_size=1))
def test_fill_escapes_any_text(harmless: Page, text: str) -> None:
    page = hostile_page(text)
    assert [(tag, set(attrs)) for tag, attrs in page.tags] == [(tag, set(attrs)) for tag, attrs in harmless.tags]
    assert page.attributes("title") == [printable(text)]


def test_stage_times_account_for_the_total() -> None:
    assert stage_times({"featurize": 6.0, "total": 10.0}) == {"featurizing": 6.0, "other": 4.0}
    assert stage_times({"featurize": 6.0, "total": 6.01}) == {"featurizing": 6.0}
    assert stage_times({}) == {}


@given(st.text())
def test_printable_fits_xml_and_utf8_and_changes_nothing_else(value: str) -> None:
    clean = str(printable(value))
    assert len(clean) == len(value)
    assert printable(clean) == clean
    assert all(a in (b, "\N{REPLACEMENT CHARACTER}") for a, b in zip(clean, value, strict=True))
    escaped = clean.replace("&", "&amp;").replace("<", "&lt;").replace("]]>", "]]&gt;")
    assert (ElementTree.fromstring(f"<a>{escaped}</a>".encode()).text or "") == clean
