"""The exact input of the call that starts a run, on EMR Serverless and EMR on EKS alike. Pure.

The image is named by its digest, not by its tag. A tag is resolved when the application starts (releases up to 7.13) or
when the run is submitted (later ones), so what ran depends on the release and on who pushed when; a digest is the same
thing everywhere. The tag, a hash of what was baked, stays in the run's tags.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from orchard_deploy import emr
from orchard_deploy.errors import SpecError
from orchard_deploy.job_commands import to_words
from orchard_deploy.runs.spark import spark_properties
from orchard_deploy.site import Site
from orchard_deploy.spec import capacity
from orchard_deploy.targets import Target

Payload = dict[str, Any]


def start_job_run(
    site: Site,
    target: Target,
    *,
    outputs: Mapping[str, str],
    tag: str,
    digest: str | None,
    extra: tuple[str, ...] = (),
    photos: int | None = None,
) -> Payload:
    """The input of StartJobRun, but for the client token, and for the application as long as there is none.

    The name carries a hash of all that the run does: two runs of one name would write the same output. The image has no
    `digest` as long as nobody has pushed it; `photos` are those of the input, if they were counted. `SpecError` for
    `extra` arguments of the job that cannot work.
    """
    spec, place = site.spec, emr.place_of_runs(site, target, outputs)
    image = f"{site.registry}/{spec.repository}" + (f"@{digest}" if digest else f":{tag}")
    named = {target.image_property: image} if target.image_property else {}
    inline, defaults = _split({**spark_properties(spec, target), **named})
    submit = {
        "entryPoint": spec.entry_point,
        "entryPointArguments": job_arguments(site, extra),
        "sparkSubmitParameters": inline,
    }
    # An application has its release, and a scheduler that ends runs.
    of_application = {"executionTimeoutMinutes": spec.timeout_minutes, "mode": "BATCH"}
    tags = {**site.tags, emr.IMAGE_TAG: tag, **({emr.DIGEST_TAG: digest} if digest else {})}
    request = {
        **({target.place_key: place} if place else {}),
        "executionRoleArn": site.role_arn(on_eks=not target.has_application),
        "jobDriver": {target.driver_key: submit},
        "configurationOverrides": _overrides(site, defaults),
        target.retry_key: {"maxAttempts": spec.max_attempts},
        "tags": tags,
        **(of_application if target.has_application else {"releaseLabel": f"{spec.release_label}-latest"}),
    }
    counted = {} if photos is None else {emr.PHOTOS_TAG: str(photos)}
    return {**request, "name": f"{site.spec.name}-{hash_of(request)[:12]}", "tags": {**tags, **counted}}


def hash_of(content: object) -> str:
    """SHA-256 of something as JSON, in hex."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def resource_quota(site: Site) -> Payload:
    """A Kubernetes ResourceQuota that holds a namespace to the cap, for `kubectl apply -f`.

    EMR on EKS has no maximum capacity of its own. One pod more, small, is the one that submits.
    """
    most, pods = capacity(site.spec), str(site.spec.executors + 2)
    hard = {"pods": pods, "requests.cpu": str(most.cpu + 1), "requests.memory": f"{most.memory + 2}Gi"}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": site.spec.name}, "spec": {"hard": hard}}


def job_arguments(site: Site, extra: tuple[str, ...]) -> list[str]:
    """The arguments of the job's main file; `SpecError` for one that names a master, or what its role may not read.

    With a master of its own the run would use none of its executors.
    """
    options = site.job(*extra)
    if (master := getattr(options, "master", None)) is not None:
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
    """The submit parameters, which nothing overrides, and what has blanks or quotes: no form of that is documented."""
    apart = {name: value for name, value in sorted(properties.items()) if re.search(r"[\s'\"\\]", value)}
    return " ".join(f"--conf {name}={properties[name]}" for name in sorted(properties) if name not in apart), apart
