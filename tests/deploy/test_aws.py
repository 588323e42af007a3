"""The client of AWS: whatever fails becomes one line with what to do next; never a traceback."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from botocore import exceptions as boto
from botocore.parsers import ResponseParserError
from orchard_deploy import errors, s3
from orchard_deploy.aws import FAILURES, Aws, explained
from orchard_deploy.errors import AwsError, CredentialsError, DeniedError, InvalidError, SpecError, UnavailableError

from tests.deploy.rehearsal.account import REGION, Account

DESCRIBE = ("cloudformation", "DescribeStacks")
IMAGES = ("ecr", "DescribeImages")
OPERATIONS = {
    DESCRIBE: ("cloudformation", "describe_stacks", {}),
    IMAGES: ("ecr", "describe_images", {"repositoryName": "orchard"}),
}


@pytest.mark.parametrize(
    ("call", "fault", "kind", "line"),
    [
        (DESCRIBE, "throttle", UnavailableError, "Rate exceeded (ThrottlingException): too many calls for AWS"),
        (DESCRIBE, "5xx", UnavailableError, "a fault on AWS's side, tried again and given up: call again later"),
        (DESCRIBE, "lost", UnavailableError, "no answer (Connection was closed"),
        (DESCRIBE, "expired", CredentialsError, "the credentials have expired: log in again"),
        (DESCRIBE, "denied", DeniedError, "not allowed: docs/aws.md has the policy that is needed"),
        (IMAGES, "denied", DeniedError, "User is not authorized to perform this action: not allowed"),
        (IMAGES, "throttle", UnavailableError, "Rate exceeded (ThrottlingException): too many calls for AWS"),
    ],
)
def test_call_that_fails(
    aws_in_memory: Account, call: tuple[str, str], fault: str, kind: type[AwsError], line: str
) -> None:
    service, operation, parameters = OPERATIONS[call]
    aws_in_memory.faults.plan(*call, fault, 10)
    with pytest.raises(kind) as caught:
        Aws(region=REGION).call(service, operation, parameters)
    assert str(caught.value).startswith(f"AWS, {service} {operation}: ")
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_call_is_tried_again_over_http(rehearsal: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "4")
    for fault in ("throttle", "5xx", "lost"):
        rehearsal.faults.plan(*DESCRIBE, fault, 1)
    assert Aws(region=REGION).call("cloudformation", "describe_stacks", {})["Stacks"] == []
    assert rehearsal.faults.log == [DESCRIBE] * 4


def test_call_is_tried_six_times_without_aws_max_attempts(
    aws_in_memory: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_MAX_ATTEMPTS", raising=False)
    assert Aws(region=REGION)._config.retries == {"mode": "standard", "total_max_attempts": 6}


def test_an_unknown_profile_is_a_credentials_error(aws_in_memory: Account) -> None:
    with pytest.raises(CredentialsError, match=r"The config profile \(nobody\) could not be found"):
        Aws(region=REGION, profile="nobody")


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (boto.NoCredentialsError(), CredentialsError),
        (boto.PartialCredentialsError(provider="env", cred_var="x"), CredentialsError),
        (boto.TokenRetrievalError(provider="sso", error_msg="expired"), CredentialsError),
        (boto.UnauthorizedSSOTokenError(), CredentialsError),
        (boto.NoRegionError(), SpecError),
        (boto.ReadTimeoutError(endpoint_url="x"), UnavailableError),
        (boto.ProxyConnectionError(proxy_url="x"), UnavailableError),
        (boto.SSLError(endpoint_url="x", error="certificate"), UnavailableError),
        (boto.ParamValidationError(report="bad"), InvalidError),
        (boto.ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "X"), DeniedError),
        (boto.ClientError({"Error": {"Code": "UnrecognizedClientException", "Message": "no"}}, "X"), CredentialsError),
        (boto.ClientError({"Error": {"Code": "ValidationError", "Message": "no"}}, "X"), InvalidError),
        (boto.ClientError({"Error": {"Code": "Odd", "Message": "two\nlines"}}, "X"), AwsError),
        (boto.ClientError({}, "X"), AwsError),
        (boto.UnknownServiceError(service_name="x", known_service_names="y"), AwsError),
        (ValueError("Invalid endpoint: x"), SpecError),
        (ResponseParserError("<html>"), UnavailableError),  # a page of a proxy's own
    ],
)
def test_explained_is_one_line_of_ours(raised: Exception, kind: type[Exception]) -> None:
    with pytest.raises(kind) as caught, explained("x y"):
        raise raised
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is raised


def test_explained_leaves_out_no_error_of_boto() -> None:
    """botocore's errors have two roots, both caught; the two that have neither are about its own damaged data files."""
    kinds = [kind for kind in vars(boto).values() if isinstance(kind, type) and kind.__module__ == boto.__name__]
    caught = (boto.BotoCoreError, boto.ClientError, Warning)
    assert {kind.__name__ for kind in kinds if not issubclass(kind, caught)} == {
        "MissingServiceIdError",
        "UndefinedModelAttributeError",
    }


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure["names"][0])
def test_failure_is_an_error_and_a_line(failure: dict[str, Any]) -> None:
    assert issubclass(getattr(errors, failure["kind"]), errors.DeployError)
    line = failure["line"].format(doing="s3 head_bucket", code="x", text="y")
    assert line.startswith("AWS")
    classes = [name for name in failure["names"] if name.endswith("Error") and name != "ValidationError"]
    known = {*vars(boto), "ResponseParserError", "ValueError"}
    assert known.issuperset(classes)


@pytest.mark.parametrize("expired", [True, False])
def test_reach_asks_elsewhere_what_s3_refuses_without_a_word(aws_in_memory: Account, expired: bool) -> None:
    """S3 answers a HEAD with expired keys with 400 and no text."""

    class Mute(Aws):
        def call(self, service: str, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
            if operation != "head_bucket":
                return super().call(service, operation, parameters)
            with explained("s3 head_bucket"):
                answer = {
                    "Error": {"Code": "400", "Message": "Bad Request"},
                    "ResponseMetadata": {"HTTPStatusCode": 400},
                }
                raise boto.ClientError(answer, "HeadBucket")

    if expired:
        aws_in_memory.faults.plan("sts", "GetCallerIdentity", "expired")
    with pytest.raises(
        CredentialsError if expired else AwsError,
        match="have expired" if expired else r"head_bucket: Bad Request \(400\)",
    ):
        s3.bucket_region(Mute(region=REGION), "fruits")


def test_delete_bucket_deletes_more_than_a_thousand_objects(aws_in_memory: Account) -> None:
    client = aws_in_memory.behind("s3")
    client.create_bucket(Bucket="fruits")
    for number in range(1001):
        client.put_object(Bucket="fruits", Key=f"{number}")
    s3.delete_bucket(Aws(region=REGION), "fruits")
    assert client.list_buckets()["Buckets"] == []
    s3.delete_bucket(_Gone(region=REGION), "fruits")


class _Gone(Aws):
    """A bucket that vanishes between two calls."""

    def pages(self, service: str, operation: str, parameters: Mapping[str, Any], key: str) -> Any:
        return iter(())
