"""The buckets that a specification names: what is said of one that cannot be used, and that nothing is made then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from orchard_deploy.context import Context
from orchard_deploy.errors import RefusedError
from orchard_deploy.runs.submit import submit
from orchard_deploy.stack.lifecycle import down, plan_up, up

from tests.deploy.cloud import BUCKET, NOTHING, Cloud, Interrupted, failing_at


def make_bucket(cloud: Cloud, name: str, region: str = "us-east-1") -> None:
    here = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    cloud.behind("s3").create_bucket(Bucket=name, **here)


@pytest.mark.parametrize("key", ["input", "output", "logs"])
def test_up_makes_nothing_while_a_bucket_is_missing(cloud: Cloud, key: str) -> None:
    places: dict[str, Any] = {key: "s3://fruits/x"}
    context = cloud.context(**places)
    for act in (up, plan_up):
        with pytest.raises(RefusedError, match=f"^{key}: bucket fruits: there is none"):
            act(context)
    assert cloud.there() == NOTHING


def test_up_makes_nothing_with_a_bucket_in_another_region(cloud: Cloud) -> None:
    make_bucket(cloud, "fruits", "eu-west-1")
    with pytest.raises(RefusedError, match=r"input: bucket fruits: it is in eu-west-1.* or run in eu-west-1"):
        up(cloud.context(input="s3://fruits/x"))
    assert cloud.there() == {**NOTHING, "buckets": ["fruits"]}
    up(cloud.context(input="s3://fruits/x", target="eks"))
    assert BUCKET in cloud.there()["buckets"]


@pytest.mark.parametrize("act", [up, lambda context: submit(context, photos=1)], ids=["up", "submit"])
def test_check_buckets_names_the_key_of_a_denied_bucket(cloud: Cloud, act: Callable[[Context], object]) -> None:
    make_bucket(cloud, "fruits")
    places: dict[str, Any] = {"input": "s3://fruits/x", "bucket": None, "output": "s3://fruits/y", "logs": None}
    up(cloud.context(**places))
    up(cloud.context(**places))
    deny = failing_at(0, "denied")

    def happens(number: int, over: bool, operation: str) -> None:
        deny(0 if operation == "head_bucket" else 1, over, operation)

    with pytest.raises(RefusedError, match="input, output: bucket fruits: it is someone else's, or you may not"):
        act(cloud.context(aws=Interrupted(cloud, happens), **places))


def test_submit_refuses_a_bucket_that_vanished_after_up(cloud: Cloud) -> None:
    make_bucket(cloud, "fruits")
    context = cloud.context(output="s3://fruits/x")
    up(context)
    up(context)
    cloud.behind("s3").delete_bucket(Bucket="fruits")
    with pytest.raises(RefusedError, match="output: bucket fruits: there is none"):
        submit(context, photos=1)
    assert down(context, with_data=True) == []


def test_down_leaves_a_bucket_of_someone_else(cloud: Cloud) -> None:
    make_bucket(cloud, "fruits")
    context = cloud.context(input="s3://fruits/x")
    up(context)
    up(context)
    assert submit(context, photos=1).id
    cloud.pass_time(1200)
    assert down(context, with_data=True) == []
    assert cloud.there() == {**NOTHING, "buckets": ["fruits"]}


def test_submit_and_up_refuse_a_deleted_bucket_of_the_stack(cloud: Cloud) -> None:
    up(cloud.context())
    up(cloud.context())
    cloud.behind("s3").delete_bucket(Bucket=BUCKET)
    with pytest.raises(RefusedError, match="there is none, and"):
        submit(cloud.context(), photos=1)
    with pytest.raises(RefusedError, match="there is none, and"):
        up(cloud.context())
    make_bucket(cloud, BUCKET)
    assert submit(cloud.context(), photos=1).id
