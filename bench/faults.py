"""A whole run on a bucket where a share of all GETs fails in mixed ways; prints one JSON line.

    python -m bench.faults [PHOTOS [SHARE]]        10000 and 0.05

Ten photos have a fault that lasts. The run is `orchard run` in a process of its own; its tables
are judged with pyarrow.: exit code 1
where a photo is missing, there twice, or rejected for another reason than what happened to it.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from orchard.sample import draw_samples

from bench.inputs import ROOT, S3_ENVIRON, orchard_run
from tests.s3.server import Blob, Faults, serving

PASSING = (*("503", "500", "reset", "cut") * 5, "stall")
LASTING = {"403": "forbidden", "404": "gone", "changed": "changed", "503": "unavailable"}
PREFIX = "in/"


def make_photos(folder: Path, count: int) -> dict[str, Blob]:
    """So many different photos by key: a few drawn ones, each with other bytes after its end."""
    draw_samples(folder, varieties=5, per_variety=10, seed=0)
    contents = itertools.cycle(sorted(path.read_bytes() for path in folder.rglob("*.jpg")))
    keys = (f"{PREFIX}variety {number % 100}/{number}.jpg" for number in range(count))
    return {key: Blob(next(contents) + key.encode()) for key in keys}


def run(uri: str, output: Path) -> dict[str, Any]:
    """The report of a run."""
    done = subprocess.run(orchard_run(uri, output), cwd=ROOT, stdout=subprocess.PIPE, check=True)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def find_amiss(output: Path, keys: Collection[str], lasting: Mapping[str, str]) -> list[str]:
    """The photos that are missing, there twice, or rejected for another reason than what happened to them."""
    features = [PREFIX + path for path in pq.read_table(output / "features", columns=["path"])["path"].to_pylist()]
    rejected = [(PREFIX + row["path"], row["reason"]) for row in pq.read_table(output / "rejected").to_pylist()]
    expected = {key: LASTING[lasting[key]] if key in lasting else "" for key in keys}
    found = Counter([*((key, "") for key in features), *rejected])
    return sorted(
        {key for key, _ in found - Counter(expected.items())} | {key for key, _ in Counter(expected.items()) - found}
    )


def main(count: str = "10000", share: str = "0.05") -> int:
    """Run once, judge, and print the numbers; returns the exit code."""
    with tempfile.TemporaryDirectory(prefix="orchard-faults-") as work:
        blobs, output = make_photos(Path(work) / "drawn", int(count)), Path(work) / "out"
        lasting = dict(zip(sorted(blobs)[7 :: int(count) // 10], itertools.cycle(LASTING), strict=False))
        with serving(blobs, Faults(share=float(share), kinds=PASSING, keys=lasting)) as endpoint:
            os.environ.update(S3_ENVIRON, AWS_ENDPOINT_URL=endpoint.address)
            started = time.perf_counter()
            report = run(f"s3://photos/{PREFIX}", output)
            seconds = time.perf_counter() - started
        amiss = find_amiss(output, blobs, lasting)
    counts = {"photos": report["counts"]["listed"], "rejected": report["counts"]["rejected"], "amiss": len(amiss)}
    requests = {"gets": endpoint.gets.total(), "faults": endpoint.faulty.total(), "retries": report["read_retries"]}
    print(json.dumps({**counts, **requests, "seconds": seconds, "rate": len(blobs) / seconds}))
    if amiss:
        print(f"{len(amiss)} photos are missing, there twice, or rejected wrongly, such as {amiss[0]}", file=sys.stderr)
    return int(bool(amiss))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
