"""How long a bucket with many keys takes to list, laid out in three ways; prints one JSON line each.

    python -m bench.listing [KEYS]        200000

The endpoint is the tests' own, in a process of its own beside this one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator

from orchard.photos.source import open_source
from orchard.storage import objects

from bench.endpoint import ENVIRONMENT
from bench.inputs import ROOT
from tests.s3.server import Blob, Endpoint, serving

LAYOUTS = {
    "nested": "{half}/variety {variety}/{number}.jpg",
    "flat": "{number}.jpg",
    "a folder each": "{number}/photo.jpg",
}


def keys(layout: str, count: int) -> Iterator[str]:
    """So many keys of one layout; nested are two halves of 131 varieties each, as Fruits-360 is."""
    for number in range(count):
        yield LAYOUTS[layout].format(half=("Training", "Test")[number % 2], variety=number // 2 % 131, number=number)


def serve(layout: str, count: str) -> None:
    """Serve one layout until standard input ends."""
    with serving({key: Blob(b"x") for key in keys(layout, int(count))}) as endpoint:
        _announce(endpoint)
        sys.stdin.read()
        print(endpoint.lists, flush=True)


def _announce(endpoint: Endpoint) -> None:
    endpoint.listing({})  # sorts the keys, once
    print(endpoint.address, flush=True)


def measure(layout: str, count: int) -> dict[str, float | str]:
    """List one layout once."""
    command = [sys.executable, "-m", "bench.listing", "serve", layout, str(count)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        os.environ.update(ENVIRONMENT, AWS_ENDPOINT_URL=server.stdout.readline().strip())
        objects.forget()
        started = time.perf_counter()
        found = sum(1 for _ in open_source("s3://photos").photos())
        seconds = time.perf_counter() - started
        server.stdin.close()
        return {
            "layout": layout,
            "keys": found,
            "seconds": round(seconds, 2),
            "requests": int(server.stdout.readline()),
        }


def main(count: str = "200000") -> int:
    """List each layout; exit code 1 where keys are missing."""
    results = [measure(layout, int(count)) for layout in LAYOUTS]
    for result in results:
        print(json.dumps(result))
    return int(any(result["keys"] != int(count) for result in results))


if __name__ == "__main__":
    serve(*sys.argv[2:]) if sys.argv[1:2] == ["serve"] else sys.exit(main(*sys.argv[1:]))
