"""Fixtures of the AWS tests.

A small source tree, the specification in an account, a rehearsal to talk to. No real AWS is ever reached.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from orchard_deploy import context
from orchard_deploy.aws import Aws
from orchard_deploy.context import Context
from orchard_deploy.rehearsal.settings import Timings
from orchard_deploy.runs.record import FOLDER_VARIABLE, record_file
from orchard_deploy.site import Account, Site
from orchard_deploy.spec import SPEC_FILE, Spec, load_spec
from orchard_deploy.stack.up import up as stack_up
from orchard_deploy.targets import TARGETS, spec_for
from orchard_deploy.waiting import Pace

from tests.deploy.conftest import enter, tree, tree_tag, write_tree
from tests.deploy.rehearsal.account import CLUSTER, GOOD_JOB, LONG_JOB, REGION, in_memory, over_http
from tests.deploy.rehearsal.account import Account as Stage

__all__ = ["CLUSTER", "GOOD_JOB", "LONG_JOB", "REGION", "Stage", "tree", "tree_tag", "write_tree"]
ROOT = Path(__file__).resolve().parents[2]
# A thousand times as fast as AWS, but for minutes of idling and time-outs, which take a second.
QUICK = replace(Timings().faster(1000), minute=1.0, logging=0.05)


@pytest.fixture
def spec(tree: Path) -> Spec:
    """Its specification."""
    return load_spec(tree / SPEC_FILE)


@pytest.fixture
def site(spec: Spec) -> Site:
    """The specification in an account."""
    return Site(spec, Account(id="123456789012", region=REGION))


@dataclass
class Theatre:
    """AWS for one test: in memory, or over HTTP where processes or the protocol itself are under test."""

    tree: Path
    stack: ExitStack
    monkeypatch: pytest.MonkeyPatch

    def open(self, job: str = GOOD_JOB, **options: Any) -> Stage:
        """AWS in memory, for every `Aws` of this process; it has the tree's images."""
        return self._enter(in_memory(job, **{"timings": QUICK, **options, "tags": self._tags(options)}))

    def wire(self, job: str = GOOD_JOB, **options: Any) -> Stage:
        """AWS over HTTP, whose repository gets the tree's images as soon as there is one."""
        return self._enter(over_http(job, **{"timings": QUICK, **options, "tags": self._tags(options)}))

    def _tags(self, options: Mapping[str, Any]) -> frozenset[str]:
        return frozenset({tree_tag(self.tree), tree_tag(self.tree, "eks"), *options.get("tags", ())})

    def _enter(self, opening: AbstractContextManager[Stage]) -> Stage:
        stage = self.stack.enter_context(opening)
        enter(stage, self.monkeypatch)
        self.monkeypatch.setenv(FOLDER_VARIABLE, str(self.tree.parent / "records"))
        return stage


@pytest.fixture
def theatre(tree: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Theatre]:
    """Opens AWS; all of it ends with the test."""
    with ExitStack() as stack:
        yield Theatre(tree, stack, monkeypatch)


@pytest.fixture
def stage(theatre: Theatre) -> Stage:
    """AWS in memory, with a job that ends well."""
    return theatre.open()


@pytest.fixture
def wire(theatre: Theatre) -> Stage:
    """AWS over HTTP, with a job that ends well."""
    return theatre.wire()


FAST = Pace(first=0.02, longest=0.1)
# `orchard-deploy` in a process of its own, at a test's pace.
TYPED = [
    sys.executable,
    "-c",
    "import sys; from orchard_deploy import context; from orchard_deploy.runs import watch; "
    "from orchard_deploy.__main__ import main; from orchard_deploy.waiting import Pace; "
    "context.PACE, watch.LAST_LINES = Pace(first=0.02, longest=0.1), 0.4; sys.exit(main())",
]


def context_of(
    tree: Path, *, said: list[str] | None = None, target: str = "serverless", aws: Aws | None = None, **spec: Any
) -> Context:
    """What a command in this tree would work with, at a test's pace."""
    aws = aws or Aws(region=REGION)
    loaded = replace(spec_for(load_spec(tree / SPEC_FILE), TARGETS[target]), **spec)
    site = Site(loaded, aws.account)
    lines = said if said is not None else []
    return Context(
        aws=aws,
        site=site,
        target=TARGETS[target],
        record=record_file(site, tree / SPEC_FILE),
        tree=tree,
        pace=context.PACE,
        now=context.PACE.clock if context.PACE is not FAST else time.time,
        tell=lines.append,
    )


def up(context: Context) -> None:
    """Make the stack, then its application: the image is there as soon as there is a repository."""
    stack_up(context)
    stack_up(context)


def behind(stage: Stage, service: str) -> Any:
    """A client to look behind the scenes: nothing notes it, nothing fails."""
    return stage.behind(service)


def there(stage: Stage) -> dict[str, Any]:
    """What exists behind the scenes."""
    images, roles, buckets = (behind(stage, name) for name in ("ecr", "iam", "s3"))
    stage.tick()
    return {
        "repositories": [found["repositoryName"] for found in images.describe_repositories()["repositories"]],
        "roles": [found["RoleName"] for found in roles.list_roles()["Roles"]],
        "buckets": [found["Name"] for found in buckets.list_buckets()["Buckets"]],
        "applications": [
            found.settings["name"] for found in stage.serverless.applications.values() if found.state != "TERMINATED"
        ],
        "runs": [
            job.id for service in (stage.serverless, stage.containers) for job in service.jobs.values() if not job.over
        ],
    }


NOTHING: dict[str, list[str]] = {"repositories": [], "roles": [], "buckets": [], "applications": [], "runs": []}


def everything(stage: Stage) -> dict[str, Any]:
    return {
        "repositories": ["orchard"],
        "roles": ["orchard-job-us-east-1"],
        "buckets": ["orchard-123456789012-us-east-1"],
        "applications": ["orchard"],
        "runs": there(stage)["runs"],
    }
