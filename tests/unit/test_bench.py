"""The measurements' pure parts: turns, medians, what the peers print, targets, memory by role, tables."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench import cases, tables
from bench.cases import Case, all_cases, run_case
from bench.inputs import DEAD, last_line, make_features, repeated
from bench.measure import CaseError, Result, Sample, Summary, in_turn, measure, summarize
from bench.memory import Process, roles, sizes
from bench.model import RATES, RESULTS, fit_model, rates
from bench.targets import Target, targets

NOWHERE = Path("nowhere")
REPORT = {
    "counts": {"listed": 60, "featurized": 60, "rejected": 0},
    "pca": {"k": 17},
    "seconds": {"start": 2.0, "featurize": 3.0, "fit": 0.5, "total": 6.0},
    "task_seconds": {"waiting": 0.1, "decoding": 0.2, "predicting": 0.7},
}


def result(**numbers: float) -> Result:
    return Result([Sample(numbers)])


def test_cases_take_turns_after_a_warm_up_round() -> None:
    assert list(in_turn(["a", "b"], 2)) == [(0, "a"), (0, "b"), (1, "a"), (1, "b"), (2, "a"), (2, "b")]


@pytest.mark.parametrize(
    ("values", "summary"),
    [([3.0], Summary(3, 3, 3, 1)), ([9, 1, 2], Summary(2, 1, 9, 3)), ([1, 2, 4, 100], Summary(3, 1, 100, 4))],
)
def test_median_and_spread(values: Sequence[float], summary: Summary) -> None:
    assert summarize(values) == summary


def test_the_warm_up_does_not_count() -> None:
    seconds = iter([100.0, 1.0, 3.0, 2.0])
    results = measure({"a": lambda: Sample({"wall": next(seconds)}, {"lapack": "F2jLAPACK"})}, 3, print)
    assert results["a"].numbers == {"wall": Summary(2, 1, 3, 3)}
    assert results["a"].notes == {"lapack": "F2jLAPACK"}


def test_a_failing_case_is_dropped_with_its_reason_and_the_others_go_on() -> None:
    calls: list[str] = []

    def good() -> Sample:
        calls.append("good")
        return Sample({"wall": 1.0})

    def bad() -> Sample:
        calls.append("bad")
        if calls.count("bad") == 2:
            raise CaseError("no such thing")
        return Sample({"wall": 1.0})

    results = measure({"bad": bad, "good": good}, 3, print)
    assert calls == ["bad", "good", "bad", "good", "good", "good"]
    assert (results["bad"].failure, results["bad"].numbers) == ("no such thing", {})
    assert results["good"].numbers["wall"].n == 3


def test_only_numbers_of_every_run_are_summed_up() -> None:
    both = Result([Sample({"wall": 1.0, "report": 0.2}), Sample({"wall": 3.0})])
    assert both.numbers == {"wall": Summary(2, 1, 3, 2)}


def test_the_limits_line() -> None:
    sample = cases.parse_limit("limit P=2: 2940 images 19.07s = 154.2 img/s, decode share 0.168\n", NOWHERE)
    assert sample.numbers == {"photos": 2940, "seconds": 19.07, "rate": 154.2}


def test_the_notebooks_line_comes_last() -> None:
    line = '{"n": 60, "k90": 30, "var": 0.9, "session": 5.85, "list": 6.1, "features": 26.1, "scale+pca": 9.8, "total": 40.0}'
    sample = cases.parse_notebook(f"Setting default log level\n{line}\n\n", NOWHERE)
    assert sample.numbers == {"photos": 60, "seconds": 40.0, "featurize": 26.1, "reduce": 9.8, "rate": 1.5, "k": 30}


def test_dafts_photos_are_counted_in_its_table(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    for name, rows in (("a", 30), ("b", 20)):
        pq.write_table(pa.table({"path": pa.nulls(rows)}), tmp_path / "out" / f"{name}.parquet")
    assert cases.parse_daft('{"seconds": 2.5}', tmp_path).numbers == {"photos": 50, "seconds": 2.5, "rate": 20}


def test_orchards_report() -> None:
    numbers = cases.parse_orchard(json.dumps(REPORT), NOWHERE).numbers
    assert (numbers["photos"], numbers["seconds"], numbers["predicting"], numbers["fit"], numbers["k"]) == (
        60,
        6.0,
        0.7,
        0.5,
        17,
    )
    assert (numbers["rate"], numbers["stage_rate"]) == (10, 20)
    assert numbers["warm_rate"] == pytest.approx(60 / (1.0 / 2))  # one second of work over two slots


def test_a_task_far_from_its_photos() -> None:
    line = {"photos": 50, "seconds": 2.0, "rate": 25.0, "cpu": 6.0, "waiting": 0.1}
    assert cases.parse_reads(f"Loading\n{json.dumps(line)}\n", NOWHERE).numbers == line


@pytest.mark.parametrize(
    "parse", [cases.parse_reads, cases.parse_limit, cases.parse_notebook, cases.parse_daft, cases.parse_orchard]
)
@pytest.mark.parametrize("out", ["", "Killed\n", "[1]", '{"other": 1}'])
def test_other_output_is_a_reason(parse: cases.Parse, out: str, tmp_path: Path) -> None:
    with pytest.raises(CaseError):
        run_case(Case("limit", "photos", 50, lambda _: [sys.executable, "-c", f"print({out!r})"], parse), tmp_path)


@pytest.mark.parametrize(("lapack", "native"), [("F2jLAPACK", False), ("JNILAPACK", True), ("NumPy's", False)])
def test_a_pca_fit_says_which_lapack_it_used(lapack: str, native: bool) -> None:
    line = {"first": 9.0, "files": 4.0, "fit": 3.0, "k": 24, "kept": 0.9, "lapack": lapack, "blas": "?"}
    sample = cases.parse_pca(json.dumps(line), NOWHERE, native=native)
    assert sample.notes == {"lapack": lapack, "blas": "?"}
    assert sample.numbers == {"first": 9.0, "files": 4.0, "fit": 3.0, "k": 24, "kept": 0.9}
    with pytest.raises(CaseError, match=lapack):
        cases.parse_pca(json.dumps(line), NOWHERE, native=not native)


def case(program: str, size: int = 50) -> Case:
    return Case(
        "limit", "photos", size, lambda _: [sys.executable, "-c", program], cases.parse_limit, (("WORD", "limit"),)
    )


def test_a_case_is_run_in_its_environment_and_timed(tmp_path: Path) -> None:
    line = "import os; print(os.environ['WORD'], 'P=2: 50 images 0.50s = 100.0 img/s,')"
    numbers = run_case(case(line), tmp_path).numbers
    assert numbers["seconds"] == 0.5
    assert numbers["wall"] > 0
    assert numbers["wall_rate"] == pytest.approx(50 / numbers["wall"], rel=0.01)
    assert not list(tmp_path.iterdir())
    with pytest.raises(CaseError, match="50 photos instead of 51"):
        run_case(case(line, 51), tmp_path)


def test_a_failed_command_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(CaseError, match="exit code 1: ModuleNotFoundError: No module named 'nothing_like_it'"):
        run_case(case("import nothing_like_it"), tmp_path)


def test_every_target_names_cases_that_there_are(tmp_path: Path) -> None:
    names = [case.name for case in all_cases(tmp_path, quick=False)]
    assert len(set(names)) == len(names) == 34
    used = {
        place[0]
        for target in targets(cases.PHOTOS, cases.ROWS, cases.READS, cases.SCALE)
        for place in (target.over, target.under)
        if place
    }
    assert used <= set(names)
    # The model of time takes every size of these.
    assert {name for name in set(names) - used if not name.startswith("scale ")} == set()
    assert [case.size for case in all_cases(tmp_path, quick=True)] == [50] * 17


@pytest.mark.parametrize(
    ("wanted", "met"), [(">= 4", True), (">= 4.1", False), ("<= 4", True), ("< 4", False), ("", None)]
)
def test_a_ratio_against_what_was_wanted(wanted: str, met: bool | None) -> None:
    target = Target("notebook / Orchard", 50, ("notebook 50", "wall"), ("orchard 50", "wall"), wanted)
    value = target.value({"notebook 50": result(wall=20.0), "orchard 50": result(wall=5.0)})
    assert value == 4
    assert target.met(value) is met


def test_a_target_without_its_cases_has_no_value() -> None:
    target = Target("notebook / Orchard", 50, ("notebook 50", "wall"), ("orchard 50", "wall"), ">= 4")
    assert target.value({"orchard 50": result(wall=5.0)}) is None
    assert target.value({"orchard 50": result(wall=5.0), "notebook 50": Result(failure="no TensorFlow")}) is None
    assert Target("worker", 50, ("memory 50", "worker_pss")).value({"memory 50": result(worker_pss=90.0)}) == 90


def test_memory_by_role() -> None:
    tree = [
        Process(1, 0, "python", 50_000_000, 60_000_000),
        Process(2, 1, "java", 400_000_000, 410_000_000),
        Process(3, 2, "python", 10_000_000, 90_000_000),
        Process(4, 3, "python", 70_000_000, 130_000_000),
        Process(5, 3, "python3.11", 80_000_000, 120_000_000),
    ]
    assert roles(1, tree) == {1: "driver", 2: "driver", 3: "daemon", 4: "worker", 5: "worker"}
    pss = {"driver_pss": 450, "daemon_pss": 10, "worker_pss": 80, "all_pss": 610}
    assert (
        sizes(1, tree) == {"workers": 2, "driver_rss": 470, "daemon_rss": 90, "worker_rss": 130, "all_rss": 810} | pss
    )
    assert sizes(1, tree[:1])["worker_pss"] == 0
    unasked = [replace(process, pss=None) for process in tree]
    assert sizes(1, unasked) == {"workers": 2, "driver_rss": 470, "daemon_rss": 90, "worker_rss": 130, "all_rss": 810}


def test_the_model_finds_fixed_and_per_photo_seconds_and_how_far_off_it_is() -> None:
    exact = fit_model({size: 6 + 0.004 * size for size in (50, 500, 5_000, 50_000)})
    assert (exact.fixed, exact.per_photo, exact.error) == pytest.approx((6, 0.004, 0))
    rough = fit_model({50: 6.2, 500: 8.2, 5_000: 27.0, 50_000: 205.0})
    assert 0 < rough.error < 0.06
    assert rough.fixed == pytest.approx(6, abs=0.5)


def test_the_launchers_rates_are_those_of_the_results() -> None:
    assert rates(json.loads(RESULTS.read_text(encoding="utf-8")), cases.SLOTS) == json.loads(
        RATES.read_text(encoding="utf-8")
    )


def test_photos_arerepeated_under_new_names(tmp_path: Path) -> None:
    originals = [tmp_path / "in" / f"{number % 2}" / f"{number}.jpg" for number in range(5)]
    for path in originals:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    folder = Path(repeated(tmp_path / "out", originals, 12))
    links = list(folder.rglob("*.jpg"))
    assert len(links) == 12
    assert {link.resolve() for link in links} == {path.resolve() for path in originals}


def test_made_up_features_are_like_real_ones() -> None:
    features = make_features(200)
    assert features.shape == (200, 1280)
    assert features.dtype == np.float32
    assert features.min() == 0
    assert 0.3 < (features == 0).mean() < 0.6  # 0.40 to 0.42 in real ones
    assert (features.std(axis=0) == 0).sum() == DEAD
    assert np.array_equal(features, make_features(200))


def test_the_last_line_that_says_anything() -> None:
    assert last_line("Traceback\nOSError: no\n \n") == "OSError: no"
    assert last_line("\n") == "no message"


@pytest.mark.parametrize(
    ("summary", "text"),
    [
        (Summary(12.345, 12.345, 12.345, 1), "12.3"),
        (Summary(2.0, 1.25, 3.5, 3), "2 (1.25-3.5)"),
        (Summary(2940, 2940, 2940, 3), "2940"),
    ],
)
def test_a_number_shows_its_spread(summary: Summary, text: str) -> None:
    assert tables.number(summary) == text


def test_the_page_shows_results_targets_and_failures(tmp_path: Path) -> None:
    chosen = [
        case
        for case in all_cases(tmp_path, quick=True)
        if case.name in ("limit 50", "daft 50", "orchard 50", "pca stock 50")
    ]
    report = cases.parse_orchard(json.dumps(REPORT), NOWHERE).numbers
    results = {
        "limit 50": Result([Sample({"wall": 2.0, "seconds": 0.5}), Sample({"wall": 4.0, "seconds": 0.5})]),
        "daft 50": Result(failure="no | daft"),
        "orchard 50": result(wall=7.5, **report),
        "pca stock 50": Result([Sample({"fit": 3.0}, {"lapack": "F2jLAPACK", "blas": "Java11BLAS"})]),
    }
    goals = [Target("whole / limit", 50, ("orchard 50", "wall"), ("limit 50", "wall"), "<= 1.35")]
    go = {"on": "2026-01-01", "version": "0.1.0", "master": "local[2]", "repeats": 2}
    document = tables.to_dict(chosen, results, goals, {"processor": "two cores"}, go)
    assert json.loads(json.dumps(document))["targets"] == [
        {"what": "whole / limit", "size": 50, "value": 2.5, "wanted": "<= 1.35", "met": False}
    ]
    page = tables.to_markdown(document).splitlines()
    assert "| whole / limit | 50 | 2.5 | <= 1.35 | **no** |" in page
    assert "| limit 50 | 3 (2-4) |  | 0.5 |  |  | 2 |" in page
    assert "| orchard 50 | 7.5 |  | 6 | 10 | 17 | 1 |" in page
    assert "| pca stock 50 | Java11BLAS | F2jLAPACK |  |  |  |  | 3 | 1 |" in page
    assert "| daft 50 | no \\| daft |" in page
    assert "## Memory of a run of Orchard" not in page
