"""Everything that a specification is about, asked of AWS at once."""

from __future__ import annotations

from deploy.aws import ecr, iam, runs, s3, serverless
from deploy.aws.session import Aws
from deploy.iam import JOB_POLICY
from deploy.observed import Observed
from deploy.site import Site
from deploy.targets import SERVERLESS, Target


def observe(aws: Aws, site: Site, tag: str, target: Target = SERVERLESS) -> Observed:
    """What there is; EMR on EKS needs neither role nor application of ours."""
    repository = ecr.find_repository(aws, site.spec.repository)
    own = target is SERVERLESS
    applications = serverless.find_applications(aws, site.spec.name) if own else ()
    return Observed(
        repository=repository,
        digest=ecr.find_digest(aws, site.spec.repository, tag) if repository else None,
        bucket=s3.find_bucket(aws, site.bucket) if site.bucket else None,
        role=iam.find_role(aws, site.role, JOB_POLICY) if own else None,
        applications=applications,
        reached={name: s3.reach(aws, name) for name in site.named_buckets},
        active=tuple(run for found in applications for run in runs.list_runs(aws, SERVERLESS, found.id, active=True)),
    )
