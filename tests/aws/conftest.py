"""Fixtures of the AWS tests.

A small source tree, the specification in an account, a rehearsal to talk to. No real AWS is ever reached.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import create_loader

from deploy import context
from deploy.aws.session import Aws
from deploy.context import Context
from deploy.record import FOLDER_VARIABLE, record_file
from deploy.rehearsal.orders import Order, Runner
from deploy.rehearsal.registry import StandIn, moto_client, stand_in
from deploy.rehearsal.runners import ProcessRunner
from deploy.rehearsal.stage import Rehearsal, environment, rehearsal
from deploy.rehearsal.timings import Timings
from deploy.site import Account, Site
from deploy.spec import SPEC_FILE, Spec, load_spec
from deploy.tag import FILES, image_tag, ingredients
from deploy.targets import TARGETS, spec_for
from deploy.waiting import Pace
from tests.aws.memory.stage import MemoryStage

Stage = Rehearsal | MemoryStage
ROOT = Path(__file__).resolve().parents[2]
REGION = "us-east-1"
CLUSTER = "vc0123456789"
# A thousand times as fast as AWS, but for minutes of idling and time-outs, which take a second.
QUICK = replace(Timings().faster(1000), minute=1.0, logging=0.05)


def write_tree(folder: Path, **changes: Any) -> Path:
    """A source tree with all that an image's tag is made of, and a specification."""
    for name in ("app", "image"):
        (folder / name).mkdir(parents=True)
        (folder / name / "part.py").write_text(f"# {name}\n", encoding="utf-8")
    for name in FILES:
        (folder / name).write_text(f"# {name}\n", encoding="utf-8")
    content = json.loads((ROOT / SPEC_FILE).read_text(encoding="utf-8"))
    eks = {"virtualCluster": CLUSTER, "executionRole": "orchard-eks-job"}
    (folder / SPEC_FILE).write_text(json.dumps({**content, "eks": eks, **changes}), encoding="utf-8")
    return folder


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A source tree."""
    return write_tree(tmp_path / "tree")


@pytest.fixture
def spec(tree: Path) -> Spec:
    """Its specification."""
    return load_spec(tree / SPEC_FILE)


@pytest.fixture
def site(spec: Spec) -> Site:
    """The specification in an account."""
    return Site(spec, Account(id="123456789012", region=REGION))


def tree_tag(tree: Path, target: str = "serverless") -> str:
    """The tag of a tree's image."""
    spec = spec_for(load_spec(tree / SPEC_FILE), TARGETS[target])
    return image_tag(spec.release_label, ingredients(tree, spec))


def python_job(code: str) -> Callable[[Mapping[str, str], StandIn], Runner]:
    """A runner whose jobs are a few lines of Python, called with the job's own arguments."""

    def command(order: Order) -> list[str]:
        return [sys.executable, "-c", code, *order.arguments]

    return lambda environ, images: ProcessRunner(command, {"ATTEMPTS": "", **environ})


LONG_JOB = "import time; print('working', flush=True); time.sleep(60)"
GOOD_JOB = "import sys; print('50 photos done'); print('warming up', file=sys.stderr)"


@cache
def _loader(path: str | None) -> Any:
    """What boto3 reads of its services, once: each session would read it again."""
    return create_loader(path)


@dataclass
class Theatre:
    """AWS for one test: in memory, or over HTTP where processes or the protocol itself are under test."""

    tree: Path
    stack: ExitStack
    monkeypatch: pytest.MonkeyPatch

    def open(self, job: str = GOOD_JOB, **options: Any) -> MemoryStage:
        """AWS in memory, for every `Aws` of this process; it has the tree's images."""
        settings = {"timings": QUICK, "clusters": frozenset([CLUSTER]), **options, "tags": self._tags(options)}
        stage = MemoryStage(REGION, job, **settings)
        records = {FOLDER_VARIABLE: str(self.tree.parent / "records")}
        # An address that nothing listens at: whoever came past the clients in memory would fail.
        self._set(environment("http://127.0.0.1:9", REGION) | records, stage.pace)
        self.monkeypatch.setattr(Aws, "_client", lambda aws, service: stage.client(service))
        return stage

    def wire(self, job: str = GOOD_JOB, **options: Any) -> Rehearsal:
        """A rehearsal, over HTTP, whose repository gets the tree's images as soon as there is one."""
        settings: dict[str, Any] = {
            "region": REGION,
            "runner": python_job(job),
            "timings": QUICK,
            "images": partial(stand_in, tags=frozenset(self._tags(options))),
            "clusters": frozenset([CLUSTER]),
            **{name: value for name, value in options.items() if name != "tags"},
        }
        stage = self.stack.enter_context(rehearsal(**settings))
        self._set(stage.environ, FAST)
        return stage

    def _tags(self, options: Mapping[str, Any]) -> set[str]:
        return {tree_tag(self.tree), tree_tag(self.tree, "eks"), *options.get("tags", ())}

    def _set(self, environ: Mapping[str, str], pace: Pace) -> None:
        self.monkeypatch.setattr("botocore.session.create_loader", _loader)
        for name, value in environ.items():
            self.monkeypatch.setenv(name, value)
        self.monkeypatch.setattr("deploy.context.PACE", pace)


@pytest.fixture
def theatre(tree: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Theatre]:
    """Opens AWS; all of it ends with the test."""
    with ExitStack() as stack:
        yield Theatre(tree, stack, monkeypatch)


@pytest.fixture
def stage(theatre: Theatre) -> MemoryStage:
    """AWS in memory, with a job that ends well."""
    return theatre.open()


@pytest.fixture
def wire(theatre: Theatre) -> Rehearsal:
    """AWS over HTTP, with a job that ends well."""
    return theatre.wire()


FAST = Pace(first=0.02, longest=0.1)
# `orchard-deploy` in a process of its own, at a test's pace.
TYPED = [
    sys.executable,
    "-c",
    "import sys; from deploy import context, watch; from deploy.__main__ import main; from deploy.waiting import Pace; "
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


def behind(stage: Stage, service: str) -> Any:
    """A client to look behind the scenes: nothing notes it, nothing fails."""
    return stage.behind(service) if isinstance(stage, MemoryStage) else moto_client(service, stage.moto, REGION)


def there(stage: Stage) -> dict[str, Any]:
    """What exists behind the scenes."""
    images, roles, buckets = (behind(stage, name) for name in ("ecr", "iam", "s3"))
    if isinstance(stage, MemoryStage):
        stage.tick()
    return {
        "repositories": [found["repositoryName"] for found in images.describe_repositories()["repositories"]],
        "roles": [found["RoleName"] for found in roles.list_roles()["Roles"]],
        "buckets": [found["Name"] for found in buckets.list_buckets()["Buckets"]],
        "applications": [
            found.settings["name"] for found in stage.serverless.applications.values() if found.state != "TERMINATED"
        ],
        "runs": [
            job.id
            for floor in (stage.serverless.floor, stage.containers.floor)
            for job in floor.jobs.values()
            if not job.stage.final
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
