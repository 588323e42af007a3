"""The image in the account's registry: a tag that is there is left alone, since a tag names its content."""

import base64
from collections.abc import Callable

from orchard_deploy.aws import Aws
from orchard_deploy.errors import EngineError, RefusedError
from orchard_deploy.image.docker_engine import DockerEngine

_NO_REPOSITORY = "RepositoryNotFoundException"


def find_digest(aws: Aws, repository: str, tag: str) -> str | None:
    """The digest of the image with this tag, if the repository has it."""
    named = {"repositoryName": repository, "imageIds": [{"imageTag": tag}]}
    found = aws.find("ecr", "describe_images", named, "ImageNotFoundException", _NO_REPOSITORY)
    return str(found["imageDetails"][0]["imageDigest"]) if found else None


def push(aws: Aws, engine: DockerEngine, repository: str, tag: str, say: Callable[[str], None]) -> str:
    """Push an image unless it is there; its digest there. `RefusedError` where there is no such repository or image."""
    name = f"{repository}:{tag}"
    if aws.find("ecr", "describe_repositories", {"repositoryNames": [repository]}, _NO_REPOSITORY) is None:
        raise RefusedError(f"ECR repository {repository}: there is none in {aws.region}: `orchard-deploy up` makes it")
    if digest := find_digest(aws, repository, tag):
        say(f"{name} is there already")
        return digest
    if engine.find_image(name) is None:
        raise RefusedError(f"{name}: no such image here: make it with `orchard-deploy build`")
    data = aws.call("ecr", "get_authorization_token", {})["authorizationData"][0]
    user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
    remote = f"{data['proxyEndpoint'].partition('://')[2]}/{name}"
    for line in engine.push(name, remote, {"username": user, "password": password}):
        say(line)
    if digest := find_digest(aws, repository, tag):
        return digest
    raise EngineError(f"{name}: pushed, but ECR does not have it: push again")
