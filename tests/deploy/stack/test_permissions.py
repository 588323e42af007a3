"""What plan, up, submit and down call, against the policy for those who deploy in docs/aws.md."""

from __future__ import annotations

import json
import re
from typing import Any

from orchard_deploy.runs.submit import submit
from orchard_deploy.runs.watch import Watch
from orchard_deploy.stack.lifecycle import down, plan_up, up

from tests.deploy.cloud import Cloud, Interrupted
from tests.deploy.conftest import ROOT

S3_ACTIONS = {
    "HeadBucket": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "GetBucketTagging": "GetBucketTagging",
    "DeleteObjects": "DeleteObject",
}
# Done by `push` and the engine, or checked by AWS beside another call.
PUSH = {
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    "ecr:CompleteLayerUpload",
    "ecr:DescribeRepositories",
    "ecr:GetDownloadUrlForLayer",
    "ecr:InitiateLayerUpload",
    "ecr:PutImage",
    "ecr:UploadLayerPart",
}
BESIDE = {
    "cloudformation:TagResource",
    "emr-serverless:StartApplication",
    "emr-serverless:TagResource",
    "iam:CreateServiceLinkedRole",
    "iam:PassRole",
}
# Of `logs` and `cost`.
OTHERS = {"s3:GetObject"}
# Done by CloudFormation with the caller's rights.
MAKING = re.compile(
    "(ecr|iam|s3|emr-serverless):(Batch|Create|Delete|Get|List|Put|Set|Tag|Untag|Update).*(Application|Bucket|Image|Images|"
    "Configuration|Mutability|Policy|Policies|Repository|Resource|Role|Description|Block|Tagging|Encryption.*)"
)


def policy() -> list[dict[str, Any]]:
    text = (ROOT / "docs" / "aws.md").read_text(encoding="utf-8")
    (found,) = re.findall(r"```json\n(\{\n  \"Version\".*?)```", text, re.DOTALL)
    statements: list[dict[str, Any]] = json.loads(found)["Statement"]
    assert len(json.dumps(statements).replace(" ", "")) < 6144  # what a managed policy holds
    return statements


def allowed() -> set[str]:
    listed = [statement["Action"] for statement in policy()]
    return {action for each in listed for action in ([each] if isinstance(each, str) else each)}


def test_the_policy_names_the_resources_of_each_right() -> None:
    everywhere = [statement["Sid"] for statement in policy() if statement["Resource"] == "*"]
    assert everywhere == ["LogInToRegistry"]  # ECR's login knows no resources
    assert not [action for action in allowed() if "*" in action]
    by_sid = {statement["Sid"]: statement for statement in policy()}
    assert by_sid["RunJobs"]["Condition"] == {"StringEquals": {"aws:ResourceTag/orchard:application": "orchard"}}
    assert by_sid["MakeApplication"]["Condition"] == {"StringEquals": {"aws:RequestTag/orchard:application": "orchard"}}
    assert by_sid["HandOverJobRole"]["Condition"] == {
        "StringEquals": {"iam:PassedToService": "emr-serverless.amazonaws.com"}
    }


def test_the_policy_allows_every_call_and_hardly_more(cloud: Cloud) -> None:
    aws = Interrupted(cloud, lambda number, over, operation: None)
    context = cloud.context(aws=aws)
    up(context)
    up(context)
    plan_up(cloud.context(aws=aws, executors=1))
    up(cloud.context(aws=aws, executors=1, tags={}))
    run = submit(cloud.context(aws=aws, executors=1), photos=1)
    Watch(context, run).cancel()
    aws.call("ecr", "get_authorization_token", {})
    cloud.put("photos/Apple/1.jpg")
    down(context, with_data=True)
    calls = {action for action in aws.actions if not action.startswith(("sts:", "emr-containers:"))}
    made = {f"s3:{S3_ACTIONS.get(action[3:], action[3:])}" if action.startswith("s3:") else action for action in calls}
    assert made <= allowed()
    rest = allowed() - made - PUSH - BESIDE - OTHERS
    assert [action for action in sorted(rest) if not MAKING.fullmatch(action)] == []
