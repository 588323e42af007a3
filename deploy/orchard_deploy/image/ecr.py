"""Questions to ECR."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchard_deploy.aws import Aws

_NO_REPOSITORY = "RepositoryNotFoundException"


def has_repository(aws: Aws, name: str) -> bool:
    """Whether there is such a repository."""
    return aws.find("ecr", "describe_repositories", {"repositoryNames": [name]}, _NO_REPOSITORY) is not None


def find_digest(aws: Aws, repository: str, tag: str) -> str | None:
    """The digest of the image with this tag, if the repository has it."""
    named = {"repositoryName": repository, "imageIds": [{"imageTag": tag}]}
    found = aws.find("ecr", "describe_images", named, "ImageNotFoundException", _NO_REPOSITORY)
    return str(found["imageDetails"][0]["imageDigest"]) if found else None


def log_in(aws: Aws) -> tuple[str, dict[str, str]]:
    """The account's registry, its host, and a login for it, good for 12 hours."""
    data = aws.call("ecr", "get_authorization_token", {})["authorizationData"][0]
    user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
    return str(data["proxyEndpoint"]).partition("://")[2], {"username": user, "password": password}
