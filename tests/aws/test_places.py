"""Buckets that the specification names beside its own: looked for before anything is made, and never made."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.__main__ import main
from deploy.ensure import down, up
from deploy.errors import RefusedError
from deploy.observed import Access, Bucket, Observed, Reach
from deploy.places import unusable
from deploy.site import Account, Site
from deploy.submit import Wanted, submit
from deploy.targets import EKS, SERVERLESS
from tests.aws.conftest import NOTHING, REGION, behind, context_of, there
from tests.aws.memory.stage import MemoryStage

HERE = Reach(access=Access.GRANTED, region=REGION)


def edit(tree: Path, **changes: str | None) -> None:
    path = tree / "emr-serverless.json"
    content = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({name: value for name, value in content.items() if value is not None}))


def call(tree: Path, *words: str) -> int:
    return main([words[0], "--spec", str(tree / "emr-serverless.json"), "--tree", str(tree), *words[1:]])


def make_bucket(stage: MemoryStage, name: str, region: str = REGION) -> None:
    here = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    behind(stage, "s3").create_bucket(Bucket=name, **here)


def lines(site: Site, reached: Reach) -> list[str]:
    spec = replace(site.spec, input="s3://fruits/a", logs="s3://fruits/b")
    return list(unusable(Site(spec, site.account), Observed(reached={"fruits": reached}), SERVERLESS))


def test_the_buckets_of_others_are_named_once_with_the_keys_that_name_them(site: Site) -> None:
    assert site.named_buckets == {}
    spec = replace(site.spec, input="s3://fruits/a", logs="s3://fruits/b", entry_point="s3://code/main.py")
    assert Site(spec, site.account).named_buckets == {"fruits": "input, logs", "code": "entryPoint"}


def test_what_is_missing_denied_or_far_away_is_said_with_the_key_and_what_to_do(site: Site) -> None:
    assert lines(site, HERE) == []
    assert lines(site, Reach(access=Access.GRANTED)) == []  # S3 did not say where
    (line,) = lines(site, Reach(access=Access.MISSING))
    assert line.startswith(
        "input, logs: bucket fruits: there is none, and `orchard-deploy up` makes only the one under `bucket`"
    )
    (line,) = lines(site, Reach(access=Access.DENIED))
    assert "or you may not look at it (see `orchard-deploy iam deployer`)" in line
    (line,) = lines(site, Reach(access=Access.GRANTED, region="eu-west-1"))
    assert (
        "it is in eu-west-1, and EMR Serverless in us-east-1 reaches none outside of us-east-1: name one there, or run "
        "in eu-west-1" in line
    )


def test_a_bucket_of_the_specification_in_another_region_is_in_the_way_on_serverless_alone(site: Site) -> None:
    seen = Observed(bucket=Bucket(tags={}, blocked=True, empty=True, region="eu-west-1"))
    (line,) = unusable(site, seen, SERVERLESS)
    assert line.startswith("bucket: orchard-{account}-us-east-1: it is in eu-west-1")
    assert list(unusable(site, seen, EKS)) == []
    assert list(unusable(Site(site.spec, Account(id="123456789012", region="eu-west-1")), seen, SERVERLESS)) == []


@pytest.mark.parametrize("key", ["input", "output", "logs"])
def test_nothing_is_made_while_a_bucket_is_missing(
    tree: Path, stage: MemoryStage, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    edit(tree, **{key: "s3://fruits/x"})
    for words in (["up"], ["up", "--dry-run"], ["submit", "--up"], ["submit", "--up", "--dry-run"]):
        assert call(tree, *words) == 1
        captured = capsys.readouterr()
        assert captured.err.splitlines()[-1].startswith(f"orchard-deploy: error: {key}: bucket fruits: there is none")
        assert there(stage) == NOTHING
    assert call(tree, "plan") == 1
    out = capsys.readouterr().out
    assert f"in the way  {key}: bucket fruits: there is none" in out
    assert "to do       make ECR repository orchard" in out
    assert call(tree, "plan", "--json") == 1
    assert len(json.loads(capsys.readouterr().out)["in_the_way"]) == 1
    call(tree, "status")
    assert f"to do       {key}: bucket fruits: there is none" in capsys.readouterr().out


def test_a_bucket_in_another_region_is_found_out_before_anything_is_made(tree: Path, stage: MemoryStage) -> None:
    make_bucket(stage, "fruits", "eu-west-1")
    with pytest.raises(RefusedError, match=r"input: bucket fruits: it is in eu-west-1"):
        up(context_of(tree, input="s3://fruits/x"))
    assert there(stage) == {**NOTHING, "buckets": ["fruits"]}
    up(context_of(tree, input="s3://fruits/x", target="eks"))
    assert "orchard-123456789012-us-east-1" in there(stage)["buckets"]


@pytest.mark.parametrize("operation", ["plan", "up", "submit"])
def test_a_bucket_that_may_not_be_looked_at_is_said_with_its_key(
    tree: Path, stage: MemoryStage, capsys: pytest.CaptureFixture[str], operation: str
) -> None:
    make_bucket(stage, "fruits")
    edit(tree, input="s3://fruits/x", bucket=None, output="s3://fruits/y", logs=None)
    stage.faults.plan("s3", "GET" if operation == "submit" else "HEAD", "denied", 1)
    assert call(tree, operation) == 1
    captured = capsys.readouterr()
    (line,) = [line for line in (captured.out + captured.err).splitlines() if "`orchard-deploy iam deployer`" in line]
    assert "input" in line
    assert there(stage) == {**NOTHING, "buckets": ["fruits"]}


def test_a_bucket_that_vanished_after_up_stops_a_submission(tree: Path, stage: MemoryStage) -> None:
    make_bucket(stage, "fruits")
    context = context_of(tree, output="s3://fruits/x")
    up(context)
    up(context)
    behind(stage, "s3").delete_bucket(Bucket="fruits")
    with pytest.raises(RefusedError, match="output: bucket fruits: there is none"):
        submit(context, Wanted())
    assert stage.serverless.floor.jobs == {}
    assert down(context, force=False, with_data=True) == []


def test_a_bucket_of_someone_else_is_used_and_left_alone(tree: Path, stage: MemoryStage) -> None:
    make_bucket(stage, "fruits")
    context = context_of(tree, input="s3://fruits/x")
    up(context)
    up(context)
    assert submit(context, Wanted()).run
    assert down(context, force=True, with_data=True) == []
    assert there(stage) == {**NOTHING, "buckets": ["fruits"]}
