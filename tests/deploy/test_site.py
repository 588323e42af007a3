"""Names and locations of a specification in an account."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from orchard_deploy.context import Context
from orchard_deploy.errors import SpecError
from orchard_deploy.site import Account, S3Place, Site, mask_accounts, offline_account, parse_place
from orchard_deploy.spec import Spec


@pytest.fixture(scope="module")
def site(spec: Spec) -> Site:
    """The project's own specification in an account."""
    return Site(spec, Account(id="123456789012", region="us-east-1"))


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("bucket orchard-123456789012-us-east-1: taken", "bucket orchard-{account}-us-east-1: taken"),
        ("push 123456789012.dkr.ecr.us-east-1.amazonaws.com/x", "push {account}.dkr.ecr.us-east-1.amazonaws.com/x"),
        ("bucket orchard-us-east-1-123456789012: taken", "bucket orchard-us-east-1-{account}: taken"),
        ("read s3://photos-123456789012/a", "read s3://photos-{account}/a"),
        ("photos-1.0-123456789012-us-east-1", "photos-1.0-{account}-us-east-1"),
        ("2026-123456789012", "2026-{account}"),
        ("sha256:123456789012345, f123456789012", "sha256:123456789012345, f123456789012"),
    ],
)
def test_mask_accounts_leaves_other_numbers(text: str, masked: str) -> None:
    assert mask_accounts(text) == masked


def test_context_say_masks_the_account(site: Site) -> None:
    said: list[str] = []
    context = Context(site=site, tell=said.append, aws=None, target=None, tree=None)  # type: ignore[arg-type]
    context.say("bucket orchard-123456789012-us-east-1")
    assert said == ["bucket orchard-{account}-us-east-1"]


@pytest.mark.parametrize(
    ("region", "partition"), {"us-east-1": "aws", "cn-north-1": "aws-cn", "us-gov-west-1": "aws-us-gov"}.items()
)
def test_offline_account_knows_its_partition(region: str, partition: str) -> None:
    assert offline_account(None, region) == Account(id="000000000000", region=region, partition=partition)
    with pytest.raises(SpecError, match="--account 12"):
        offline_account("12", region)


def test_named_buckets_are_those_of_others_with_the_keys_that_name_them(site: Site) -> None:
    assert site.named_buckets == {}
    spec = replace(site.spec, input="s3://fruits/a", logs="s3://fruits/b")
    assert Site(spec, site.account).named_buckets == {"fruits": "input, logs"}


@pytest.mark.parametrize("field", ["input", "output", "logs"])
@pytest.mark.parametrize(
    "text",
    ["s3://{bukket}/x", "s3://{account[a]}/x", "s3://{account.id}/x", "s3://{0}/x", "s3://{/x", "/photos", "s3://A/x"],
)
def test_a_location_that_is_none_is_refused_by_its_key(site: Site, field: str, text: str) -> None:
    changed: dict[str, Any] = {field: text}
    with pytest.raises(SpecError, match=f"^{field}: "):
        getattr(Site(replace(site.spec, **changed), site.account), field)


def test_parse_place_takes_both_schemes_and_no_slash_at_the_end() -> None:
    assert parse_place("x", "s3a://fruits/a/b/") == parse_place("x", "s3://fruits/a/b") == S3Place("fruits", "a/b")
    assert str(parse_place("x", "s3://fruits")) == "s3://fruits"


def test_bucket_that_is_none_and_one_that_is_not_named(site: Site) -> None:
    with pytest.raises(SpecError, match=r"^bucket: s3://orchard-\{acount\}: "):
        _ = Site(replace(site.spec, bucket="orchard-{acount}"), site.account).bucket
    with pytest.raises(SpecError, match=r"^input: s3://\{bucket\}/photos: .*if `bucket` is set"):
        _ = Site(replace(site.spec, bucket=None), site.account).input


def test_named_buckets_of_what_arguments_name(site: Site) -> None:
    arguments = ("s3://fruits/classifier", "--labels", "s3://fruits/classes.csv")
    spec = replace(site.spec, command="evaluate", input="s3://{bucket}/in", arguments=arguments)
    assert Site(spec, site.account).named_buckets == {"fruits": "CLASSIFIER, --labels"}


@pytest.mark.parametrize(
    ("place", "other", "held"),
    [("a", "a", True), ("a", "a/b", True), ("a", "ab", False), ("", "a", True), ("a/b", "a", False), ("a", "", False)],
)
def test_what_a_place_holds(place: str, other: str, held: bool) -> None:
    assert S3Place("bucket", place).holds(S3Place("bucket", other)) == held
    assert not S3Place("bucket", place).holds(S3Place("another", other))
