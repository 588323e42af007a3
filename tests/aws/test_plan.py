"""What is decided: what is missing, what differs, what is ours, what is refused. No AWS in it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from deploy import payloads
from deploy.errors import RefusedError
from deploy.iam import job_policy, job_trust, repository_policy
from deploy.observed import Application, Bucket, Observed, Repository, Role, Run
from deploy.plan import Action, left_behind, plan_down, plan_up
from deploy.site import Site
from deploy.targets import EKS

DIGEST = "sha256:" + "a" * 64
OURS = {"orchard:application": "orchard", "project": "orchard"}


def complete(site: Site, **changes: Any) -> Observed:
    """Everything as `up` leaves it, as AWS tells of it."""
    image = payloads.image_uri(site, "t", DIGEST)
    settings = {
        **payloads.application_settings(site, image),
        "maximumCapacity": {"cpu": "12 vCPU", "memory": "48 GB", "disk": "60 GB"},
    }
    seen = Observed(
        repository=Repository(tags=OURS, immutable=True, scans=True, policy=repository_policy(site)),
        digest=DIGEST,
        bucket=Bucket(tags=OURS, blocked=True, empty=False),
        role=Role(tags=OURS, trust=job_trust(site), policy=job_policy(site)),
        applications=(Application(id="00f1", state="STARTED", tags=OURS, settings=settings),),
    )
    return replace(seen, **changes)


def up(site: Site, seen: Observed, recorded: dict[str, str] | None = None) -> list[Action]:
    return plan_up(site, seen, tag="t", recorded=recorded or {}, new_token=lambda: "token")


def recorded(site: Site) -> dict[str, str]:
    """As `up` records the bucket of the specification: without the account's number."""
    return {"bucket": site.account.mask(site.bucket or "")}


def names(actions: list[Action]) -> list[str]:
    return [action.operation for action in actions]


def application(seen: Observed, **changes: Any) -> Observed:
    return replace(seen, applications=(replace(seen.applications[0], **changes),))


ALL = [
    "create_repository",
    "set_repository_policy",
    "create_bucket",
    "put_bucket_tagging",
    "put_public_access_block",
    "create_role",
    "put_role_policy",
]


def test_nothing_is_done_where_everything_is_as_it_should_be(site: Site) -> None:
    assert up(site, complete(site)) == []


def test_everything_is_made_in_order_and_the_application_only_once_its_image_is_there(site: Site) -> None:
    assert names(up(site, Observed())) == ALL
    assert names(up(site, Observed(digest=DIGEST))) == [*ALL, "create_application"]


def test_eks_needs_a_repository_without_a_service_in_its_policy_and_the_bucket(site: Site) -> None:
    actions = plan_up(site, Observed(digest=DIGEST), tag="t", recorded={}, new_token=lambda: "token", target=EKS)
    assert names(actions) == ["create_repository", "create_bucket", "put_bucket_tagging", "put_public_access_block"]


@pytest.mark.parametrize(
    ("settings", "changed"),
    [
        (
            {
                "imageConfiguration": {
                    "imageUri": f"123456789012.dkr.ecr.us-east-1.amazonaws.com/orchard@sha256:{'b' * 64}"
                }
            },
            "imageConfiguration",
        ),
        ({"maximumCapacity": {"cpu": "400 vCPU", "memory": "48 GB", "disk": "60 GB"}}, "maximumCapacity"),
        ({"schedulerConfiguration": {"maxConcurrentRuns": 15, "queueTimeoutMinutes": 360}}, "schedulerConfiguration"),
        ({"autoStopConfiguration": {"enabled": False, "idleTimeoutMinutes": 5}}, "autoStopConfiguration"),
        ({"releaseLabel": "emr-7.1.0"}, "releaseLabel"),
    ],
)
def test_an_application_that_differs_is_stopped_and_changed(site: Site, settings: dict[str, Any], changed: str) -> None:
    seen = complete(site)
    seen = application(seen, settings={**seen.applications[0].settings, **settings})
    assert names(up(site, seen)) == ["stop_application", "update_application"]
    assert changed in up(site, seen)[-1].about
    stopped = application(seen, state="STOPPED")
    assert names(up(site, stopped)) == ["update_application"]


def test_an_application_is_not_changed_under_a_run(site: Site) -> None:
    seen = complete(site)
    seen = application(seen, settings={**seen.applications[0].settings, "releaseLabel": "emr-7.1.0"})
    busy = replace(seen, active=(Run(id="00r1", place="00f1", name="x", state="QUEUED"),))
    with pytest.raises(RefusedError, match=r"releaseLabel must change, and run 00r1 is active.*cancel"):
        up(site, busy)
    assert up(site, complete(site, active=busy.active)) == []


def test_what_was_interrupted_is_finished(site: Site) -> None:
    seen = complete(site)
    assert seen.repository is not None
    assert names(up(site, replace(seen, repository=replace(seen.repository, policy=None)))) == ["set_repository_policy"]
    assert seen.role is not None
    assert names(up(site, replace(seen, role=replace(seen.role, policy=None)))) == ["put_role_policy"]
    fresh = Bucket(tags={}, blocked=False, empty=True)
    assert names(up(site, replace(seen, bucket=fresh), recorded(site))) == [
        "put_bucket_tagging",
        "put_public_access_block",
    ]


def test_a_bucket_that_someone_else_made_is_used_as_it_is_and_never_deleted(site: Site) -> None:
    foreign = complete(site, bucket=Bucket(tags={}, blocked=False, empty=True))
    assert up(site, foreign) == []
    assert "delete_bucket" not in names(plan_down(site, foreign, recorded={}, with_data=True))
    tagged = complete(site, bucket=Bucket(tags={"team": "x"}, blocked=False, empty=True))
    assert "delete_bucket" not in names(plan_down(site, tagged, recorded=recorded(site), with_data=True))


def test_a_bucket_that_the_record_names_otherwise_is_not_ours_and_the_old_one_is_not_forgotten(site: Site) -> None:
    foreign, other = complete(site, bucket=Bucket(tags={}, blocked=False, empty=True)), {"bucket": "orchard-elsewhere"}
    assert "delete_bucket" not in names(plan_down(site, foreign, recorded=other, with_data=True))
    left = list(left_behind(site, foreign, recorded=other, with_data=True))
    assert left[0].startswith(
        "bucket orchard-elsewhere: made before the specification named orchard-{account}-us-east-1: put that name"
    )


@pytest.mark.parametrize("project", [{}, {"project": "pears"}])
def test_what_is_ours_gets_the_tags_of_the_specification_and_keeps_those_of_others(
    site: Site, project: dict[str, str]
) -> None:
    seen, tags = complete(site), {"orchard:application": "orchard", "team": "x", **project}
    seen = replace(
        application(seen, tags=tags),
        repository=Repository(tags=tags, immutable=True, scans=True, policy=repository_policy(site)),
        bucket=Bucket(tags=tags, blocked=True, empty=False),
        role=Role(tags=tags, trust=job_trust(site), policy=job_policy(site)),
        active=(Run(id="00r1", place="00f1", name="x", state="RUNNING"),),
    )
    actions = {(action.service, action.operation): action.parameters for action in up(site, seen)}
    listed = [{"Key": name, "Value": value} for name, value in site.tags.items()]
    assert actions.keys() == {
        ("ecr", "tag_resource"),
        ("s3", "put_bucket_tagging"),
        ("iam", "tag_role"),
        ("emr-serverless", "tag_resource"),
    }
    # With the tag that says whose it is: without that one the deployer may not tag applications.
    assert actions["emr-serverless", "tag_resource"]["tags"] == site.tags
    assert actions["ecr", "tag_resource"]["tags"] == actions["iam", "tag_role"]["Tags"] == listed
    kept = {tag["Key"]: tag["Value"] for tag in actions["s3", "put_bucket_tagging"]["Tagging"]["TagSet"]}
    assert kept == {"team": "x", **site.tags}


def test_tags_that_were_taken_out_of_the_specification_stay(site: Site) -> None:
    assert up(Site(replace(site.spec, tags={}), site.account), complete(site)) == []


@pytest.mark.parametrize("kind", ["repository", "bucket", "role"])
def test_a_changed_name_is_refused_before_anything_is_made_under_the_new_one(site: Site, kind: str) -> None:
    with pytest.raises(
        RefusedError, match=f"{kind} orchard-old: made before the specification named .*put that name back and call"
    ):
        up(site, Observed(), {kind: "orchard-old"})


def test_foreign_roles_and_applications_of_the_same_name_are_refused_with_a_way_out(site: Site) -> None:
    seen = complete(site)
    assert seen.role is not None
    with pytest.raises(
        RefusedError, match=r"role orchard-job-us-east-1: orchard-deploy did not make it.*choose another `name`"
    ):
        up(site, replace(seen, role=replace(seen.role, tags={})))
    with pytest.raises(
        RefusedError, match=r"application 00f1 is called orchard too, and orchard-deploy did not make it"
    ):
        up(site, application(seen, tags={}))


def test_two_applications_of_ours_are_named_and_both_deleted(site: Site) -> None:
    seen = complete(site)
    twice = replace(seen, applications=(*seen.applications, replace(seen.applications[0], id="00f2", state="CREATED")))
    with pytest.raises(RefusedError, match="applications 00f1, 00f2 are all called orchard"):
        up(site, twice)
    deleted = [
        action.parameters["applicationId"] for action in plan_down(site, twice, recorded={}, with_data=False)[:3]
    ]
    assert deleted == ["00f1", "00f1", "00f2"]


def repository(site: Site, **changes: Any) -> Observed:
    seen = complete(site)
    assert seen.repository is not None
    return replace(seen, repository=replace(seen.repository, **changes))


def test_a_repository_of_ours_is_set_right_in_every_respect(site: Site) -> None:
    assert names(up(site, repository(site, immutable=False, scans=False, policy=None))) == [
        "put_image_tag_mutability",
        "put_image_scanning_configuration",
        "set_repository_policy",
    ]


def test_statements_that_others_added_to_the_policy_are_kept(site: Site) -> None:
    other = {
        "Sid": "CI",
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::123456789012:role/ci"},
        "Action": "ecr:BatchGetImage",
    }
    own = repository_policy(site)["Statement"]
    assert up(site, repository(site, policy={"Version": "2012-10-17", "Statement": [other, *own]})) == []
    (action,) = up(site, repository(site, policy={"Version": "2012-10-17", "Statement": [other]}))
    assert json.loads(action.parameters["policyText"])["Statement"] == [other, *own]
    outdated = [{**own[0], "Action": "ecr:BatchGetImage"}]
    (action,) = up(site, repository(site, policy={"Version": "2012-10-17", "Statement": outdated}))
    assert json.loads(action.parameters["policyText"])["Statement"] == own


def test_a_repository_of_someone_else_is_used_as_it_is_if_it_will_do(site: Site) -> None:
    policy = repository_policy(site)
    renamed = {**policy, "Statement": [{**policy["Statement"][0], "Sid": "Theirs"}]}
    assert up(site, repository(site, tags={}, scans=False, policy=renamed)) == []
    with pytest.raises(RefusedError, match="tags can be overwritten"):
        up(site, repository(site, tags={}, immutable=False))
    with pytest.raises(
        RefusedError,
        match=r"EMR Serverless may not read its images: add the statement that `orchard-deploy iam repository`",
    ):
        up(site, repository(site, tags={}, policy=None))


def test_down_keeps_data_unless_told(site: Site) -> None:
    seen = complete(site)
    kept = plan_down(site, seen, recorded={}, with_data=False)
    assert names(kept) == [
        "stop_application",
        "delete_application",
        "delete_role_policy",
        "delete_role",
        "delete_repository",
    ]
    assert list(left_behind(site, seen, recorded={}, with_data=False)) == [
        "bucket orchard-{account}-us-east-1: holds data: delete it with --with-data"
    ]
    gone = plan_down(site, seen, recorded={}, with_data=True)
    assert (names(gone)[-1], gone[-1].empties) == ("delete_bucket", True)
    assert list(left_behind(site, seen, recorded={}, with_data=True)) == []


def test_down_says_what_it_did_not_make(site: Site) -> None:
    seen = complete(site)
    assert seen.repository is not None
    foreign = replace(seen, repository=replace(seen.repository, tags={}))
    assert "delete_repository" not in names(plan_down(site, foreign, recorded={}, with_data=True))
    assert list(left_behind(site, foreign, recorded={}, with_data=True)) == [
        "ECR repository orchard: orchard-deploy did not make it"
    ]
