"""The exact input of the call that starts a run, on EMR Serverless and EMR on EKS alike. Pure.

The image is named by its digest, not by its tag. A tag is resolved when the application starts (releases up to 7.13) or
when the run is submitted (later ones), so what ran depends on the release and on who pushed when; a digest is the same
thing everywhere. The tag, a hash of what was baked, stays in the run's tags and record.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from orchard_deploy.capacity import capacity
from orchard_deploy.errors import SpecError
from orchard_deploy.job_commands import to_words
from orchard_deploy.runs.spark import spark_properties
from orchard_deploy.site import Site
from orchard_deploy.targets import Target

Payload = dict[str, Any]


def image_uri(site: Site, tag: str, digest: str | None) -> str:
    """The image by its digest, or by its tag as long as nobody has pushed it."""
    return f"{site.registry}/{site.spec.repository}" + (f"@{digest}" if digest else f":{tag}")


def start_job_run(
    site: Site, target: Target, *, place: str, role: str, image: str, tag: str, extra: tuple[str, ...] = ()
) -> Payload:
    """The input of StartJobRun, but for what tells one call from another: `identified` adds that.

    Args:
        place: id of the application or virtual cluster.
        role: ARN of the role that the run takes.
        image, tag: its URI, for the service whose runs name one, and its tag, for the run's own tags.
        extra: further arguments of the job.

    Raises:
        SpecError: a property or an argument of the specification cannot work.
    """
    spec = site.spec
    named = {target.image_property: image} if target.image_property else {}
    inline, defaults = _split({**spark_properties(spec, target), **named})
    submit = {
        "entryPoint": spec.entry_point,
        "entryPointArguments": job_arguments(site, extra),
        "sparkSubmitParameters": inline,
    }
    # An application has its release, and a scheduler that ends runs.
    of_application = {"executionTimeoutMinutes": spec.timeout_minutes, "mode": "BATCH"}
    service = of_application if target.needs_application else {"releaseLabel": f"{spec.release_label}-latest"}
    return {
        target.place_key: place,
        "executionRoleArn": role,
        "jobDriver": {target.driver_key: submit},
        "configurationOverrides": _overrides(site, defaults),
        target.retry_key: {"maxAttempts": spec.max_attempts},
        "tags": {**site.tags, "orchard:image": tag},
        **service,
    }


def identified(site: Site, request: Payload, token: str) -> Payload:
    """The input with a token, for which the service starts one run only, and with the name that follows from it."""
    return {**request, "clientToken": token, "name": run_name(site, token)}


def run_name(site: Site, token: str) -> str:
    """The name of a run; it carries the start of its token, so that a run whose id was never recorded is found."""
    return f"{site.slug}-{token[:12]}".rstrip("-")


def cli_input(site: Site, target: Target, *, tag: str, digest: str | None, application: str | None) -> Payload:
    """The input of StartJobRun for `aws … --cli-input-json`.

    The client token is left to the AWS command line, which makes one a call; so is the application's id as long as
    there is none.
    """
    place, role = application or "", site.role_arn
    if not target.needs_application:
        place, role = eks_cluster(site), site.eks_role_arn
    payload = start_job_run(site, target, place=place, role=role, image=image_uri(site, tag, digest), tag=tag)
    payload["name"] = run_name(site, "")
    return {name: value for name, value in payload.items() if value != "" or name != target.place_key}


def eks_cluster(site: Site) -> str:
    """Id of the specification's virtual cluster; empty where it has none."""
    return site.spec.eks.virtual_cluster if site.spec.eks else ""


def resource_quota(site: Site) -> Payload:
    """A Kubernetes ResourceQuota that holds a namespace to the cap, for `kubectl apply -f`.

    EMR on EKS has no maximum capacity of its own. One pod more, small, is the one that submits.
    """
    most, pods = capacity(site.spec), str(site.spec.executors + 2)
    hard = {"pods": pods, "requests.cpu": str(most.cpu + 1), "requests.memory": f"{most.memory + 2}Gi"}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": site.slug}, "spec": {"hard": hard}}


def job_arguments(site: Site, extra: tuple[str, ...]) -> list[str]:
    """The arguments of the job's main file.

    Raises:
        SpecError: one of them cannot work; names a Spark master: with its own the run would use none of its executors;
            or names what the job's role may not read.
    """
    options = site.job(*extra)
    master = getattr(options, "master", None)
    if master is not None:
        raise SpecError(
            f"arguments of the job: --master {master}: the service sets it: remove it from `arguments` in the "
            "specification or from the command line"
        )
    for name, place in site.further(options):
        if not any(known.holds(place) for known in (*site.reads.values(), site.output)):
            raise SpecError(
                f"{name}: {place}: the job's role may not read it: name it in `arguments` of the specification, then "
                "call `orchard-deploy up`"
            )
    return to_words(site.spec.command, options)


def _overrides(site: Site, defaults: Mapping[str, str]) -> Payload:
    found: Payload = {}
    if defaults:
        found["applicationConfiguration"] = [{"classification": "spark-defaults", "properties": defaults}]
    if site.logs:
        found["monitoringConfiguration"] = {"s3MonitoringConfiguration": {"logUri": f"{site.logs}/"}}
    return found


def _split(properties: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """The submit parameters, which nothing overrides, and apart from them what has blanks or quotes.

    How those would be quoted is not documented.
    """
    apart = {name: value for name, value in sorted(properties.items()) if re.search(r"[\s'\"\\]", value)}
    return " ".join(f"--conf {name}={properties[name]}" for name in sorted(properties) if name not in apart), apart
