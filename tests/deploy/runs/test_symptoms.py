"""explain: each known failure by a realistic line, on both services."""

from __future__ import annotations

import re

import pytest
from orchard_deploy.runs.symptoms import SYMPTOMS, explain
from orchard_deploy.targets import EKS, SERVERLESS, Target

# Name of the symptom, the service, a line as it was seen, a part of the advice.
LINES = [
    (
        "capacity held by another run",
        SERVERLESS,
        "25/08/26 05:02:30 ERROR Allocator: com.amazonaws.emr.serverless.shaded.software.amazon.awssdk."
        "services.emrserverlessresourcemanager.model.ApplicationMaxCapacityExceededException: Worker could not be "
        "allocated as the application has exceeded maximumCapacity settings: [cpu: 12 vCPU, memory: 48 GB]",
        "another run holds",
    ),
    (
        "quota of the account",
        SERVERLESS,
        "Job failed. ServiceQuotaExceededException: the account has reached the service limit on the maximum vCPU it "
        "can use concurrently",
        "L-D05C8A75",
    ),
    ("no room in the cluster", EKS, "0/3 nodes are available: 1 Too many pods, 3 Insufficient cpu.", "add nodes"),
    (
        "no room in the cluster",
        EKS,
        'pods "spark-000-driver" is forbidden: exceeded quota: orchard, requested: pods=1, used: pods=4',
        "quota",
    ),
    (
        "web identity not trusted",
        EKS,
        "Caused by: com.amazonaws.services.securitytoken.model.AWSSecurityTokenServiceException: Not authorized to "
        "perform sts:AssumeRoleWithWebIdentity (Service: AWSSecurityTokenService; Status Code: 403; Error Code: "
        "AccessDenied)",
        "update-role-trust-policy",
    ),
    (
        "service-linked role missing",
        SERVERLESS,
        "User: arn:aws:sts::111122223333:assumed-role/deployer/x is not authorized to perform: "
        "iam:CreateServiceLinkedRole on resource: arn:aws:iam::111122223333:role/aws-service-role/"
        "ops.emr-serverless.amazonaws.com/AWSServiceRoleForAmazonEMRServerless",
        "ops.emr-serverless.amazonaws.com",
    ),
    (
        "service-linked role missing",
        EKS,
        "is not authorized to perform: iam:CreateServiceLinkedRole on resource: x/AWSServiceRoleForAmazonEMRContainers",
        "emr-containers.amazonaws.com",
    ),
    (
        "role not taken",
        SERVERLESS,
        "Could not assume execution role arn:aws:iam::111122223333:role/orchard-job-us-east-1 because it does not "
        "exist or is not set up with the required trust relationship with EMR Serverless",
        "another minute",
    ),
    (
        "limit of the public registry",
        SERVERLESS,
        "Step 1/9 : FROM public.ecr.aws/emr-serverless/spark/emr-7.13.0:latest toomanyrequests: Rate exceeded",
        "docker login",
    ),
    (
        "limit of the public registry",
        SERVERLESS,
        "failed to resolve source metadata for public.ecr.aws/emr-on-eks/spark/emr-7.13.0:latest: unexpected status "
        "code https://public.ecr.aws/v2/: 429 Too Many Requests",
        "docker login",
    ),
    (
        "image not pulled",
        SERVERLESS,
        "The EMR Serverless service principal is not authorized to perform: ecr:BatchGetImage on the repository",
        "push",
    ),
    (
        "image not pulled",
        EKS,
        'Warning  Failed  Failed to pull image "111122223333.dkr.ecr.us-east-1.amazonaws.com/orchard@sha256:1": '
        "rpc error: code = Unknown desc = 403 Forbidden",
        "AmazonEC2ContainerRegistryReadOnly",
    ),
    ("image not pulled", EKS, "Container image cannot be pulled: Back-off: ImagePullBackOff", "nodes cannot pull"),
    ("other architecture", SERVERLESS, "exec /usr/bin/entrypoint.sh: exec format error", "`architecture`"),
    ("other architecture", EKS, "standard_init_linux.go:228: exec user process caused: exec format error", "node"),
    (
        "disk full",
        SERVERLESS,
        "org.apache.spark.SparkException: java.io.IOException: No space left on device",
        "more disk in the specification",
    ),
    ("disk full", EKS, "OSError: [Errno 28] No space left on device: '/tmp/blockmgr-1'", "larger volume"),
    ("disk full", EKS, "The node was low on resource: ephemeral-storage. Threshold quantity: 2Gi", "larger volume"),
    (
        "out of memory",
        SERVERLESS,
        "Worker has been killed as memory usage exceeded configured memory size",
        "more memory",
    ),
    (
        "out of memory",
        EKS,
        "The executor with id 13 exited with exit code 137(SIGKILL, possible container OOM).",
        "more memory",
    ),
    ("out of memory", SERVERLESS, "Job failed, please check complete logs. ExitCode: 137", "more memory"),
    (
        "evicted",
        EKS,
        "Pod spark-000-exec-1 failed. reason: Evicted, message: The node was low on resource: memory.",
        "on demand",
    ),
    (
        "bucket of another region",
        SERVERLESS,
        "S3Exception: The bucket you are attempting to access must be addressed using the specified endpoint. Please "
        "send all future requests to this endpoint. (Service: S3, Status Code: 301, Request ID: X)",
        "another region",
    ),
    (
        "expired token",
        SERVERLESS,
        "The provided token has expired. (Service: Amazon S3; Status Code: 400; Error Code: ExpiredToken)",
        "expired",
    ),
    (
        "python not found",
        SERVERLESS,
        'java.io.IOException: Cannot run program "./environment/bin/python": error=2, No such file or directory',
        "interpreter",
    ),
    (
        "python not found",
        SERVERLESS,
        "[PYTHON_VERSION_MISMATCH] Python in worker has different version (3, 9) than that in driver 3.11",
        "interpreter",
    ),
    (
        "bucket missing",
        SERVERLESS,
        "The specified bucket does not exist (Service: Amazon S3; Status Code: 404; Error Code: NoSuchBucket)",
        "`orchard-deploy up`",
    ),
    (
        "storage denied",
        SERVERLESS,
        "AmazonS3Exception: Access Denied (Service: Amazon S3; Status Code: 403; Error Code: AccessDenied)",
        "the job's role",
    ),
    (
        "storage denied",
        EKS,
        "PermissionDenied <Code>AccessDenied</Code><Message>Access Denied</Message>",
        "docs/aws.md",
    ),
]


def named(name: str) -> dict[str, str]:
    return next(symptom for symptom in SYMPTOMS if symptom["name"] == name)


@pytest.mark.parametrize(("name", "target", "line", "part"), LINES)
def test_explain_knows_a_line(name: str, target: Target, line: str, part: str) -> None:
    symptom, found = named(name), explain(line, target)
    assert found == (symptom["advice"] if target is SERVERLESS else symptom.get("on_eks") or symptom["advice"])
    assert part in (found or "")


@pytest.mark.parametrize("symptom", SYMPTOMS, ids=lambda symptom: str(symptom["name"]))
def test_explain_knows_the_tables_own_line(symptom: dict[str, str]) -> None:
    assert explain(symptom["seen"]) == symptom["advice"]
    assert re.compile(symptom["pattern"])
    assert symptom["name"] in {name for name, *_ in LINES}
    assert not {"\n", "  "} & set(symptom["advice"] + symptom.get("on_eks", ""))


@pytest.mark.parametrize(
    "line",
    [
        "",
        "INFO SparkContext: Running Spark version 3.5.6-amzn-0",
        "INFO BlockManagerInfo: Removed broadcast_1_piece0 on 10.0.0.1:1 in memory (size: 10.1 KiB, free: 4.6 GiB)",
        "INFO ExecutorContainerAllocator: Going to request 2 executors for ResourceProfile Id: 0",
        "Access Denied",  # of a caller's own call: the job's role has nothing to do with it
        "ExitCode: 1",
    ],
)
def test_explain_has_nothing_to_say_of_other_lines(line: str) -> None:
    assert explain(line) is None


def test_explain_gives_the_first_that_fits() -> None:
    both = "Could not assume execution role: No space left on device"
    assert explain(both) == named("role not taken")["advice"]
