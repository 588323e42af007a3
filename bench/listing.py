"""How long a bucket with many keys takes to list, by the layout of its folders; prints one JSON line.

    python -m bench.listing LAYOUT KEYS

The endpoint is the tests' own, in a process of its own beside this one.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator

from orchard.photos.source import open_source

from bench.inputs import s3_process
from tests.s3.server import Blob, serving

LAYOUTS = {
    "nested": "{half}/variety {variety}/{number}.jpg",
    "flat": "{number}.jpg",
    "folder each": "{number}/photo.jpg",
}


def keys(layout: str, count: int) -> Iterator[str]:
    """So many keys of one layout; nested are two halves of 131 varieties each, as Fruits-360 is."""
    for number in range(count):
        yield LAYOUTS[layout].format(half=("Training", "Test")[number % 2], variety=number // 2 % 131, number=number)


def serve(layout: str, count: str) -> None:
    """Serve one layout until standard input ends."""
    with serving({key: Blob(b"x") for key in keys(layout, int(count))}) as endpoint:
        endpoint.listing({})  # sorts the keys, once
        print(endpoint.address, flush=True)
        sys.stdin.read()


def main(layout: str, count: str) -> None:
    """List once."""
    with s3_process("bench.listing", "serve", layout, count):
        started = time.perf_counter()
        found = len(open_source("s3://photos").list().photos)
        seconds = time.perf_counter() - started
    print(json.dumps({"photos": found, "seconds": seconds, "rate": found / seconds}))


if __name__ == "__main__":
    serve(*sys.argv[2:]) if sys.argv[1] == "serve" else main(*sys.argv[1:])
