"""Runs, on EMR Serverless and EMR on EKS alike, and applications. What tells the services apart is in `Target`."""

import re
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from orchard_deploy.aws import Aws
from orchard_deploy.context import Context
from orchard_deploy.errors import AwsError
from orchard_deploy.site import Site
from orchard_deploy.targets import FINAL, SERVERLESS, Target

# Tags of a run: the tag and digest of its image at submission, and the photos that it took of the input then.
IMAGE_TAG, DIGEST_TAG, PHOTOS_TAG = "orchard:image", "orchard:digest", "orchard:photos"
# States of an application that pass by themselves.
PASSING = ("CREATING", "STARTING", "STOPPING")


@dataclass(frozen=True, kw_only=True)
class Utilization:
    """vCPU-hours, GB-hours of memory and GB-hours of disk beyond the free 20 GB a worker."""

    cpu: float
    memory: float
    storage: float


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run as AWS describes it, in its application or virtual cluster: there is no other record of it.

    Times are seconds since 1970. The `digest` of its image and what is `billed` come once the service reports them; a
    listing of EMR Serverless does not have the tags.
    """

    id: str
    target: Target
    place: str
    name: str
    state: str
    details: str = ""
    created: float | None = None
    started: float | None = None
    ended: float | None = None
    digest: str | None = None
    billed: Utilization | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def named(self) -> dict[str, str]:
        """What calls name it by."""
        return {self.target.place_key: self.place, self.target.run_key: self.id}

    @property
    def phase(self) -> str:
        """How far it is."""
        return self.target.phases[self.state]

    @property
    def over(self) -> bool:
        """Whether it has ended; one that is being cancelled has not, and costs."""
        return self.phase in FINAL

    @property
    def photos(self) -> int | None:
        """Photos that it took of the input at submission, if they were counted."""
        counted = self.tags.get(PHOTOS_TAG, "")
        return int(counted) if counted.isdecimal() else None

    @property
    def wrong_image(self) -> str | None:
        """What to say of a run of another image than was submitted; None as long as that is not known."""
        asked = self.tags.get(DIGEST_TAG)
        if not (self.digest and asked) or self.digest == asked:
            return None
        return (
            f"run {self.id}: it ran image {self.digest}, not {asked} ({self.tags.get(IMAGE_TAG)}): someone changed the "
            "application meanwhile: `orchard-deploy up` sets it right, then submit again"
        )

    def facts(self, mask: Callable[[str], str]) -> dict[str, Any]:
        """The same as plain data, for JSON, with the account's number taken out of AWS's own words."""
        return {
            "run": self.id,
            "target": self.target.name,
            "place": self.place,
            "state": self.state,
            "details": mask(self.details),
            "submitted": self.created,
            "tag": self.tags.get(IMAGE_TAG),
            "digest": self.tags.get(DIGEST_TAG),
            "ran": self.digest,
            "photos": self.photos,
        }


def place_of_runs(site: Site, target: Target, outputs: Mapping[str, str]) -> str:
    """Id of the stack's application, or of the specification's virtual cluster; empty where there is none."""
    cluster = site.spec.eks.virtual_cluster if site.spec.eks else ""
    return outputs.get("Application", "") if target.has_application else cluster


def list_runs(context: Context, target: Target, outputs: Mapping[str, str], *, active: bool = False) -> list[Run]:
    """The specification's runs, by its stack's `outputs`, oldest first; if `active`, only those that are not over.

    An application is ours as a whole; a virtual cluster has the runs of others, too. There are none where it is gone.
    """
    place = place_of_runs(context.site, target, outputs)
    asked = {target.place_key: place, **({"states": target.active_states()} if active else {})}
    try:
        listed = list(context.aws.pages(target.service, "list_job_runs", asked, "jobRuns")) if place else []
    except AwsError as error:
        if error.code != "ResourceNotFoundException":
            raise
        return []
    found = sorted((_run(target, place, each) for each in listed), key=lambda run: run.created or 0.0)
    return [run for run in found if target.has_application or context.site.owns(run.tags)]


def get_run(aws: Aws, run: Run) -> Run:
    """A run as it is now, with what a listing does not have."""
    answer = aws.call(run.target.service, run.target.describe, run.named)
    return _run(run.target, run.place, answer["jobRun"])


def start_run(aws: Aws, target: Target, request: Mapping[str, Any]) -> Run:
    """Start a run."""
    answer = aws.call(target.service, "start_job_run", request)
    return _run(target, request[target.place_key], {**request, **answer, "state": "SUBMITTED"})


def cancel_run(aws: Aws, run: Run) -> None:
    """Request the end of a run; it continues, and costs, until its state is final."""
    aws.call(run.target.service, "cancel_job_run", run.named)


def application_state(aws: Aws, application: str) -> str:
    """The state of an application, TERMINATED if it is gone."""
    named = {"applicationId": application}
    found = aws.find(SERVERLESS.service, "get_application", named, "ResourceNotFoundException")
    return str(found["application"]["state"]) if found else "TERMINATED"


def stop_application(context: Context, application: str) -> None:
    """Bring an application without runs to rest, unless it is or is gone; `WaitError` if it does not stop in time."""
    state = application_state(context.aws, application)
    if state in PASSING:
        state = settle(context, application)
    if state == "STARTED":
        context.say(f"stop application {application}")
        context.aws.call(SERVERLESS.service, "stop_application", {"applicationId": application})
        settle(context, application, (*PASSING, "STARTED"))


def settle(context: Context, application: str, passing: Container[str] = PASSING) -> str:
    """Wait until an application is in a state that does not pass by itself, half a minute as a rule; that state."""
    what = f"application {application} to be at rest, by `orchard-deploy status`"
    ask = partial(application_state, context.aws, application)
    return context.wait(ask, lambda state: state not in passing, what=what, seconds=600.0)


def _run(target: Target, place: str, found: Mapping[str, Any]) -> Run:
    return Run(
        id=found.get(target.run_key) or found["id"],
        target=target,
        place=place,
        name=found.get("name", ""),
        state=found["state"],
        details=": ".join(text for key in ("failureReason", "stateDetails") if (text := found.get(key) or "-") != "-"),
        **{name: found[f"{name}At"].timestamp() for name in ("created", "started", "ended") if found.get(f"{name}At")},
        digest=_digest(found),
        billed=_utilization(found.get("billedResourceUtilization")),
        tags=found.get("tags", {}),
    )


def _digest(found: Mapping[str, Any]) -> str | None:
    """Of the image, as resolved or else as named, on EKS in the parameters, where the service resolves nothing."""
    image = found.get("imageConfiguration", {})
    words = found.get("jobDriver", {}).get("sparkSubmitJobDriver", {}).get("sparkSubmitParameters", "")
    named = re.search(r"image=\S+@(sha256:[0-9a-f]{64})(?:\s|$)", f"{words} image={image.get('imageUri')}")
    return image.get("resolvedImageDigest") or (named[1] if named else None)


def _utilization(found: Mapping[str, float] | None) -> Utilization | None:
    """What the service reports, if anything yet: all zeroes are no bill."""
    names = {"cpu": "vCPUHour", "memory": "memoryGBHour", "storage": "storageGBHour"}
    used = {field: (found or {}).get(name, 0.0) for field, name in names.items()}
    return Utilization(**used) if any(used.values()) else None
