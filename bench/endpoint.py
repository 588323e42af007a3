"""A small S3 endpoint in a process of its own, for the time of a measurement."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from bench.inputs import ROOT

# Made up: the endpoint checks none.
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_REGION": "eu-west-1",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}


@contextlib.contextmanager
def serving(folder: str, faults: Mapping[str, Any]) -> Iterator[str]:
    """Serves a folder as a bucket, with faults (see `tests.s3.server.Faults`); points this process's environment at it; gives its URI."""
    command = [sys.executable, "-m", "tests.s3.server", folder, "--faults", json.dumps(faults)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        os.environ.update(ENVIRONMENT, AWS_ENDPOINT_URL=process.stdout.readline().strip())
        yield "s3://photos"
    finally:
        process.stdin.close()
        process.wait(30)
