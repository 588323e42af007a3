from __future__ import annotations

import subprocess
import sys

from orchard.report.text import summary

from tests.report.example import facts


def test_summary_rows_of_a_plain_run() -> None:
    names = [name for name, _ in summary(facts(), "out")]
    assert names == ["photos", "features", "components", "speed", "update", "seconds", "report"]
    assert dict(summary(facts(), "s3://bucket/out/"))["report"] == "s3://bucket/out/report.html"


def test_summary_rows_of_a_run_with_trouble() -> None:
    folders = [{"first": f"Training/A {i}", "second": f"Test/B {i}", "photos": 100 - i} for i in range(5)]
    rows = dict(
        summary(
            facts(
                input={"skipped": {".heic": 4, "hidden": 6}},
                rejected_by_reason={"empty": 3, "truncated": 2},
                copies={"exact": 700, "across_splits": 600, "pairs": 5, "folders": folders},
                read_retries=8,
                task_retries=1,
            ),
            "out",
        )
    )
    assert "3 empty" in rows["rejected"]
    assert "2 truncated" in rows["rejected"]
    assert "4 .heic" in rows["skipped"]
    assert "6 hidden" in rows["skipped"]
    assert "4 HEIC" in rows["hint"]
    assert {"700", "600"} <= set(rows["copies"].replace(",", " ").split())
    assert [f"A {i}" in rows["copies"] and f"B {i}" in rows["copies"] for i in range(5)] == [True] * 3 + [False] * 2
    assert "8 " in rows["retries"]
    assert "1 " in rows["retries"]


def test_summary_update() -> None:
    changes = {"new": 0, "changed": 3, "removed": 1, "kept": 2000, "retried": 0}
    update = dict(summary(facts(update=changes), "out"))["update"]
    assert all(part in update for part in ("3 changed", "1 removed", "2,000 kept"))
    assert "new" not in update


def test_summary_of_a_call_without_tasks_has_no_speed() -> None:
    assert "speed" not in dict(summary(facts(partitions=[]), "out"))


def test_importing_text_is_light() -> None:
    code = "import sys, orchard.report.text; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"pyspark", "matplotlib", "jinja2", "numpy", "PIL"} & set(loaded)
