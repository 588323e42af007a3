"""Reads what each case prints: numbers, and facts in words."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from bench.inputs import SLOTS, CaseError, last_line
from bench.measure import Sample


def parse_limit(out: str, _: Path) -> Sample:
    """`limit P=2: 50 images 0.51s = 98.0 img/s, decode share 0.113`."""
    match = re.search(r"limit P=\d+: (\d+) images ([\d.]+)s = ([\d.]+) img/s", out)
    if not match:
        raise CaseError(f"not a line of limit.py: {last_line(out)}")
    return Sample({"photos": int(match[1]), "seconds": float(match[2]), "rate": float(match[3])})


def parse_notebook(out: str, _: Path) -> Sample:
    """One JSON line: `n`, `k90` and seconds by stage, with their `total`."""
    facts = _last_json(out)
    done, seconds = facts["n"], facts["total"]
    return Sample({"photos": done, "seconds": seconds, "rate": done / seconds, "k": facts["k90"]})


def parse_daft(out: str, scratch: Path) -> Sample:
    """One JSON line with `seconds`; it does not say how many photos, its table does."""
    seconds = _last_json(out)["seconds"]
    rows = sum(pq.read_metadata(file).num_rows for file in (scratch / "out").rglob("*.parquet"))
    return Sample({"photos": rows, "seconds": seconds, "rate": rows / seconds})


def parse_orchard(out: str, _: Path) -> Sample:
    """`report.json` of a run into an empty output."""
    facts = json.loads(out)
    done, stages, work = facts["counts"]["featurized"], facts["seconds"], facts["task_seconds"]
    # Without what is not work on photos: starting workers, loading the network, writing.
    warm = done * SLOTS / sum(work.values())
    rates = {"rate": done / stages["total"], "stage_rate": done / stages["featurize"], "warm_rate": warm}
    return Sample({"photos": done, "k": facts["pca"]["k"], "seconds": stages["total"], **stages, **work, **rates})


def parse_update(out: str, _: Path, *, new: int) -> Sample:
    """`report.json` of a run that should have featurized `new` photos; stages that it did not come to took 0 s."""
    facts = json.loads(out)
    if facts["update"]["new"] != new:
        raise CaseError(f"{facts['update']} instead of {new} new photos")
    stages = dict.fromkeys(("featurize", "fit", "transform"), 0.0)
    return Sample({**stages, **facts["seconds"]})


def parse_nothing(out: str, _: Path) -> Sample:
    """`report.json` of a run that found nothing to do: its seconds are those of the run before."""
    update = json.loads(out)["update"]
    if any(count for name, count in update.items() if name != "kept"):
        raise CaseError(f"{update} instead of nothing to do")
    return Sample({})


def parse_pca(out: str, _: Path) -> Sample:
    """The JSON line of `bench.pca`."""
    facts = _last_json(out)
    return Sample(
        {name: facts[name] for name in ("first", "files", "memory", "k", "kept")}, {"lapack": facts["lapack"]}
    )


def parse_fit(out: str, _: Path) -> Sample:
    """The JSON line of `bench.fit`; the objective is a note, as its last digits count."""
    facts = _last_json(out)
    return Sample(facts, {"objective": facts.pop("objective")})


def parse_predict(out: str, _: Path) -> Sample:
    """The JSON of `orchard predict` of some photos."""
    return Sample({"photos": len([answer for answer in json.loads(out) if answer["class"]])})


def parse_line(out: str, _: Path) -> Sample:
    """The JSON line of numbers of `bench.exported`, `bench.reads`, `bench.listing` or `bench.faults`."""
    facts = _last_json(out)
    return Sample({"photos": facts["photos"], **facts})


def _last_json(out: str) -> dict[str, Any]:
    facts = json.loads(last_line(out))
    if not isinstance(facts, dict):
        raise CaseError(f"not a line of numbers: {last_line(out)[:200]}")
    return facts
