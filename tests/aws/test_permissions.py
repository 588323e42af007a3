"""What the launchers call, against what the deployer's policy allows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from deploy.aws import ecr, s3
from deploy.aws.session import Aws
from deploy.choose import choose_run
from deploy.ensure import down, up
from deploy.iam import deployer_policy
from deploy.status import status_facts
from deploy.submit import Wanted, submit
from deploy.watch import Watch
from tests.aws.conftest import LONG_JOB, REGION, Theatre, behind, context_of
from tests.aws.memory.stage import MemoryStage

S3_ACTIONS = {
    "head_bucket": "ListBucket",
    "list_objects_v2": "ListBucket",
    "get_public_access_block": "GetBucketPublicAccessBlock",
    "put_public_access_block": "PutBucketPublicAccessBlock",
    "delete_objects": "DeleteObject",
}


class Watching(Aws):
    """The door, noting the permission that each call needs."""

    def __init__(self) -> None:
        super().__init__(region=REGION)
        self.needed: set[str] = set()

    def call(self, service: str, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        self._note(service, operation)
        return super().call(service, operation, parameters)

    def pages(self, service: str, operation: str, parameters: Mapping[str, Any], key: str) -> Iterator[Any]:
        self._note(service, operation)
        return super().pages(service, operation, parameters, key)

    def _note(self, service: str, operation: str) -> None:
        name = S3_ACTIONS.get(operation) or "".join(part.capitalize() for part in operation.split("_"))
        if service != "sts":  # anyone may ask who he is
            self.needed.add(f"{service}:{name}")


def test_the_deployers_policy_allows_every_call_and_hardly_more(theatre: Theatre, tree: Path) -> None:
    stage = theatre.open(LONG_JOB)
    aws = Watching()
    here, there_ = context_of(tree, aws=aws), context_of(tree, aws=aws, target="eks")
    up(here)
    first, second = submit(here, Wanted()), submit(there_, Wanted())
    s3.write(aws, here.site.code.bucket, "code/x.py", b"x")
    s3.read(aws, here.site.output.bucket, "features/report.json")
    list(s3.labels(aws, here.site.input))
    status_facts(here)
    choose_run(there_, None)
    Watch(here, first, patience=0).cancel()
    Watch(there_, second, patience=0).cancel()
    shrunk = stage.serverless.applications[first.place]
    stage.serverless.applications[first.place] = replace(
        shrunk, settings={**shrunk.settings, "releaseLabel": "emr-7.1.0"}
    )
    update_trust(stage)
    loosen_repository(stage)
    up(context_of(tree, aws=aws, tags={"project": "pears"}))
    ecr.log_in(aws)
    down(here, force=True, with_data=True)
    allowed = {action for statement in deployer_policy(here.site)["Statement"] for action in statement["Action"]}
    assert aws.needed <= allowed
    pushing = {
        "BatchCheckLayerAvailability",
        "BatchGetImage",
        "CompleteLayerUpload",
        "GetDownloadUrlForLayer",
        "InitiateLayerUpload",
    }
    # Done by the engine's push, or checked by AWS beside another call: tags of runs, the first start, roles handed
    # over.
    by_others = {
        *(f"ecr:{name}" for name in {*pushing, "PutImage", "UploadLayerPart"}),
        "emr-containers:TagResource",
        *(f"iam:{name}" for name in ("PassRole", "CreateServiceLinkedRole")),
        "emr-serverless:StartApplication",
    }
    assert allowed - aws.needed == by_others


def loosen_repository(stage: MemoryStage) -> None:
    images = behind(stage, "ecr")
    images.put_image_tag_mutability(repositoryName="orchard", imageTagMutability="MUTABLE")
    images.put_image_scanning_configuration(repositoryName="orchard", imageScanningConfiguration={"scanOnPush": False})


def update_trust(stage: MemoryStage) -> None:
    iam = behind(stage, "iam")
    trust = iam.get_role(RoleName="orchard-job-us-east-1")["Role"]["AssumeRolePolicyDocument"]
    trust["Statement"][0]["Sid"] = "Changed"
    iam.update_assume_role_policy(RoleName="orchard-job-us-east-1", PolicyDocument=json.dumps(trust))
