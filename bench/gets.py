"""What one GET costs a process that has other things to do, by library; prints one JSON line.

    python -m bench.gets LIBRARY FOLDER THREADS

Every photo of FOLDER is read once from an S3 endpoint on this machine that adds 30 ms to each GET.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.endpoint import serving

LATENCY = 0.03
Get = Callable[[str], Any]


def make_get(library: str, threads: int) -> Get:
    """A function that reads one key with a library."""
    endpoint = os.environ["AWS_ENDPOINT_URL"]
    return {"obstore": _obstore, "pyarrow.fs": _pyarrow, "boto3": _boto3}[library](endpoint, threads)


def _obstore(endpoint: str, threads: int) -> Get:
    from orchard.photos.buckets import BucketSource

    return BucketSource("s3://photos").read


def _pyarrow(endpoint: str, threads: int) -> Get:
    import pyarrow as pa
    from pyarrow import fs

    pa.set_io_thread_count(threads)
    store = fs.S3FileSystem(endpoint_override=urlsplit(endpoint).netloc, scheme="http", region=os.environ["AWS_REGION"])

    def get(key: str) -> bytes:
        with store.open_input_stream(f"photos/{key}") as stream:
            content: bytes = stream.readall()
            return content

    return get


def _boto3(endpoint: str, threads: int) -> Get:
    import boto3
    from botocore.config import Config

    client = boto3.client("s3", region_name=os.environ["AWS_REGION"], config=Config(max_pool_connections=threads))
    return lambda key: client.get_object(Bucket="photos", Key=key)["Body"].read()


def main(library: str, folder: str, threads: str) -> None:
    """Read all once after a few untimed ones and print GETs per second and CPU per GET in microseconds."""
    keys = [path.relative_to(folder).as_posix() for path in sorted(Path(folder).rglob("*.jpg"))]
    with serving(folder, {"latency": LATENCY}), ThreadPoolExecutor(int(threads)) as pool:
        get = make_get(library, int(threads))
        list(pool.map(get, keys[:100]))
        started, cpu = time.perf_counter(), time.process_time()
        size = sum(map(len, pool.map(get, keys)))
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    print(
        json.dumps(
            {
                "photos": len(keys),
                "bytes": size,
                "seconds": seconds,
                "rate": len(keys) / seconds,
                "cpu": 1e6 * cpu / len(keys),
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
