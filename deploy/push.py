"""Send an image to a registry, once: a tag that is there already is left alone, since a tag names its content."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from deploy.docker_engine import DockerEngine
from deploy.errors import EngineError, ImageError, RefusedError

if TYPE_CHECKING:
    from deploy.aws.session import Aws

# A layer's progress is told when this much more of it has gone.
_STEP = 200_000_000


def push_image(
    engine: DockerEngine, name: str, remote: str, say: Callable[[str], None], auth: dict[str, str] | None = None
) -> str:
    """Push the image `name` as `remote` (registry, repository, tag) unless the registry has that tag.

    Returns:
        `registry/repository@sha256:…`, what the registry has under the tag now.

    Raises:
        ImageError: there is no such image. EngineError: the registry refuses, or cannot be reached.
    """
    if engine.find_image(name) is None:
        raise ImageError(f"{name}: no such image here: make it with `orchard-deploy build`")
    repository = remote.rpartition(":")[0]
    if digest := engine.registry_digest(remote, auth):
        say(f"{remote} is there already")
        return f"{repository}@{digest}"
    engine.tag(name, remote)
    for line in progress(engine.push(remote, auth)):
        say(line)
    digest = engine.registry_digest(remote, auth)
    if digest is None:
        raise EngineError(f"{remote}: pushed, but the registry does not have it: push again")
    return f"{repository}@{digest}"


def push_to_ecr(aws: Aws, engine: DockerEngine, repository: str, tag: str, say: Callable[[str], None]) -> str:
    """Push an image of this engine to the account's registry, logged in with AWS' own credentials.

    They are kept nowhere.

    Returns:
        The digest that ECR has under the tag.

    Raises:
        RefusedError: the account has no such repository. ImageError, EngineError: see `push_image`.
    """
    from deploy.aws import ecr

    if ecr.find_repository(aws, repository) is None:
        raise RefusedError(f"ECR repository {repository}: there is none in {aws.region}: `orchard-deploy up` makes it")
    login = ecr.log_in(aws)
    pushed = push_image(engine, f"{repository}:{tag}", f"{login.host}/{repository}:{tag}", say, login.auth)
    digest = ecr.find_digest(aws, repository, tag)
    if digest is None or not pushed.endswith(digest):
        raise EngineError(
            f"{repository}:{tag}: pushed as {pushed.rpartition('@')[2]}, but ECR has {digest}: push again"
        )
    return digest


def progress(events: Iterable[dict[str, Any]]) -> Iterable[str]:
    """What is worth a line in the engine's stream of events: a large layer's steps, and each layer's end."""
    told: dict[str, int] = {}
    for event in events:
        layer, status, detail = event.get("id", ""), event.get("status", ""), event.get("progressDetail") or {}
        if status in ("Pushed", "Layer already exists"):
            yield f"layer {layer}: {status.lower()}"
        elif detail.get("current", 0) >= told.get(layer, 0) + _STEP:
            told[layer] = detail["current"]
            total = f" of {detail['total'] / 1e6:,.0f}" if detail.get("total") else ""
            yield f"layer {layer}: {detail['current'] / 1e6:,.0f}{total} MB"
