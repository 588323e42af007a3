"""The policies that a specification needs, least privilege.

Those of the job's role, of the image's repository, of the person who deploys. Pure.

Every statement names the resources it is about. The service may use the role and the image for this account only (the
"confused deputy" conditions of AWS's documentation).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from deploy.site import OWNER_TAG, S3Place, Site, parse_place

Policy = dict[str, Any]
Statement = dict[str, Any]

SERVICE = "emr-serverless.amazonaws.com"
# The service's own service-linked role, made at the first application of an account.
_LINKED_SERVICE = "ops.emr-serverless.amazonaws.com"
# Name of the one inline policy of the job's role.
JOB_POLICY = "orchard-job"


def job_trust(site: Site) -> Policy:
    """Who may take the job's role: EMR Serverless, for this account."""
    # AWS's own policies for such roles have this key; none was found with aws:SourceArn, and a wrong key would stop
    # every run.
    conditions = {"StringEquals": {"aws:SourceAccount": site.account.id}}
    return _policy(
        [_allow("EmrServerless", ["sts:AssumeRole"], None, Principal={"Service": SERVICE}, Condition=conditions)]
    )


def job_policy(site: Site) -> Policy:
    """What a run may do: read what it is given, keep its output, write its logs."""
    reads = [*(place for place in site.reads.values() if not site.output.holds(place)), *_code(site)]
    listed = [*reads, site.output]
    statements = [
        *_listing(site, listed),
        _allow("Read", ["s3:GetObject"], _objects(site, reads)),
        _allow(
            "KeepOutput",
            ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"],
            _objects(site, [site.output]),
        ),
    ]
    if site.logs:
        statements.append(_allow("WriteLogs", ["s3:PutObject"], _objects(site, [site.logs])))
    return _policy(statements)


def repository_policy(site: Site) -> Policy:
    """Lets EMR Serverless read the image, for applications of this account and region."""
    statement = _allow(
        "EmrServerlessCustomImageSupport",
        ["ecr:BatchGetImage", "ecr:DescribeImages", "ecr:GetDownloadUrlForLayer"],
        None,
        Principal={"Service": SERVICE},
        Condition={"ArnLike": {"aws:SourceArn": site.applications_arn}},
    )
    return _policy([statement])


def deployer_policy(site: Site) -> Policy:
    """What the person who calls `orchard-deploy` needs."""
    return _policy(
        [
            *_deploys_images(site),
            *_deploys_applications(site),
            *_deploys_role(site),
            *_deploys_data(site),
            *_deploys_eks(site),
        ]
    )


def _deploys_images(site: Site) -> list[Statement]:
    actions = """BatchCheckLayerAvailability BatchGetImage CompleteLayerUpload CreateRepository DeleteRepository
        DescribeImages DescribeRepositories GetDownloadUrlForLayer GetRepositoryPolicy InitiateLayerUpload
        ListTagsForResource PutImage PutImageScanningConfiguration PutImageTagMutability SetRepositoryPolicy TagResource
        UploadLayerPart"""
    return [
        _allow("LogInToRegistry", ["ecr:GetAuthorizationToken"], ["*"]),
        _allow("Images", [f"ecr:{action}" for action in actions.split()], [site.repository_arn]),
    ]


def _deploys_applications(site: Site) -> list[Statement]:
    actions = """CancelJobRun DeleteApplication GetApplication GetJobRun ListJobRuns
        StartApplication StartJobRun StopApplication UpdateApplication"""
    owned, asked = {f"aws:ResourceTag/{OWNER_TAG}": site.spec.name}, {f"aws:RequestTag/{OWNER_TAG}": site.spec.name}
    anywhere = site.account.arn("emr-serverless", "/*")
    return [
        _allow("FindApplications", ["emr-serverless:ListApplications"], [anywhere]),
        _allow("MakeApplications", ["emr-serverless:CreateApplication"], [anywhere], Condition={"StringEquals": asked}),
        _allow(
            "TagWhatIsMade", ["emr-serverless:TagResource"], [site.applications_arn], Condition={"StringEquals": asked}
        ),
        _allow(
            "RunJobs",
            [f"emr-serverless:{action}" for action in actions.split()],
            [site.applications_arn],
            Condition={"StringEquals": owned},
        ),
    ]


def _deploys_role(site: Site) -> list[Statement]:
    actions = (
        """CreateRole DeleteRole DeleteRolePolicy GetRole GetRolePolicy PutRolePolicy TagRole UpdateAssumeRolePolicy"""
    )
    linked = site.account.arn("iam", f"role/aws-service-role/{_LINKED_SERVICE}/*", everywhere=True)
    return [
        _allow("JobRole", [f"iam:{action}" for action in actions.split()], [site.role_arn]),
        _allow(
            "HandOverJobRole",
            ["iam:PassRole"],
            [site.role_arn],
            Condition={"StringEquals": {"iam:PassedToService": SERVICE}},
        ),
        _allow(
            "FirstApplication",
            ["iam:CreateServiceLinkedRole"],
            [linked],
            Condition={"StringEquals": {"iam:AWSServiceName": _LINKED_SERVICE}},
        ),
    ]


def _deploys_data(site: Site) -> list[Statement]:
    names = [*([site.bucket] if site.bucket else []), *site.named_buckets]
    statements = [
        _allow("SeeBuckets", ["s3:ListBucket"], [_bucket(site, name) for name in names]),
        _allow(
            "ReadLogsAndReport",
            ["s3:GetObject"],
            _objects(site, [place for place in (site.output, site.logs) if place]),
        ),
    ]
    if site.bucket:
        actions = (
            "CreateBucket DeleteBucket GetBucketPublicAccessBlock GetBucketTagging "
            "PutBucketPublicAccessBlock PutBucketTagging"
        )
        whole = S3Place(site.bucket, "")
        statements += [
            _allow("Bucket", [f"s3:{action}" for action in actions.split()], [_bucket(site, site.bucket)]),
            _allow("UploadMainFile", ["s3:PutObject"], _objects(site, [site.code])),
            _allow("EmptyBucket", ["s3:DeleteObject"], _objects(site, [whole])),
        ]
    return statements


def _deploys_eks(site: Site) -> list[Statement]:
    if site.spec.eks is None:
        return []
    cluster = site.account.arn("emr-containers", f"/virtualclusters/{site.spec.eks.virtual_cluster}")
    start = _allow(
        "StartOnEks",
        ["emr-containers:StartJobRun"],
        [cluster],
        Condition={"StringEquals": {"emr-containers:ExecutionRoleArn": site.eks_role_arn}},
    )
    follow = [
        "emr-containers:CancelJobRun",
        "emr-containers:DescribeJobRun",
        "emr-containers:ListJobRuns",
        "emr-containers:TagResource",
    ]
    return [start, _allow("FollowOnEks", follow, [cluster, f"{cluster}/jobruns/*"])]


def _listing(site: Site, places: Sequence[S3Place]) -> list[Statement]:
    """One statement a bucket: the prefixes that may be listed in it, unless all of it may."""
    statements = []
    for number, bucket in enumerate(_unique(place.bucket for place in places), start=1):
        prefixes = _unique(prefix for place in places if place.bucket == bucket for prefix in _listable(place.prefix))
        condition = {} if "" in prefixes else {"Condition": {"StringLike": {"s3:prefix": prefixes}}}
        statements.append(_allow(f"List{number}", ["s3:ListBucket"], [_bucket(site, bucket)], **condition))
    return statements


def _listable(prefix: str) -> list[str]:
    return [prefix, f"{prefix}/*"] if prefix else [""]


def _objects(site: Site, places: Sequence[S3Place]) -> list[str]:
    """The ARNs of everything in `places`, and of the prefixes themselves.

    S3 answers 403, not 404, where a key may not be read.
    """
    arns = []
    for place in places:
        root = _bucket(site, place.bucket)
        arns += [f"{root}/{place.prefix}", f"{root}/{place.prefix}/*"] if place.prefix else [f"{root}/*"]
    return _unique(arns)


def _code(site: Site) -> list[S3Place]:
    """Where main files in S3 are: uploaded ones, and the specification's own."""
    uploaded = [site.code] if site.bucket else []
    if not site.entry_point.startswith("s3"):
        return uploaded
    place = parse_place("entryPoint", site.entry_point)
    return [*uploaded, S3Place(place.bucket, place.prefix.rpartition("/")[0])]


def _bucket(site: Site, bucket: str) -> str:
    return f"arn:{site.account.partition}:s3:::{bucket}"


def _unique(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


def _allow(sid: str, actions: list[str], resources: list[str] | None, **more: Any) -> Statement:
    return {"Sid": sid, "Effect": "Allow", "Action": actions, **({"Resource": resources} if resources else {}), **more}


def _policy(statements: list[Statement]) -> Policy:
    return {"Version": "2012-10-17", "Statement": statements}
