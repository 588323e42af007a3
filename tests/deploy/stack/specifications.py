"""Specifications of every kind that the schema takes, for property tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from orchard_deploy.site import Account, Site
from orchard_deploy.spec import DISK, SCHEMA_FILE, SPEC_FILE, parse_spec

_OWN = json.loads((Path(__file__).resolve().parents[3] / SPEC_FILE).read_text(encoding="utf-8"))
_VALID = Draft202012Validator(json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))
# vCPU -> GB of memory: "Supported worker configurations" in the EMR Serverless User Guide, read 2026-11-23.
MEMORY = {1: range(2, 9), 2: range(4, 17), 4: range(8, 31), 8: range(16, 61, 4), 16: range(32, 121, 8)}
_PREFIX = st.from_regex(r"[a-zA-Z0-9 ._/é=-]{0,20}", fullmatch=True).map(lambda text: text.strip(" /"))


@st.composite
def workers(draw: st.DrawFn) -> dict[str, int]:
    cpu = draw(st.sampled_from(sorted(MEMORY)))
    return {"cpu": cpu, "memory": draw(st.sampled_from(MEMORY[cpu])), "disk": draw(st.integers(DISK[0], DISK[-1]))}


@st.composite
def locations(draw: st.DrawFn) -> str:
    """A location in the specification's own bucket, or in another; sometimes all of it."""
    bucket = draw(st.sampled_from(["{bucket}", "fruits", "some.other-bucket"]))
    return f"s3://{bucket}/{draw(_PREFIX)}"


@st.composite
def contents(draw: st.DrawFn) -> dict[str, Any]:
    """What `emr-serverless.json` may hold."""
    content = {
        **_OWN,
        "name": draw(st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,44}", fullmatch=True)),
        "releaseLabel": draw(st.sampled_from(["emr-7.13.0", "emr-7.14.0", "emr-spark-8.1.0"])),
        "architecture": draw(st.sampled_from(["X86_64", "ARM64"])),
        "executors": draw(st.integers(1, 20)),
        "driver": draw(workers()),
        "executor": draw(workers()),
        "input": draw(locations()),
        "output": draw(locations()),
        "logs": draw(locations()),
        "autoStopMinutes": draw(st.integers(1, 10080)),
        "vcpuQuota": 10_000,
        "entryPoint": "local:///opt/orchard/main.py",
        "eks": {"virtualCluster": "vc1", "executionRole": "orchard-eks-job"},
    }
    if not draw(st.booleans()):
        del content["logs"]
    assert not list(_VALID.iter_errors(content))
    return content


@st.composite
def sites(draw: st.DrawFn) -> Site:
    """A specification in an account."""
    region, partition = draw(st.sampled_from([("us-east-1", "aws"), ("eu-west-3", "aws"), ("cn-north-1", "aws-cn")]))
    return Site(parse_spec(draw(contents())), Account(id="123456789012", region=region, partition=partition))
