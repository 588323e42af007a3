"""push_to_ecr: each of its calls refused, throttled, or with credentials that expire at it, is one line."""

from __future__ import annotations

import pytest
from orchard_deploy.errors import AwsError
from orchard_deploy.image.docker_engine import DockerEngine
from orchard_deploy.image.push import push_to_ecr
from orchard_deploy.stack.up import up

from tests.deploy.cloud import FAILURES, Cloud, Interrupted, failing_at
from tests.deploy.fake_docker import FakeDocker
from tests.deploy.stack.conftest import cloud

__all__ = ["cloud"]


@pytest.mark.parametrize("kind", FAILURES)
def test_push_to_ecr(cloud: Cloud, fake_docker: FakeDocker, kind: str) -> None:
    up(cloud.context())
    fake_docker.images_there["orchard:new"] = {}
    for number in (1, 2):
        with pytest.raises(AwsError) as raised:
            push_to_ecr(Interrupted(cloud, failing_at(number, kind)), DockerEngine(), "orchard", "new", print)
        assert "\n" not in str(raised.value)
        assert not fake_docker.pushed
    aws = Interrupted(cloud, failing_at(3, kind))
    assert push_to_ecr(aws, DockerEngine(), "orchard", "new", print).startswith("sha256:")
    assert aws.calls == 2
