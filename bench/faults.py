"""A whole run on a bucket where a share of all GETs fails in mixed ways; prints one JSON line, exit code 1 where a photo is amiss.

    python -m bench.faults [PHOTOS [SHARE]]        10000 and 0.05

The run is `orchard run` in a process of its own; its output is judged with pyarrow. In the tests the same is done with fewer photos.
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
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from orchard.photos.sample import draw_samples

from bench.cases import MASTER
from bench.endpoint import ENVIRONMENT
from bench.inputs import ROOT
from tests.s3.server import Blob, Faults, serving

PASSING = (*("503", "500", "reset", "cut") * 5, "stall")
LASTING = {"403": "forbidden", "404": "gone", "changed": "changed", "503": "unavailable"}
EVERY = 1000  # of so many photos one has a fault that lasts


def make_photos(folder: Path, count: int) -> dict[str, Blob]:
    """So many different photos: a few drawn ones, each with other bytes after its end, which no decoder looks at."""
    draw_samples(folder, varieties=5, per_variety=10, seed=0)
    contents = itertools.cycle(sorted(path.read_bytes() for path in folder.rglob("*.jpg")))
    return {
        f"in/variety {number % 100}/{number}.jpg": Blob(next(contents) + str(number).encode())
        for number in range(count)
    }


def run(uri: str, output: Path) -> dict[str, Any]:
    """The report of a run, with what its tables say added."""
    command = [
        sys.executable,
        "-m",
        "orchard",
        "run",
        "--input",
        uri,
        "--output",
        str(output),
        "--master",
        MASTER,
        "--json",
    ]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def amiss(output: Path, blobs: dict[str, Blob], lasting: dict[str, str]) -> list[str]:
    """The photos that are missing, there twice, or rejected for another reason than what happened to them."""
    features = [f"in/{path}" for path in pq.read_table(output / "features", columns=["path"])["path"].to_pylist()]
    rejected = {f"in/{row['path']}": row["reason"] for row in pq.read_table(output / "rejected").to_pylist()}
    times = Counter([*features, *rejected])
    wrong = {key for key in rejected.keys() | lasting.keys() if rejected.get(key) != LASTING.get(lasting.get(key, ""))}
    return sorted(wrong | {key for key in blobs.keys() | times.keys() if times[key] != (key in blobs)})


def main(count: str = "10000", share: str = "0.05") -> int:
    """Run once, judge, and print the numbers."""
    with tempfile.TemporaryDirectory(prefix="orchard-faults-") as work:
        blobs, output = make_photos(Path(work) / "drawn", int(count)), Path(work) / "out"
        lasting = dict(zip(sorted(blobs)[7::EVERY], itertools.cycle(LASTING), strict=False))
        with serving(blobs, Faults(share=float(share), kinds=PASSING, keys=lasting)) as endpoint:
            os.environ.update(ENVIRONMENT, AWS_ENDPOINT_URL=endpoint.address)
            started = time.perf_counter()
            report = run("s3://photos/in", output)
            seconds = time.perf_counter() - started
        bad = amiss(output, blobs, lasting)
    numbers = {
        name: report[name] for name in ("counts", "rejected_by_reason", "read_retries", "seconds", "task_seconds")
    }
    print(
        json.dumps(
            {
                "amiss": bad[:10],
                "whole": round(seconds, 1),
                "gets": endpoint.gets.total(),
                "faults": endpoint.faulty,
                **numbers,
            }
        )
    )
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
