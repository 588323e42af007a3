"""A planned run, of folders that need not exist."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from orchard_deploy.local.container import ContainerRun
from orchard_deploy.local.run_local import with_job
from orchard_deploy.spec import Spec

BARE = ContainerRun(image="orchard:x", cpus=2, memory=6 << 30, user=(1000, 1001))


def planned(
    spec: Spec,
    *extra: str,
    input: str | None = "/photos",
    output: str | None = "/out",
    environ: Mapping[str, str] | None = None,
    **asked: Any,
) -> ContainerRun:
    job = spec.job(*extra, input=input, output=output)
    return with_job(replace(BARE, **asked), spec, job, 4, environ or {})


def mounts_of(run: ContainerRun) -> dict[str, tuple[str, bool]]:
    """Source of each target but the file of users, and whether it may only be read."""
    found = {}
    for kind, source, target, *flags in csv.reader(run.mounts):
        assert kind == "type=bind"
        found[target.removeprefix("target=")] = source.removeprefix("source="), flags == ["readonly"]
    assert found.pop("/etc/passwd")[1]
    return found
