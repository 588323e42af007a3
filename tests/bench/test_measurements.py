"""The measurements' pure parts: turns, failures, what is asked for, memory by role, the page."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.cases import QUICK, Sizes, all_cases
from bench.exported import WARM_UP, times
from bench.faults import PREFIX, find_amiss
from bench.inputs import CaseError, repeated
from bench.measure import Case, Result, Sample, in_turn, measure, run_case
from bench.memory import Process, sum_up
from bench.model import fit_model
from bench.parsing import parse_limit, parse_nothing, parse_predict, parse_update
from bench.tables import SECTIONS, to_dict, to_markdown
from bench.targets import Target, targets

LINE = "print('limit P=2: 50 images 0.50s = 100.0 img/s,')"


def case(program: str, *, size: int = 50, what: str = "limit", kind: str = "photos") -> Case:
    return Case(what, kind, size, lambda _: [sys.executable, "-c", program], parse_limit)


def test_in_turn() -> None:
    pair = [case("", what="a"), case("", what="b")]
    assert [(turn, one.what) for turn, one in in_turn(pair, 2)] == [(turn, what) for turn in range(3) for what in "ab"]
    assert [turn for turn, _ in in_turn(pair[:1], 1)] == [1]
    assert [turn for turn, _ in in_turn([case("", kind="faults")], 3)] == [1]
    assert [turn for turn, _ in in_turn([case("", kind="scale")], 3)] == [1, 2, 3]


def test_measure_drops_what_fails() -> None:
    calls: list[str] = []

    def run(case: Case) -> Sample:
        calls.append(case.what)
        if calls.count("bad") == 2 and case.what == "bad":
            raise CaseError("no such thing")
        return Sample({"wall": float(len(calls))})

    results = measure([case("", what="bad"), case("", what="good")], 2, run, print)
    assert calls == ["bad", "good", "bad", "good", "good"]
    assert (results["bad 50"].failure, results["bad 50"].numbers) == ("no such thing", {})
    assert results["good 50"].numbers["wall"].median == 4.5  # the first, untimed run does not count


@pytest.mark.parametrize(
    ("program", "size"), [("import nothing_like_it", 50), ("print('Killed')", 50), ("", 50), (LINE, 51)]
)
def test_run_case_refuses(program: str, size: int, tmp_path: Path) -> None:
    with pytest.raises(CaseError):
        run_case(case(program, size=size), tmp_path)


def test_run_case(tmp_path: Path) -> None:
    numbers = run_case(case(LINE), tmp_path).numbers
    assert (numbers["photos"], numbers["seconds"], numbers["rate"]) == (50, 0.5, 100)
    assert numbers["wall_rate"] == pytest.approx(50 / numbers["wall"], rel=0.01)
    assert not list(tmp_path.iterdir())


def test_parse_update_compares_new_photos() -> None:
    facts = json.dumps({"update": {"new": 3}, "seconds": {"start": 1.5, "fit": 0.5}})
    assert parse_update(facts, Path(), new=3).numbers == {"start": 1.5, "fit": 0.5, "featurize": 0, "transform": 0}
    for parse in (partial(parse_update, new=0), parse_nothing):
        with pytest.raises(CaseError):
            parse(facts, Path())


def test_parse_predict_counts_answers() -> None:
    assert parse_predict(json.dumps([{"class": "Apple"}, {"class": "Plum"}]), Path()).numbers == {"photos": 2}
    assert parse_predict(json.dumps([{"class": None, "reason": "empty"}]), Path()).numbers == {"photos": 0}


def test_times_takes_turns_in_every_order() -> None:
    calls: list[tuple[int, int]] = []

    def call(which: int, number: int) -> None:
        calls.append((number, which))

    found = times([partial(call, which) for which in range(3)], 12)
    turns = [calls[start : start + 3] for start in range(3 * WARM_UP, len(calls), 3)]
    assert [{number for number, _ in turn} for turn in turns] == [{number} for number in range(12)]
    orders = [tuple(which for _, which in turn) for turn in turns]
    assert len(set(orders)) == 6
    assert all(orders.count(order) == 2 for order in orders)
    assert found.shape == (12, 3)


@pytest.mark.parametrize("sizes", [Sizes(), QUICK])
def test_targets_name_cases(sizes: Sizes, tmp_path: Path) -> None:
    cases = [*all_cases(tmp_path, sizes)]
    names, used = {case.name for case in cases}, set[str]()

    def median(name: str, number: str) -> float:
        used.add(name)
        return 1.0

    assert all(target.compute(median) for target in targets(sizes) if "minus" not in target.what)
    assert len(names) == len(cases)
    assert used <= names
    assert {case.kind for case in cases} == SECTIONS.keys()


@pytest.mark.parametrize(
    ("wanted", "met"), [(">= 4", True), (">= 4.1", False), ("<= 4", True), ("< 4", False), ("", None)]
)
def test_target_met(wanted: str, met: bool | None) -> None:
    target = Target("notebook / Orchard", 50, lambda median: median("a", "wall") / median("b", "wall"), wanted)
    measured = {"a": Result([Sample({"wall": 20.0})]), "b": Result([Sample({"wall": 5.0})])}
    assert target.value(measured) == 4
    assert target.met(4) is met
    assert target.value({**measured, "b": Result(failure="no TensorFlow")}) is None


def test_memory_by_role() -> None:
    sizes = [("python", 60), ("java", 410), ("python", 90), ("python", 130), ("python3.11", 120)]
    tree = [Process(pid, pid - 1, name, {"rss": size * 10**6}) for pid, (name, size) in enumerate(sizes[:4], start=1)]
    tree += [Process(5, 3, sizes[4][0], {"rss": sizes[4][1] * 10**6})]
    assert sum_up(1, tree) == {"driver_rss": 470, "daemon_rss": 90, "worker_rss": 130, "all_rss": 810}
    assert sum_up(1, []) == {}


def test_fit_model() -> None:
    model = fit_model({size: 6 + 0.004 * size for size in (50, 500, 5_000, 50_000)})
    assert (model.fixed, model.per_photo, model.error) == pytest.approx((6, 0.004, 0))


def test_repeated_names_each_link_once(tmp_path: Path) -> None:
    originals = [tmp_path / "in" / f"{number % 2}" / f"{number}.jpg" for number in range(5)]
    fewer, more = (
        {path.relative_to(folder) for path in folder.rglob("*.jpg")}
        for folder in (Path(repeated(tmp_path / f"out{count}", originals, count)) for count in (7, 12))
    )
    assert (len(fewer), len(more)) == (7, 12)
    assert fewer < more


def test_find_amiss(tmp_path: Path) -> None:
    rejected = [{"path": "gone", "reason": "gone"}, {"path": "wrong", "reason": "changed"}]
    for name, rows in (("features", [{"path": "good"}, {"path": "twice"}, {"path": "twice"}]), ("rejected", rejected)):
        (tmp_path / name).mkdir()
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / name / "part.parquet")
    keys = [PREFIX + name for name in ("good", "gone", "twice", "wrong", "missing")]
    amiss = find_amiss(tmp_path, keys, {f"{PREFIX}gone": "404", f"{PREFIX}wrong": "403"})
    assert amiss == [f"{PREFIX}missing", f"{PREFIX}twice", f"{PREFIX}wrong"]


def test_page_has_a_row_for_each_case() -> None:
    cases = [case("", what="limit"), case("", what="daft")]
    results = {
        "limit 50": Result([Sample({"wall": 2.0}), Sample({"wall": 4.0})]),
        "daft 50": Result(failure="no | daft"),
    }
    goals = [Target("limit", 50, lambda median: median("limit 50", "wall"), "<= 1.35")]
    go = {"on": "2026-01-01", "version": "0.1.0", "master": "local[2]", "repeats": 2}
    document = to_dict(cases, results, goals, {"processor": "two cores"}, go)
    assert json.loads(json.dumps(document)) == document
    assert (document["targets"][0]["value"], document["targets"][0]["met"]) == (3, False)
    page = to_markdown(document)
    assert "| limit 50 | 3 (2-4) |" in page
    assert "| daft 50 | no \\| daft |" in page
