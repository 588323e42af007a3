"""What AWS refuses and what goes wrong on the way: one line that says where, what and what next; never a traceback."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore import exceptions as boto

from deploy.__main__ import main
from deploy.aws import s3
from deploy.aws.session import Aws, explained
from deploy.errors import AwsError, CredentialsError, DeniedError, InvalidError, SpecError, UnavailableError
from deploy.rehearsal.stage import Rehearsal
from deploy.site import mask_accounts
from tests.aws.conftest import REGION, Theatre, write_tree


def said_by(tree: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """Exit code and standard error of a command."""
    code = main([words[0], "--spec", str(tree / "emr-serverless.json"), "--tree", str(tree), *words[1:]])
    return code, capsys.readouterr().err


@pytest.fixture
def stage(wire: Rehearsal) -> Rehearsal:
    """All of these are about HTTP."""
    return wire


@pytest.fixture(autouse=True)
def one_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")


@pytest.mark.parametrize(
    ("service", "operation", "kind", "line"),
    [
        (
            "emr-serverless",
            "ListApplications",
            "throttle",
            "too many calls for AWS, tried again and given up: call again in a minute",
        ),
        (
            "emr-serverless",
            "ListApplications",
            "5xx",
            "a fault on AWS's side, tried again and given up: call again later",
        ),
        ("emr-serverless", "ListApplications", "lost", "no answer (Connection was closed"),
        ("emr-serverless", "ListApplications", "expired", "the credentials have expired: log in again"),
        (
            "emr-serverless",
            "ListApplications",
            "denied",
            "not allowed: `orchard-deploy iam deployer` prints the policy that is needed",
        ),
        ("sts", "GetCallerIdentity", "expired", "AWS, sts get_caller_identity: the credentials have expired"),
        ("iam", "GetRole", "denied", "AWS, iam get_role: User is not authorized to perform this action: not allowed"),
        (
            "ecr",
            "DescribeRepositories",
            "throttle",
            "AWS, ecr describe_repositories: Rate exceeded (ThrottlingException)",
        ),
    ],
)
def test_each_fault_is_one_line(
    tree: Path, stage: Rehearsal, capsys: pytest.CaptureFixture[str], service: str, operation: str, kind: str, line: str
) -> None:
    stage.faults.plan(service, operation, kind, 1)
    code, err = said_by(tree, capsys, "status")
    assert code == 1
    assert err.startswith("orchard-deploy: error: AWS, ")
    assert line in err
    assert err.count("\n") == 1


def test_faults_that_pass_are_not_even_seen(
    tree: Path, stage: Rehearsal, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "4")
    for kind in ("throttle", "5xx", "lost"):
        stage.faults.plan("emr-serverless", "ListApplications", kind, 1)
    code, err = said_by(tree, capsys, "status")
    assert (code, err) == (0, "")
    assert [name for _, name in stage.faults.log].count("ListApplications") >= 4


def test_without_a_setting_of_the_users_a_call_is_tried_six_times(
    monkeypatch: pytest.MonkeyPatch, stage: Rehearsal
) -> None:
    monkeypatch.delenv("AWS_MAX_ATTEMPTS")
    assert Aws(region=REGION)._config.retries == {"mode": "standard", "total_max_attempts": 6}


def test_no_network_is_one_line(
    tree: Path, stage: Rehearsal, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    code, err = said_by(tree, capsys, "plan")
    assert code == 1
    assert "AWS, sts get_caller_identity: no answer (Could not connect" in err
    assert "check network, proxy and region" in err
    assert err.count("\n") == 1


def test_no_region_is_one_line(tree: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    for words in (("status",), ("plan", "--offline")):
        code, err = said_by(tree, capsys, *words)
        assert code == 2
        assert "AWS region: none is set: write `region` into the specification" in err


def test_no_credentials_is_one_line(
    tree: Path, stage: Rehearsal, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    code, err = said_by(tree, capsys, "status")
    assert code == 1
    assert "AWS credentials: Unable to locate credentials" in err
    assert "aws sso login" in err
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "half")
    code, err = said_by(tree, capsys, "status")
    assert "AWS credentials: Partial credentials found" in err


def test_an_unknown_profile_is_one_line(tree: Path, stage: Rehearsal, capsys: pytest.CaptureFixture[str]) -> None:
    code, err = said_by(tree, capsys, "status", "--profile", "nobody")
    assert code == 1
    assert "AWS credentials: The config profile (nobody) could not be found" in err


def test_the_specification_is_checked_before_anything_is_asked(
    theatre: Theatre, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = theatre.wire()
    spec = (tree / "emr-serverless.json").read_text().replace('"executors": 2', '"executors": 7')
    (tree / "emr-serverless.json").write_text(spec)
    code, err = said_by(tree, capsys, "up")
    assert code == 2
    assert "32 vCPU at once" in err
    assert stage.faults.log == []


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (boto.TokenRetrievalError(provider="sso", error_msg="expired"), CredentialsError),
        (boto.UnauthorizedSSOTokenError(), CredentialsError),
        (boto.NoRegionError(), SpecError),
        (boto.ReadTimeoutError(endpoint_url="x"), UnavailableError),
        (boto.ProxyConnectionError(proxy_url="x"), UnavailableError),
        (boto.SSLError(endpoint_url="x", error="certificate"), UnavailableError),
        (boto.ParamValidationError(report="bad"), InvalidError),
        (boto.ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "X"), DeniedError),
        (boto.ClientError({"Error": {"Code": "UnrecognizedClientException", "Message": "no"}}, "X"), CredentialsError),
        (boto.ClientError({"Error": {"Code": "Odd", "Message": "two\nlines"}}, "X"), AwsError),
        (boto.ClientError({}, "X"), AwsError),
    ],
)
def test_everything_that_boto_raises_becomes_an_error_of_ours(raised: Exception, kind: type[Exception]) -> None:
    with pytest.raises(kind) as caught, explained("x y"):
        raise raised
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is raised


def test_no_error_of_boto_is_left_out() -> None:
    """botocore's errors have two roots, both caught; the two that have neither are about its own damaged data files."""
    kinds = [kind for kind in vars(boto).values() if isinstance(kind, type) and kind.__module__ == boto.__name__]
    caught = (boto.BotoCoreError, boto.ClientError, Warning)
    assert {kind.__name__ for kind in kinds if not issubclass(kind, caught)} == {
        "MissingServiceIdError",
        "UndefinedModelAttributeError",
    }


@pytest.mark.parametrize("expired", [True, False])
def test_what_s3_refuses_without_a_word_is_asked_about_elsewhere(stage: Rehearsal, expired: bool) -> None:
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
        stage.faults.plan("sts", "GetCallerIdentity", "expired")
    with pytest.raises(
        CredentialsError if expired else AwsError,
        match="have expired" if expired else r"head_bucket: Bad Request \(400\)",
    ):
        s3.reach(Mute(region=REGION), "fruits")


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("bucket orchard-123456789012-us-east-1: taken", "bucket orchard-{account}-us-east-1: taken"),
        (
            "push 123456789012.dkr.ecr.us-east-1.amazonaws.com/orchard",
            "push {account}.dkr.ecr.us-east-1.amazonaws.com/orchard",
        ),
        ("bucket orchard-us-east-1-123456789012: taken", "bucket orchard-us-east-1-{account}: taken"),
        ("read s3://photos-123456789012/a", "read s3://photos-{account}/a"),
        ("2026-123456789012", "2026-{account}"),
        ("emr-7.1.10-123456789012 stays", "emr-7.1.10-123456789012 stays"),
        (
            "emr-7.13.0-123456789012 stays, as does sha256:123456789012345",
            "emr-7.13.0-123456789012 stays, as does sha256:123456789012345",
        ),
    ],
)
def test_errors_show_no_account_and_leave_tags_as_they_are(text: str, masked: str) -> None:
    assert mask_accounts(text) == masked


def test_an_account_that_is_known_is_not_shown_wherever_its_number_stands(
    tmp_path: Path, stage: Rehearsal, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = write_tree(tmp_path / "other", bucket="photos-1.0-{account}")
    stage.faults.plan("s3", "HEAD", "denied", 1)
    code, err = said_by(tree, capsys, "up")
    assert code == 1
    assert "bucket photos-1.0-{account}: it is someone else's" in err


@pytest.mark.parametrize("amount", ["nan", "inf", "-1"])
def test_a_budget_that_compares_with_nothing_is_refused(tree: Path, amount: str) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["submit", "--spec", str(tree / "emr-serverless.json"), f"--budget={amount}"])
    assert raised.value.code == 2
