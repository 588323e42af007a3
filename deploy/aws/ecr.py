"""Questions to ECR."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field

from deploy.aws.session import Aws
from deploy.errors import AwsError
from deploy.observed import Repository


@dataclass(frozen=True)
class Login:
    """A registry's host and what the Docker engine logs in with."""

    host: str
    auth: dict[str, str] = field(repr=False)


def find_repository(aws: Aws, name: str) -> Repository | None:
    """The repository, if there is one."""
    try:
        found = aws.call("ecr", "describe_repositories", {"repositoryNames": [name]})["repositories"][0]
    except AwsError as error:
        if error.code == "RepositoryNotFoundException":
            return None
        raise
    tags = aws.call("ecr", "list_tags_for_resource", {"resourceArn": found["repositoryArn"]})["tags"]
    return Repository(
        tags={tag["Key"]: tag["Value"] for tag in tags},
        immutable=found["imageTagMutability"] == "IMMUTABLE",
        scans=found["imageScanningConfiguration"]["scanOnPush"],
        policy=_policy(aws, name),
    )


def _policy(aws: Aws, name: str) -> dict[str, object] | None:
    try:
        policy: dict[str, object] = json.loads(
            aws.call("ecr", "get_repository_policy", {"repositoryName": name})["policyText"]
        )
    except AwsError as error:
        if error.code == "RepositoryPolicyNotFoundException":
            return None
        raise
    return policy


def find_digest(aws: Aws, repository: str, tag: str) -> str | None:
    """The digest of the image with this tag, if the repository has it."""
    try:
        found = aws.call("ecr", "describe_images", {"repositoryName": repository, "imageIds": [{"imageTag": tag}]})
    except AwsError as error:
        if error.code in ("ImageNotFoundException", "RepositoryNotFoundException"):
            return None
        raise
    return str(found["imageDetails"][0]["imageDigest"])


def log_in(aws: Aws) -> Login:
    """A login for the account's registry, good for 12 hours."""
    data = aws.call("ecr", "get_authorization_token", {})["authorizationData"][0]
    user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
    return Login(str(data["proxyEndpoint"]).partition("://")[2], {"username": user, "password": password})
