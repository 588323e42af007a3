"""An account in memory, as the commands and the tests of stack and runs see it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.core.base_backend import BackendDict
from orchard_deploy.aws import Aws, explained
from orchard_deploy.context import Context
from orchard_deploy.rehearsal.settings import Timings
from orchard_deploy.rehearsal.stage import ACCOUNT
from orchard_deploy.site import Site
from orchard_deploy.spec import SPEC_FILE, load_spec
from orchard_deploy.targets import TARGETS, spec_for

from tests.deploy.conftest import enter, tree_tag
from tests.deploy.rehearsal.account import REGION, Account, in_memory

BUCKET = f"orchard-{ACCOUNT}-{REGION}"
# Ten minutes of work, in which nothing is written but the last line.
_JOB = "import time; time.sleep(600); print('50 photos done')"


@dataclass
class Cloud:
    """One account, with one source tree."""

    tree: Path
    account: Account
    said: list[str] = field(default_factory=list)
    _aws: Aws | None = None
    _behind: dict[str, Any] = field(default_factory=dict)

    def push(self) -> None:
        """Let every repository have the tree's images."""
        self.account.images.tags |= {tree_tag(self.tree), tree_tag(self.tree, "eks")}

    def take_images(self) -> None:
        """Let no repository get an image any more."""
        self.account.images.tags = frozenset()

    @property
    def aws(self) -> Aws:
        """The account; its clients are made once a test."""
        self._aws = self._aws or Aws(region=REGION)
        return self._aws

    def context(self, target: str = "serverless", aws: Aws | None = None, **spec: Any) -> Context:
        """What a command in the tree works with."""
        aws = aws or self.aws
        loaded = replace(spec_for(load_spec(self.tree / SPEC_FILE), TARGETS[target]), **spec)
        site = Site(loaded, aws.account)
        return Context(
            aws=aws,
            site=site,
            target=TARGETS[target],
            tree=self.tree,
            pace=self.account.pace,
            now=self.account.clock,
            tell=self.said.append,
        )

    def behind(self, service: str) -> Any:
        """A client to look behind the scenes."""
        if service not in self._behind:
            self._behind[service] = self.account.behind(service)
        return self._behind[service]

    def clear(self) -> None:
        """Back to an account with nothing in it."""
        BackendDict.reset()

    def put(self, key: str) -> None:
        """Put an object into the specification's bucket."""
        self.account.write(f"s3://{BUCKET}/{key}", b"x")

    def pass_time(self, seconds: float) -> None:
        """Let time go by, a few seconds at once: a run that has got its workers works for as long as it takes."""
        end = self.account.clock() + seconds
        while self.account.clock() < end:
            self.account.clock.sleep(5)
            self.account.tick()

    def there(self) -> dict[str, list[str]]:
        """What exists."""
        return everything_there(self.behind)


def everything_there(behind: Callable[[str], Any]) -> dict[str, list[str]]:
    """What exists in an account, by a service's client."""
    ecr, iam, s3, emr = (behind(name) for name in ("ecr", "iam", "s3", "emr-serverless"))
    applications = [each for each in emr.list_applications()["applications"] if each["state"] != "TERMINATED"]
    return {
        "stacks": [each["StackName"] for each in behind("cloudformation").describe_stacks()["Stacks"]],
        "repositories": [each["repositoryName"] for each in ecr.describe_repositories()["repositories"]],
        "roles": [each["RoleName"] for each in iam.list_roles()["Roles"]],
        "buckets": [each["Name"] for each in s3.list_buckets()["Buckets"]],
        "applications": [each["name"] for each in applications],
    }


NOTHING: dict[str, list[str]] = {"stacks": [], "repositories": [], "roles": [], "buckets": [], "applications": []}
EVERYTHING = {
    "stacks": ["orchard"],
    "repositories": ["orchard"],
    "roles": [f"orchard-job-{REGION}"],
    "buckets": [BUCKET],
    "applications": ["orchard"],
}


@contextmanager
def open_cloud(tree: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """An account with nothing in it, whose repositories get the tree's images, for every `Aws` of this process."""
    with in_memory(_JOB, timings=replace(Timings().faster(1000), minute=60.0)) as account:
        enter(account, monkeypatch)
        cloud = Cloud(tree, account)
        cloud.push()
        yield cloud


class KilledError(BaseException):
    """The process is gone."""


class Interrupted(Aws):
    """AWS, with something happening at some calls, counted from 1.

    Args:
        happens: called with the number of each call, before it and after it; it raises to keep the call from going on.
        changing: whether only calls that change something count.
    """

    def __init__(self, cloud: Cloud, happens: Callable[[int, bool, str], None], *, changing: bool = False) -> None:
        super().__init__(region=REGION)
        self._clients, self._happens, self._changing, self.calls = cloud.aws._clients, happens, changing, 0
        self.actions: set[str] = set()

    def call(self, service: str, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        call = super().call
        answer: dict[str, Any] = self._counted(service, operation, lambda: call(service, operation, parameters))
        return answer

    def pages(self, service: str, operation: str, parameters: Mapping[str, Any], key: str) -> Iterator[Any]:
        pages = super().pages
        yield from self._counted(service, operation, lambda: list(pages(service, operation, parameters, key)))

    def _counted(self, service: str, operation: str, call: Callable[[], Any]) -> Any:
        if self._changing and operation.startswith(("get_", "list_", "describe_", "head_")):
            return call()
        self.calls += 1
        number = self.calls
        self.actions.add(f"{service}:{''.join(part.capitalize() for part in operation.split('_'))}")
        with explained(f"{service} {operation}"):
            self._happens(number, False, operation)
        answer = call()
        self._happens(number, True, operation)
        return answer


def killed_at(at: int, *, after: bool) -> Callable[[int, bool, str], None]:
    """The end of the process before or after the call of this number."""

    def happens(number: int, over: bool, operation: str) -> None:
        if (number, over) == (at, after):
            raise KilledError

    return happens


# Kind of failure -> code of the answer, and of one to a HEAD request, which has no text.
FAILURES = {
    "denied": ("AccessDeniedException", "403"),
    "throttled": ("ThrottlingException", "503"),
    "expired": ("ExpiredTokenException", "400"),
}


def failing_at(at: int, kind: str) -> Callable[[int, bool, str], None]:
    """AWS refuses the call of this number; where the credentials expire at it, each one from it on."""

    def happens(number: int, over: bool, operation: str) -> None:
        if not over and (number >= at if kind == "expired" else number == at):
            code, bare = FAILURES[kind]
            head = operation.startswith("head_")
            answer = {"Error": {"Code": bare if head else code, "Message": "refused"}}
            raise ClientError({**answer, "ResponseMetadata": {"HTTPStatusCode": int(bare)}}, operation)

    return happens
