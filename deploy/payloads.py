"""The exact inputs of every AWS call that makes or changes something, from the specification. Pure.

The image is named by its digest, not by its tag. A tag is resolved when the application starts (releases up to 7.13) or
when the run is submitted (later ones), so what ran depends on the release and on who pushed when; a digest is the same
thing everywhere, and a changed image shows as a changed application. The tag, a hash of what was baked, stays in the
run's tags and record.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from deploy.errors import SpecError
from deploy.iam import JOB_POLICY, job_policy, job_trust, repository_policy
from deploy.job_commands import to_words
from deploy.site import S3Place, Site
from deploy.spark import spark_properties
from deploy.targets import EKS, Target
from deploy.workers import capacity

Payload = dict[str, Any]
# Runs beyond the first wait in the application's queue: the cap is per run, and this makes it hold for all of them
# together.
CONCURRENT_RUNS = 1
# Minutes that a run may wait in the queue; 15 to 720.
QUEUE_MINUTES = 360


def create_repository(site: Site) -> Payload:
    """Input of ECR's CreateRepository: immutable tags, scanned on push."""
    return {
        "repositoryName": site.spec.repository,
        "imageTagMutability": "IMMUTABLE",
        "imageScanningConfiguration": {"scanOnPush": True},
        "tags": _tag_list(site.tags),
    }


def tag_repository(site: Site) -> Payload:
    """Input of ECR's TagResource."""
    return {"resourceArn": site.repository_arn, "tags": _tag_list(site.tags)}


def set_repository_policy(site: Site, present: Mapping[str, Any] | None = None) -> Payload:
    """The service's statement, and those that others have put into the policy."""
    policy = repository_policy(site)
    own = {statement["Sid"] for statement in policy["Statement"]}
    kept = [statement for statement in (present or {}).get("Statement", ()) if statement.get("Sid") not in own]
    return {
        "repositoryName": site.spec.repository,
        "policyText": json.dumps({**policy, "Statement": [*kept, *policy["Statement"]]}),
    }


def put_image_tag_mutability(site: Site) -> Payload:
    """Input of ECR's PutImageTagMutability."""
    return {"repositoryName": site.spec.repository, "imageTagMutability": "IMMUTABLE"}


def put_image_scanning_configuration(site: Site) -> Payload:
    """Input of ECR's PutImageScanningConfiguration."""
    return {"repositoryName": site.spec.repository, "imageScanningConfiguration": {"scanOnPush": True}}


def create_bucket(site: Site) -> Payload:
    """Input of S3's CreateBucket."""
    # S3 refuses its first region by name.
    here = (
        {}
        if site.account.region == "us-east-1"
        else {"CreateBucketConfiguration": {"LocationConstraint": site.account.region}}
    )
    return {"Bucket": site.bucket, **here}


def put_bucket_tagging(site: Site, present: Mapping[str, str] | None = None) -> Payload:
    """Ours, and those that others have put there: S3 replaces them all."""
    return {"Bucket": site.bucket, "Tagging": {"TagSet": _tag_list({**(present or {}), **site.tags})}}


def put_public_access_block(site: Site) -> Payload:
    """Input of S3's PutPublicAccessBlock: nothing public."""
    names = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    return {"Bucket": site.bucket, "PublicAccessBlockConfiguration": dict.fromkeys(names, True)}


def create_role(site: Site) -> Payload:
    """Input of IAM's CreateRole for the job's role."""
    return {
        "RoleName": site.role,
        "AssumeRolePolicyDocument": json.dumps(job_trust(site)),
        "Description": f"Runs of {site.spec.name} on EMR Serverless",
        "Tags": _tag_list(site.tags),
    }


def tag_role(site: Site) -> Payload:
    """Input of IAM's TagRole."""
    return {"RoleName": site.role, "Tags": _tag_list(site.tags)}


def update_role_trust(site: Site) -> Payload:
    """Input of IAM's UpdateAssumeRolePolicy."""
    return {"RoleName": site.role, "PolicyDocument": json.dumps(job_trust(site))}


def put_role_policy(site: Site) -> Payload:
    """Input of IAM's PutRolePolicy."""
    return {"RoleName": site.role, "PolicyName": JOB_POLICY, "PolicyDocument": json.dumps(job_policy(site))}


def image_uri(site: Site, tag: str, digest: str | None) -> str:
    """The image by its digest, or by its tag as long as nobody has pushed it."""
    return f"{site.registry}/{site.spec.repository}" + (f"@{digest}" if digest else f":{tag}")


def application_settings(site: Site, image: str) -> Payload:
    """What an application is to be like, in the words of both CreateApplication and UpdateApplication."""
    spec, most = site.spec, capacity(site.spec)
    return {
        "releaseLabel": spec.release_label,
        "architecture": spec.architecture,
        "imageConfiguration": {"imageUri": image},
        "maximumCapacity": {"cpu": f"{most.cpu}vCPU", "memory": f"{most.memory}GB", "disk": f"{most.disk}GB"},
        "schedulerConfiguration": {"maxConcurrentRuns": CONCURRENT_RUNS, "queueTimeoutMinutes": QUEUE_MINUTES},
        "autoStartConfiguration": {"enabled": True},
        "autoStopConfiguration": {"enabled": True, "idleTimeoutMinutes": spec.auto_stop_minutes},
    }


def create_application(site: Site, image: str, *, token: str) -> Payload:
    """Input of EMR Serverless' CreateApplication."""
    return {
        "name": site.spec.name,
        "type": "SPARK",
        "clientToken": token,
        "tags": site.tags,
        **application_settings(site, image),
    }


def update_application(site: Site, image: str, *, application: str, token: str) -> Payload:
    """Input of EMR Serverless' UpdateApplication."""
    return {"applicationId": application, "clientToken": token, **application_settings(site, image)}


def tag_application(site: Site, application: str) -> Payload:
    """All of the tags: the deployer may tag only with the one that says whose it is among them."""
    return {"resourceArn": site.application_arn(application), "tags": site.tags}


def start_job_run(
    site: Site, *, application: str, token: str, tag: str, extra: tuple[str, ...] = (), entry_point: str | None = None
) -> Payload:
    """The input of EMR Serverless' StartJobRun.

    Args:
        application: its id.
        token: makes a repeated call start one run.
        tag: of the image, for the run's own tags.
        extra: further arguments of the job.
        entry_point: the main file's address, if not the specification's.

    Raises:
        SpecError: a property or an argument of the specification cannot work.
    """
    spec = site.spec
    inline, defaults = _split(spark_properties(spec))
    submit = _spark_submit(site, inline, extra, entry_point)
    return {
        "applicationId": application,
        "clientToken": token,
        "name": run_name(site, token),
        "executionRoleArn": site.role_arn,
        "jobDriver": {"sparkSubmit": submit},
        "configurationOverrides": _overrides(defaults, site.logs),
        "executionTimeoutMinutes": spec.timeout_minutes,
        "mode": "BATCH",
        "retryPolicy": {"maxAttempts": spec.max_attempts},
        "tags": {**site.tags, "orchard:image": tag},
    }


def start_eks_job_run(
    site: Site,
    *,
    cluster: str,
    token: str,
    tag: str,
    image: str,
    extra: tuple[str, ...] = (),
    entry_point: str | None = None,
) -> Payload:
    """The input of EMR on EKS' StartJobRun; the image is named in Spark's properties there, the rest is the same."""
    spec = site.spec
    inline, defaults = _split({**spark_properties(spec, EKS), "spark.kubernetes.container.image": image})
    submit = _spark_submit(site, inline, extra, entry_point)
    return {
        "virtualClusterId": cluster,
        "clientToken": token,
        "name": run_name(site, token),
        "executionRoleArn": site.eks_role_arn,
        "releaseLabel": EKS.release.format(release=spec.release_label),
        "jobDriver": {"sparkSubmitJobDriver": submit},
        "configurationOverrides": _overrides(defaults, site.logs),
        "retryPolicyConfiguration": {"maxAttempts": spec.max_attempts},
        "tags": {**site.tags, "orchard:image": tag},
    }


def _spark_submit(site: Site, parameters: str, extra: tuple[str, ...], entry_point: str | None) -> Payload:
    return {
        "entryPoint": entry_point or site.entry_point,
        "entryPointArguments": job_arguments(site, extra),
        "sparkSubmitParameters": parameters,
    }


def resource_quota(site: Site) -> Payload:
    """A Kubernetes ResourceQuota that holds a namespace to the cap, for `kubectl apply -f`.

    EMR on EKS has no maximum capacity of its own.

    One pod more, small, is the one that submits.
    """
    most = capacity(site.spec)
    hard = {
        "pods": str(site.spec.executors + 2),
        "requests.cpu": str(most.cpu + 1),
        "requests.memory": f"{most.memory + 2}Gi",
    }
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": site.slug}, "spec": {"hard": hard}}


def cli_inputs(
    site: Site, target: Target, *, tag: str, digest: str | None, application: str | None
) -> dict[str, Payload]:
    """The input of every call by the name of its file, for `aws … --cli-input-json`.

    Client tokens are left to the AWS command line, which makes one a call; so is the application's id as long as there
    is none.
    """
    image = image_uri(site, tag, digest)
    files: dict[str, Payload] = {"ecr-create-repository": create_repository(site)}
    if site.bucket:
        files["s3api-create-bucket"] = create_bucket(site)
        files["s3api-put-bucket-tagging"] = put_bucket_tagging(site)
        files["s3api-put-public-access-block"] = put_public_access_block(site)
    if target is EKS:
        cluster = site.spec.eks.virtual_cluster if site.spec.eks else ""
        files["emr-containers-start-job-run"] = start_eks_job_run(site, cluster=cluster, token="", tag=tag, image=image)
        files["kubernetes-resource-quota"] = resource_quota(site)
        return {name: _without_token(payload) for name, payload in files.items()}
    files |= {
        "ecr-set-repository-policy": set_repository_policy(site),
        "iam-create-role": create_role(site),
        "iam-put-role-policy": put_role_policy(site),
        "emr-serverless-create-application": create_application(site, image, token=""),
        "emr-serverless-update-application": update_application(site, image, application=application or "", token=""),
        "emr-serverless-start-job-run": start_job_run(site, application=application or "", token="", tag=tag),
    }
    return {name: _without_token(payload) for name, payload in files.items()}


def _without_token(payload: Payload) -> Payload:
    """The payload without what only a call can fill in."""
    return {
        name: value
        for name, value in payload.items()
        if name != "clientToken" and not (name == "applicationId" and not value)
    }


def run_name(site: Site, token: str) -> str:
    """The name of a run; it carries the start of its token, so that a run whose id was never recorded is found."""
    return f"{site.slug}-{token[:12]}".rstrip("-")


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


def _overrides(defaults: Mapping[str, str], logs: S3Place | None) -> Payload:
    configuration = [{"classification": "spark-defaults", "properties": dict(defaults)}] if defaults else []
    monitoring = {"s3MonitoringConfiguration": {"logUri": f"{logs}/"}} if logs else {}
    return {
        **({"applicationConfiguration": configuration} if configuration else {}),
        **({"monitoringConfiguration": monitoring} if monitoring else {}),
    }


def _split(properties: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """The submit parameters, which nothing overrides, and apart from them what has blanks.

    How those would be quoted is not documented.
    """
    inline = {
        name: value for name, value in sorted(properties.items()) if not any(letter.isspace() for letter in value)
    }
    return " ".join(f"--conf {name}={value}" for name, value in inline.items()), {
        name: value for name, value in sorted(properties.items()) if name not in inline
    }


def _tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": name, "Value": value} for name, value in tags.items()]
