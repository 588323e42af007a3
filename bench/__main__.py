"""`python -m bench`: measure Orchard and its peers on this machine, write results.json and results.md."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import orchard

from bench import machine
from bench.cases import MASTER, PHOTOS, READS, ROWS, SCALE, Case, all_cases, run_case
from bench.inputs import ROOT
from bench.measure import Result, measure
from bench.tables import to_dict, to_markdown
from bench.targets import targets


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns its exit code, 1 when a case of Orchard's own failed (a peer that fails is a row saying why)."""
    arguments = _parser().parse_args(argv)
    repeats = 1 if arguments.quick else arguments.repeats
    output = arguments.output or ROOT / ("out/bench" if arguments.quick else "bench/results")
    go = {
        "on": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "version": orchard.__version__,
        "master": MASTER,
        "repeats": repeats,
    }
    facts = machine.facts()
    with tempfile.TemporaryDirectory(prefix="orchard-bench-") as work:
        cases = [case for case in all_cases(Path(work), quick=arguments.quick) if _wanted(case, arguments.only)]
        results = _measure(cases, repeats, Path(work))
    _write(output, to_dict(cases, results, targets(PHOTOS, ROWS, READS, SCALE), facts, go))
    return int(
        any(
            result.failure
            for name, result in results.items()
            if any(own in name for own in ("orchard", "memory", "reads"))
        )
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument(
        "--repeats", type=int, default=3, metavar="N", help="timed runs of each case (default %(default)s)"
    )
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", help="cases whose name has one of these in it, such as `pca` or `2940`"
    )
    parser.add_argument(
        "--quick", action="store_true", help="one run of the small cases, to see that all work; into out/bench"
    )
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="where results.json and results.md go (default bench/results)"
    )
    return parser


def _wanted(case: Case, only: Sequence[str] | None) -> bool:
    return not only or any(word in case.name for word in only)


def _measure(cases: Sequence[Case], repeats: int, work: Path) -> dict[str, Result]:
    results: dict[str, Result] = {}
    for (kind, _), group in groupby(cases, key=lambda case: (case.kind, case.size)):
        # A fit has its first run among its numbers, in a JVM of its own; long runs need none, and small ones of theirs come later.
        warm_up = kind not in ("pca", "scale")
        results |= measure({case.name: partial(run_case, case, work) for case in group}, repeats, _say, warm_up=warm_up)
    return results


def _say(line: str) -> None:
    print(f"bench: {datetime.now():%H:%M:%S} {line}", file=sys.stderr, flush=True)


def _write(output: Path, document: Mapping[str, Any]) -> None:
    text = to_markdown(document)
    output.mkdir(parents=True, exist_ok=True)
    (output / "results.json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (output / "results.md").write_text(text, encoding="utf-8")
    print(text)
    print(f"bench: wrote {output}/results.md", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
