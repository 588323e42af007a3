"""A push to ECR: once, and each of its calls refused, throttled, or with credentials that expire at it, is one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from orchard_deploy.__main__ import main
from orchard_deploy.errors import AwsError, EngineError, RefusedError
from orchard_deploy.image.docker_engine import DockerEngine
from orchard_deploy.image.ecr import push
from orchard_deploy.spec import SPEC_FILE
from orchard_deploy.stack.lifecycle import up

from tests.deploy.cloud import FAILURES, Cloud, Interrupted, failing_at
from tests.deploy.conftest import tree_tag
from tests.deploy.fake_docker import ORCHARD, FakeDocker
from tests.deploy.rehearsal.account import Account
from tests.deploy.stack.conftest import cloud

__all__ = ["cloud"]


@pytest.fixture
def tag(cloud: Cloud, fake_docker: FakeDocker) -> str:
    """The tag of an image that this machine has; the account has a repository for it."""
    up(cloud.context())
    cloud.take_images()
    fake_docker.arrived = cloud.push
    tag = tree_tag(cloud.tree)
    fake_docker.images_there[f"orchard:{tag}"] = ORCHARD
    return tag


def test_an_image_is_pushed_once(cloud: Cloud, fake_docker: FakeDocker, tag: str) -> None:
    said: list[str] = []
    digest = push(cloud.aws, DockerEngine(), "orchard", tag, said.append)
    assert digest.startswith("sha256:")
    (_, remote), (_, pushed) = (call.split() for call in fake_docker.calls)
    assert remote == pushed
    assert remote.endswith(f"/orchard:{tag}")
    assert said == ["layer a: pushed"]
    assert push(cloud.aws, DockerEngine(), "orchard", tag, said.append) == digest
    assert said[1:] == [f"orchard:{tag} is there already"]
    assert len(fake_docker.calls) == 2


def test_what_cannot_be_pushed_is_one_line(cloud: Cloud, fake_docker: FakeDocker, tag: str) -> None:
    with pytest.raises(RefusedError, match="orchard:none: no such image here"):
        push(cloud.aws, DockerEngine(), "orchard", "none", print)
    with pytest.raises(RefusedError, match="ECR repository other: there is none in us-east-1: `orchard-deploy up`"):
        push(cloud.aws, DockerEngine(), "other", tag, print)
    fake_docker.events = [{"error": "denied"}]
    with pytest.raises(EngineError, match=f"/orchard:{tag}: denied"):
        push(cloud.aws, DockerEngine(), "orchard", tag, print)


@pytest.mark.parametrize("kind", FAILURES)
def test_each_call_that_fails_is_one_line_and_the_next_push_ends_well(
    cloud: Cloud, fake_docker: FakeDocker, tag: str, kind: str
) -> None:
    for number in (1, 2, 3, 4):
        with pytest.raises(AwsError) as raised:
            push(Interrupted(cloud, failing_at(number, kind)), DockerEngine(), "orchard", tag, print)
        assert "\n" not in str(raised.value)
        assert len(fake_docker.calls) == (2 if number == 4 else 0)
    assert push(Interrupted(cloud, failing_at(5, kind)), DockerEngine(), "orchard", tag, print).startswith("sha256:")


def test_push_by_the_command(
    aws_in_memory: Account, fake_docker: FakeDocker, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["push", "--spec", str(tree / SPEC_FILE), "--tree", str(tree)]
    assert main([*words, "--dry-run"]) == 0
    assert capsys.readouterr().out == f"push orchard:{tree_tag(tree)} to ECR in us-east-1\n"
    assert main(words) == 1
    assert "`orchard-deploy up` makes it" in capsys.readouterr().err
