"""Results as JSON and as Markdown. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bench.measure import Case, Result, Summary
from bench.targets import Target

STAGES = ("start", "list", "featurize", "fit", "transform", "model", "report")
WALL = {"wall": "whole process, s"}
# Kind of cases -> title, what it says, and name -> heading of their numbers.
SECTIONS: dict[str, tuple[str, str, dict[str, str]]] = {
    "photos": (
        "Whole runs",
        "`whole process` is from start to end of the process; `own` is what the program itself reports: the limit "
        "its loop only, Daft features only, the notebook and Orchard everything after their imports; stages overlap. "
        "The notebook's PCA uses the machine's native LAPACK, where the table above names one; without one the JVM's "
        "SVD of so few photos' covariance is inexact, and the notebook's k with 50 photos may be one or two off.",
        {**WALL, "wall_rate": "photos/s", "seconds": "own, s", "rate": "own photos/s", "k": "k"}
        | {name: f"{name}, s" for name in STAGES}
        | {"warm_rate": "once warm, photos/s"},
    ),
    "memory": (
        "Memory of a run of Orchard",
        "Peaks in MB (10^6 bytes) over the whole run. PSS, looked at every 0.1 s, counts a page shared by n processes "
        "as 1/n in each; RSS, as the system keeps it, counts it whole. `daemon` is what workers are forked from.",
        {
            f"{role}_{kind}": f"{title}, {kind.upper()}"
            for role, title in (("worker", "largest worker"), ("daemon", "daemon"), ("driver", "driver: JVM + Python"))
            for kind in ("pss", "rss")
        },
    ),
    "update": (
        "Updates",
        "A run on the output of an earlier one; `new alone` is a run on the new photos into an empty output, `fit "
        "alone` one that was asked for another share of the variance.",
        {**WALL, **{name: f"{name}, s" for name in STAGES}},
    ),
    "scale": (
        "Any number of photos",
        "Whole runs over the training set's photos, repeated under new names. Memory is peak RSS, summed up.",
        {**WALL, "wall_rate": "photos/s", "rate": "own photos/s", "warm_rate": "once warm, photos/s"}
        | {name: f"{name}, s" for name in STAGES}
        | {f"{role}_rss": f"{role}, MB" for role in ("worker", "driver", "all")},
    ),
    "backbones": (
        "Each network",
        "Whole runs beside that network's plain limit: decode, resize, forward pass in as many processes. `while "
        "featurizing` counts starting workers and loading the network, `once warm` work on photos alone.",
        {"rate": "own photos/s", "stage_rate": "while featurizing, photos/s", "warm_rate": "once warm, photos/s"}
        | {"decoding": "decoding, s", "predicting": "predicting, s", "k": "k"},
    ),
    "pca": (
        "PCA fit alone",
        "StandardScaler and PCA on made-up features of 1280, seconds; each run in a JVM of its own. `first` is the "
        "first fit of a session; `from memory` starts from vectors that Spark has cached already, which Orchard's fit "
        "never needs: its column repeats `again`.",
        {"k": "k", "kept": "variance kept", "first": "first", "files": "again", "memory": "again, from memory"},
    ),
    "classifier": (
        "Fit of a classifier against pyspark.ml",
        "Softmax regression of 49 overlapping classes on 367 components, made up, classes balanced, regularization "
        "0.01; each run in a JVM of its own, seconds. pyspark.ml has its vectors in memory, Orchard its components "
        "too, where `reduce` puts them; `orchard-spark` has them on disk, as with more rows. pyspark.ml stops by its "
        "defaults (tol 1e-6), Orchard where its objective is the same to 1e-7; passes are pyspark.ml's iterations.",
        {"reduce": "reduce", "first": "first", "again": "again", "passes": "passes"},
    ),
    "reads": (
        "One task, near and far from its photos",
        "Reading, decoding, forward pass and writing in one process, no Spark. An S3 endpoint in another process on "
        "this machine adds so many milliseconds to every GET. `waiting` is for photos that are not there yet; `were it "
        "alone` is the rate that waiting and the process's own processor time allow, whatever else the machine does.",
        {"rate": "photos/s", "alone": "photos/s, were it alone", "seconds": "seconds", "waiting": "waiting"}
        | {"decoding": "decoding", "predicting": "predicting", "cpu": "CPU, ms a photo"},
    ),
    "listing": (
        "Listing a bucket",
        "From an S3 endpoint in another process on this machine, by the layout of its folders.",
        {"seconds": "seconds", "rate": "keys/s"},
    ),
    "faults": (
        "A faulty storage",
        "A whole run on a bucket where 5 % of all GETs fail in mixed ways, and those of ten photos always. `amiss` are "
        "photos that are missing, there twice, or rejected for another reason than what happened to them: with "
        "one, the case has failed.",
        {**WALL, "gets": "GETs", "faults": "faults", "retries": "retries", "rejected": "rejected", "amiss": "amiss"},
    ),
}


def to_dict(
    cases: Iterable[Case],
    results: Mapping[str, Result],
    goals: Iterable[Target],
    machine: Mapping[str, str],
    go: Mapping[str, Any],
) -> dict[str, Any]:
    """Everything that was measured so far, for a program to read. `go` says when and how it was measured."""
    values = [(goal, goal.value(results)) for goal in goals]
    return {
        "go": dict(go),
        "machine": dict(machine),
        "targets": [
            {"what": goal.what, "size": goal.size, "value": value, "wanted": goal.wanted, "met": goal.met(value)}
            for goal, value in values
            if value is not None
        ],
        "cases": {case.name: _case(case, results[case.name]) for case in cases if case.name in results},
    }


def _case(case: Case, result: Result) -> dict[str, Any]:
    return {
        "kind": case.kind,
        "size": case.size,
        "numbers": {name: asdict(summary) for name, summary in result.numbers.items()},
        "notes": dict(result.notes),
        "failure": result.failure,
        "samples": [dict(sample.numbers) for sample in result.samples],
    }


def to_markdown(document: Mapping[str, Any]) -> str:
    """The same, for a person to read."""
    go, cases = document["go"], document["cases"]
    parts = [
        "# Measurements",
        f"Made by `python -m bench` on {go['on']}: Orchard {go['version']}, {go['master']}, n = {go['repeats']}. "
        "Numbers are medians (least to greatest) of n runs; the cases of one size take turns; ratios are of medians.",
        table(["machine", ""], [[name, value] for name, value in document["machine"].items()]),
    ]
    if document["targets"]:
        rows = [_target_row(target) for target in document["targets"]]
        parts += ["## Against what was wanted", table(["what", "photos or rows", "value", "wanted", "met"], rows)]
    for kind, (title, text, headings) in SECTIONS.items():
        shown = {name: case for name, case in cases.items() if case["kind"] == kind and case["numbers"]}
        if shown:
            parts += [f"## {title}", text, _section(shown, headings)]
    failures = [[name, case["failure"]] for name, case in cases.items() if case["failure"]]
    if failures:
        parts += ["## Not measured", table(["case", "why"], failures)]
    return "\n\n".join(parts) + "\n"


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
            str(len(case["samples"])),
        ]
        for name, case in cases.items()
    ]
    return table(["case", *noted, *headings.values(), "n"], rows)


def number(summary: Summary) -> str:
    """`12.3 (11.9-13)`, or `12.3` where all runs agree."""
    values = (summary.median, summary.low, summary.high)
    median, low, high = (f"{value:.0f}" if value >= 1000 else f"{value:.3g}" for value in values)
    return median if low == high else f"{median} ({low}-{high})"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; the first column is left-aligned, numbers read best on the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)
