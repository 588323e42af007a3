"""`python -m bench`: measure Orchard and its peers on this machine, write results.json and results.md.

The peers' scripts and photos lie in a folder `shared` beside this clone. A case that cannot be measured is a row
that says why.
"""

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
from orchard.network.backbones import BACKBONES

from bench import machine
from bench.cases import QUICK, Sizes, all_cases
from bench.inputs import MASTER, ROOT
from bench.measure import Case, Result, measure, run_case
from bench.tables import to_dict, to_markdown
from bench.targets import targets

PEERS = ("limit", "notebook", "daft", "scale limit", "pca stock", "classifier stock")
# Whose published weights may be out of reach.
UNSEEN = tuple(f"orchard of {backbone.name}" for backbone in BACKBONES.values() if not backbone.fingerprint)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns its exit code, 1 when a case of Orchard's own could not be measured."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    sizes, repeats = (QUICK, 1) if arguments.quick else (Sizes(), arguments.repeats)
    part = arguments.quick or arguments.only
    output = arguments.output or ROOT / ("out/bench" if part else "bench/results")
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    go = {"on": now, "version": orchard.__version__, "master": MASTER, "repeats": repeats}
    facts = machine.facts()
    results: dict[str, Result] = {}
    with tempfile.TemporaryDirectory(prefix="orchard-bench-") as work:
        cases = [case for case in all_cases(Path(work), sizes) if _is_wanted(case, arguments.only)]
        if not cases:
            parser.error(f"no case is called {' or '.join(arguments.only)}")
        for _, group in groupby(cases, key=lambda case: (case.kind, case.size)):
            results |= measure([*group], repeats, partial(run_case, work=Path(work)), _say)
            _write(output, to_dict(cases, results, targets(sizes), facts, go))  # each time: the whole takes an hour
    print((output / "results.md").read_text(encoding="utf-8"))
    _say(f"wrote {output}/results.md")
    return int(any(result.failure and not name.startswith(PEERS + UNSEEN) for name, result in results.items()))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument(
        "--repeats", type=int, default=3, metavar="N", help="timed runs of each case (default %(default)s)"
    )
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", help="cases of this kind, name or size: `photos`, `orchard 50`, `2940`"
    )
    parser.add_argument("--quick", action="store_true", help="one run of small cases, to see that all work")
    where = "where results.json and results.md go (default bench/results, out/bench for only some or quick ones)"
    parser.add_argument("--output", type=Path, metavar="DIR", help=where)
    return parser


def _is_wanted(case: Case, only: Sequence[str] | None) -> bool:
    exact = (case.kind, case.name, str(case.size))
    return not only or any(word in exact or word in case.what for word in only)


def _say(line: str) -> None:
    print(f"bench: {datetime.now():%H:%M:%S} {line}", file=sys.stderr, flush=True)


def _write(output: Path, document: Mapping[str, Any]) -> None:
    output.mkdir(parents=True, exist_ok=True)
    (output / "results.json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (output / "results.md").write_text(to_markdown(document), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
