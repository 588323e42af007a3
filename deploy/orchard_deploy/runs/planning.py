"""The run that a specification and its stack make, or why there is none. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from orchard_deploy.capacity import check_workers
from orchard_deploy.errors import ImageError, RefusedError
from orchard_deploy.runs.payloads import Payload, eks_cluster, image_uri, start_job_run
from orchard_deploy.runs.record import Submission
from orchard_deploy.site import Site
from orchard_deploy.targets import Target


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a submission asks for beside the specification.

    Attributes:
        extra: further arguments of the job.
        photos: that the run takes of the input, if they were counted.
    """

    extra: tuple[str, ...] = ()
    photos: int | None = None


@dataclass(frozen=True, kw_only=True)
class PlannedRun:
    """A run that may be started.

    Attributes:
        request: the input of StartJobRun, but for token and name.
        entry: what is recorded of it, but for token and time.
    """

    request: Payload
    entry: Submission


def plan_run(
    site: Site, target: Target, wanted: Wanted, *, outputs: Mapping[str, str], tag: str, digest: str | None
) -> PlannedRun:
    """The run that a specification and a stack make. Pure.

    Args:
        tag, digest: of the source tree's image; the digest is None where the repository does not have it.

    Raises:
        ImageError: the image is missing. RefusedError: no photos, or an application with another image. SpecError:
            workers beyond the account's quota, arguments or properties that cannot work.
    """
    check_workers(site.spec)
    if digest is None:
        raise ImageError(
            f"{site.spec.repository}:{tag}: ECR does not have it: `orchard-deploy build`, `push`, then `up`"
        )
    if wanted.photos == 0 and site.command.photos:  # its run would be paid for, too
        raise RefusedError(
            f"input {site.account.mask(str(site.input))}: no photos in it: copy them there (aws s3 sync)"
        )
    place, role = eks_cluster(site), site.eks_role_arn
    if target.needs_application:
        place, role = _application(site, outputs, tag, digest), outputs["RoleArn"]
    image = image_uri(site, tag, digest)
    request = start_job_run(site, target, place=place, role=role, image=image, tag=tag, extra=wanted.extra)
    asked = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()[:16]
    entry = Submission(request=asked, target=target.name, place=place, tag=tag, digest=digest, photos=wanted.photos)
    return PlannedRun(request=request, entry=entry)


def _application(site: Site, outputs: Mapping[str, str], tag: str, digest: str) -> str:
    if outputs.get("Image") != f"{outputs['RepositoryUri']}@{digest}":
        raise RefusedError(
            f"stack {site.slug}: its application does not have image {site.spec.repository}:{tag} yet: "
            "`orchard-deploy up` gives it"
        )
    return outputs["Application"]
