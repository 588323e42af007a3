"""Send an image to a registry, once: a tag that is there already is left alone, since a tag names its content."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from orchard_deploy.aws import Aws
from orchard_deploy.errors import EngineError, ImageError, RefusedError
from orchard_deploy.image import ecr
from orchard_deploy.image.docker_engine import DockerEngine, Login

# A layer's progress is reported when this many more bytes of it are sent.
_STEP = 200_000_000


def push_image(engine: DockerEngine, name: str, remote: str, say: Callable[[str], None], auth: Login = None) -> str:
    """Push the image `name` as `remote` (registry, repository, tag) unless the registry has that tag.

    Returns `registry/repository@sha256:…`, what the registry has under the tag now.

    Raises:
        ImageError: there is no such image. EngineError: the registry refuses, or cannot be reached.
    """
    if engine.find_image(name) is None:
        raise ImageError(f"{name}: no such image here: make it with `orchard-deploy build`")
    if digest := engine.registry_digest(remote, auth):
        say(f"{remote} is there already")
    else:
        for line in progress(engine.push(name, remote, auth)):
            say(line)
        digest = engine.registry_digest(remote, auth)
    if digest is None:
        raise EngineError(f"{remote}: pushed, but the registry does not have it: push again")
    return f"{remote.rpartition(':')[0]}@{digest}"


def push_to_ecr(aws: Aws, engine: DockerEngine, repository: str, tag: str, say: Callable[[str], None]) -> str:
    """Push an image to the account's registry by a login of AWS, which is not kept; the digest that ECR has then.

    Raises:
        RefusedError: the account has no such repository. ImageError, EngineError: see `push_image`.
    """
    if not ecr.has_repository(aws, repository):
        raise RefusedError(f"ECR repository {repository}: there is none in {aws.region}: `orchard-deploy up` makes it")
    host, auth = ecr.log_in(aws)
    pushed = push_image(engine, f"{repository}:{tag}", f"{host}/{repository}:{tag}", say, auth)
    return pushed.rpartition("@")[2]


def progress(events: Iterable[dict[str, Any]]) -> Iterable[str]:
    """What is worth a line in the engine's stream of events: a large layer's steps, and each layer's end."""
    reported: dict[str, int] = {}
    for event in events:
        layer, status, detail = event.get("id", ""), event.get("status", ""), event.get("progressDetail") or {}
        sent, total = detail.get("current", 0), detail.get("total")
        if status in ("Pushed", "Layer already exists"):
            yield f"layer {layer}: {status.lower()}"
        elif sent >= reported.get(layer, 0) + _STEP:
            reported[layer] = sent
            yield f"layer {layer}: {sent / 1e6:,.0f}{f' of {total / 1e6:,.0f}' if total else ''} MB"
