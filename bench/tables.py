"""Results as JSON and as Markdown. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bench.cases import Case
from bench.measure import Result, Summary
from bench.model import fit_model, scale_seconds
from bench.targets import Target

# Title, what it says, the cases it shows, and name -> heading of their numbers.
SECTIONS: tuple[tuple[str, str, str, dict[str, str]], ...] = (
    (
        "Whole runs",
        "`whole process` is from start to end of the process; `own` is what the program itself reports: the limit its loop only, "
        "Daft features only, the notebook and Orchard everything after their imports. "
        "The notebook's PCA uses the machine's native LAPACK, where the table above names one.",
        "photos",
        {"wall": "whole process, s", "wall_rate": "photos/s", "seconds": "own, s", "rate": "own photos/s", "k": "k"},
    ),
    (
        "Inside a run",
        "Seconds of the stages; waiting, decoding and predicting are summed over the tasks.",
        "orchard",
        {
            name: name
            for name in (
                "start",
                "list",
                "featurize",
                "fit",
                "transform",
                "model",
                "report",
                "waiting",
                "decoding",
                "predicting",
            )
        }
        | {"stage_rate": "featurizing, photos/s", "warm_rate": "once warm, photos/s"},
    ),
    (
        "Any number of photos",
        "Whole runs over the training set's photos, repeated under new names. Memory is peak RSS; several processes' is summed.",
        "scale",
        {
            "wall": "whole process, s",
            "wall_rate": "photos/s",
            "rate": "own photos/s",
            "warm_rate": "once warm, photos/s",
        }
        | {name: f"{name}, s" for name in ("list", "featurize", "fit", "transform", "report")}
        | {f"{role}_rss": f"{role}, MB" for role in ("worker", "driver", "all")},
    ),
    (
        "PCA fit alone",
        "StandardScaler and PCA on made-up features of 1280, seconds; each run in a JVM of its own. `first` is the first fit of a session; "
        "`memory` starts from vectors that Spark has cached already, which Orchard's fit never needs: its column repeats `files`.",
        "pca",
        {
            "k": "k",
            "kept": "variance kept",
            "first": "first, from files",
            "files": "again, from files",
            "fit": "again, from memory",
        },
    ),
    (
        "One task, near and far from its photos",
        "Reading, decoding and forward pass in one process, no Spark. An S3 endpoint of the benchmark's own, in another process on this "
        "machine, adds so many milliseconds to every GET. `waiting` is for photos that are not there yet; `were it alone` is the rate that "
        "waiting and the process's own processor time allow, whatever else the machine does.",
        "reads",
        {
            "rate": "photos/s",
            "alone": "photos/s, were it alone",
            "seconds": "seconds",
            "waiting": "waiting",
            "decoding": "decoding",
            "predicting": "predicting",
            "cpu": "CPU, ms a photo",
        },
    ),
    (
        "A GET, by library",
        "All 2,940 photos read by 32 threads from the same endpoint with 30 ms: what a request costs the process that makes it.",
        "gets",
        {"cpu": "CPU, µs a GET", "rate": "GET/s"},
    ),
    (
        "Memory of a run of Orchard",
        "Peaks in MB (10^6 bytes) over the whole run. PSS, looked at every 0.1 s, counts a page shared by n processes as 1/n in each; "
        "RSS, as the system keeps it, counts it whole in each. `daemon` is the process that workers are forked from.",
        "memory",
        {
            f"{role}_{kind}": f"{title}, {kind.upper()}"
            for role, title in (("worker", "largest worker"), ("daemon", "daemon"), ("driver", "driver: JVM + Python"))
            for kind in ("pss", "rss")
        }
        | {"workers": "workers at once"},
    ),
)


def to_dict(
    cases: Iterable[Case],
    results: Mapping[str, Result],
    goals: Iterable[Target],
    machine: Mapping[str, str],
    go: Mapping[str, Any],
) -> dict[str, Any]:
    """Everything, for a program to read. `go` says when and how it was measured."""
    values = [(goal, goal.value(results)) for goal in goals]
    measured = {case.name: {"kind": case.kind, "size": case.size, **_result(results[case.name])} for case in cases}
    seconds = scale_seconds(measured)
    return {
        "go": dict(go),
        "machine": dict(machine),
        "targets": [
            {"what": goal.what, "size": goal.size, "value": value, "wanted": goal.wanted, "met": goal.met(value)}
            for goal, value in values
            if value is not None
        ],
        "model": asdict(fit_model(seconds)) if len(seconds) > 1 else None,
        "cases": measured,
    }


def _result(result: Result) -> dict[str, Any]:
    numbers = {name: asdict(summary) for name, summary in result.numbers.items()}
    return {
        "numbers": numbers,
        "notes": dict(result.notes),
        "failure": result.failure,
        "samples": [dict(sample.numbers) for sample in result.samples],
    }


def to_markdown(document: Mapping[str, Any]) -> str:
    """The same, for a person to read."""
    go, cases = document["go"], document["cases"]
    parts = [
        "# Measurements",
        f"Made by `make bench` on {go['on']}: Orchard {go['version']}, {go['master']}, n = {go['repeats']}. "
        "Numbers are medians (least to greatest) of n runs; the cases of one size take turns; ratios are of medians of this go.",
        table(["machine", ""], [[name, value] for name, value in document["machine"].items()]),
    ]
    if document["targets"]:
        rows = [_target_row(target) for target in document["targets"]]
        parts += ["## Against what was wanted", table(["what", "photos or rows", "value", "wanted", "met"], rows)]
    for title, text, group, headings in SECTIONS:
        shown = {
            name: case
            for name, case in cases.items()
            if (name.split()[0] if group == "orchard" else case["kind"]) == group
        }
        if any(case["numbers"] for case in shown.values()):
            parts += [f"## {title}", text, _section(shown, headings)]
            parts += [_model(document["model"])] if group == "scale" and document["model"] else []
    failures = [[name, case["failure"]] for name, case in cases.items() if case["failure"]]
    if failures:
        parts += ["## Not measured", table(["case", "why"], failures)]
    return "\n\n".join(parts) + "\n"


def _model(model: Mapping[str, float]) -> str:
    return (
        f"A run of n photos takes {model['fixed']:.1f} s + n x {1000 * model['per_photo']:.2f} ms, within {model['error']:.0%} of every "
        "number of photos above: fitted by least squares of the relative error."
    )


def _target_row(target: Mapping[str, Any]) -> list[str]:
    met = {True: "yes", False: "**no**", None: ""}[target["met"]]
    return [target["what"], f"{target['size']:,}", f"{target['value']:.3g}", target["wanted"], met]


def _section(cases: Mapping[str, Mapping[str, Any]], headings: Mapping[str, str]) -> str:
    noted = sorted({note for case in cases.values() for note in case["notes"]})
    rows = [
        [
            name,
            *(case["notes"].get(note, "") for note in noted),
            *(number(Summary(**case["numbers"][key])) if key in case["numbers"] else "" for key in headings),
            str(next(iter(case["numbers"].values()))["n"]),
        ]
        for name, case in cases.items()
        if case["numbers"]
    ]
    return table(["case", *noted, *headings.values(), "n"], rows)


def number(summary: Summary) -> str:
    """`12.3 (11.9-13)`, or `12.3` where all runs agree."""
    median, low, high = (
        f"{value:.0f}" if value >= 1000 else f"{value:.3g}" for value in (summary.median, summary.low, summary.high)
    )
    return median if low == high else f"{median} ({low}-{high})"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; the first column is left-aligned, numbers read best on the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)
