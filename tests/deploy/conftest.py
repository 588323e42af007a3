"""Fixtures of the launchers' tests: the project's own specification, and AWS (tests/deploy/rehearsal/account.py)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.loaders import create_loader
from orchard_deploy.image.tag import FILES, image_tag
from orchard_deploy.spec import SPEC_FILE, Spec, load_spec
from orchard_deploy.targets import TARGETS, spec_for

from tests.deploy.fake_docker import FakeDocker

if TYPE_CHECKING:
    from tests.deploy.rehearsal.account import Account

ROOT = Path(__file__).resolve().parents[2]
_NOBODY = 65534


@pytest.fixture(scope="session")
def spec() -> Spec:
    """The specification at the top of the repository."""
    return load_spec(ROOT / SPEC_FILE)


def write_tree(folder: Path, **changes: Any) -> Path:
    """A source tree with all that an image's tag is made of, and a specification."""
    for name in ("app", "image"):
        (folder / name).mkdir(parents=True)
        (folder / name / "part.py").write_text(f"# {name}\n", encoding="utf-8")
    for name in FILES:
        (folder / name).write_text(f"# {name}\n", encoding="utf-8")
    content = json.loads((ROOT / SPEC_FILE).read_text(encoding="utf-8"))
    eks = {"virtualCluster": "vc0123456789", "executionRole": "orchard-eks-job"}
    (folder / SPEC_FILE).write_text(json.dumps({**content, "eks": eks, **changes}), encoding="utf-8")
    return folder


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A source tree."""
    return write_tree(tmp_path / "tree")


def tree_tag(tree: Path, target: str = "serverless") -> str:
    """The tag of a tree's image."""
    return image_tag(tree, spec_for(load_spec(tree / SPEC_FILE), TARGETS[target]))


@pytest.fixture
def aws_in_memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    """AWS in this process, with a job that ends well; nothing sleeps."""
    from tests.deploy.rehearsal.account import in_memory

    with in_memory() as account:
        enter(account, monkeypatch)
        yield account


@pytest.fixture
def rehearsal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    """AWS on loopback, with a job that ends well."""
    from tests.deploy.rehearsal.account import over_http

    with over_http() as account:
        enter(account, monkeypatch)
        yield account


def enter(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every client find the account, every command wait at its pace, and boto3 call again at once."""
    for name, value in account.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("orchard_deploy.context.PACE", account.pace)
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda seconds: None))
    monkeypatch.setattr("botocore.session.create_loader", _loader)
    monkeypatch.setattr("orchard_deploy.runs.watch.LAST_LINES", 0.4)
    if not account.url:
        monkeypatch.setattr("orchard_deploy.aws.Aws._client", lambda aws, service: _client(service, aws.region))


@cache
def _client(service: str, region: str) -> Any:
    """A client for this process, which is slow to make."""
    keys = {"aws_access_key_id": "rehearsal", "aws_secret_access_key": "rehearsal"}
    return boto3.session.Session(**keys).client(service, region_name=region)


@cache
def _loader(path: str | None) -> Any:
    """What boto3 reads of its services, once: each session would read it again."""
    return create_loader(path)


@pytest.fixture
def fake_docker(monkeypatch: pytest.MonkeyPatch) -> FakeDocker:
    """A Docker engine in this process."""
    engine = FakeDocker()
    monkeypatch.setattr("docker.from_env", lambda: engine)
    return engine


@pytest.fixture
def folder_of_a_user() -> Iterator[Path]:
    """A folder of an ordinary user, who this process is to the end of the test: root may read and write everywhere."""
    with TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        if os.getuid() != 0:
            yield Path(name)
            return
        os.chown(name, _NOBODY, -1)
        os.setresuid(_NOBODY, _NOBODY, 0)
        try:
            yield Path(name)
        finally:
            os.setresuid(0, 0, 0)
