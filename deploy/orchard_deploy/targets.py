"""What tells EMR Serverless and EMR on EKS apart, as data: states, where logs lie, properties. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum

from orchard_deploy.errors import SpecError
from orchard_deploy.spec import Spec


class Phase(Enum):
    """How far a run is, in words that hold everywhere."""

    WAITING = "waiting"
    RUNNING = "running"
    ENDING = "being cancelled"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether nothing comes after; being cancelled is not the end, it still costs."""
        return self in (Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED)


@dataclass(frozen=True, kw_only=True)
class Target:
    """A service that runs the job.

    Attributes:
        name: as on the command line.
        service: as boto3 calls it.
        place: what a run belongs to there.
        place_key, run_key: what calls name that and the run's id.
        describe: the call that tells about one run.
        phases: of each of its states.
        driver_key, retry_key: what the call that starts a run names its main file and its attempts.
        image_property: the Spark property that names a run's image, if an application does not.
        ends_runs: whether the service ends a run at its time-out, and one that waits too long; else only who stays with
            it does.
        needs_application: whether runs belong to the stack's application, and take its role and image.
        bills_runs: whether the service says what it bills for a run.
        interpreter: the properties that name the Python of driver and executors.
        disk: the property of a worker's disk, if there is one.
        logs: prefix of a run's logs below the place for logs.
        log: pattern of a log's key below a run's prefix, with the groups worker, stream and, where there are, number,
            attempt and index.
    """

    name: str
    service: str
    place: str
    place_key: str
    run_key: str
    driver_key: str
    retry_key: str
    image_property: str | None
    describe: str
    phases: Mapping[str, Phase]
    ends_runs: bool
    needs_application: bool
    bills_runs: bool
    interpreter: tuple[str, ...]
    disk: str | None
    logs: str
    log: str

    def active_states(self) -> list[str]:
        """The states of a run that is not over."""
        return [state for state, phase in self.phases.items() if not phase.final]


SERVERLESS = Target(
    name="serverless",
    service="emr-serverless",
    place="application",
    place_key="applicationId",
    run_key="jobRunId",
    driver_key="sparkSubmit",
    retry_key="retryPolicy",
    image_property=None,
    describe="get_job_run",
    phases={
        "SUBMITTED": Phase.WAITING,
        "QUEUED": Phase.WAITING,
        "PENDING": Phase.WAITING,
        "SCHEDULED": Phase.WAITING,
        "RUNNING": Phase.RUNNING,
        "CANCELLING": Phase.ENDING,
        "SUCCESS": Phase.SUCCEEDED,
        "FAILED": Phase.FAILED,
        "CANCELLED": Phase.CANCELLED,
    },
    ends_runs=True,
    needs_application=True,
    bills_runs=True,
    interpreter=(
        "spark.emr-serverless.driverEnv.PYSPARK_DRIVER_PYTHON",
        "spark.emr-serverless.driverEnv.PYSPARK_PYTHON",
        "spark.executorEnv.PYSPARK_PYTHON",
    ),
    disk="spark.emr-serverless.{role}.disk",
    logs="applications/{place}/jobs/{run}",
    # With retries there is attempts/<n>/; a file of 128 MB is moved to archived/. Executors are seen as folders and as
    # suffixes.
    log=r"(?:attempts/(?P<attempt>\d+)/)?SPARK_(?P<worker>DRIVER|EXECUTOR)(?:[/_](?P<number>\d+))?/"
    r"(?:archived/)?(?P<stream>stdout|stderr)(?:_(?P<index>\d+))?\.gz",
)

EKS = Target(
    name="eks",
    service="emr-containers",
    place="virtual cluster",
    place_key="virtualClusterId",
    run_key="id",
    driver_key="sparkSubmitJobDriver",
    retry_key="retryPolicyConfiguration",
    image_property="spark.kubernetes.container.image",
    describe="describe_job_run",
    phases={
        "PENDING": Phase.WAITING,
        "SUBMITTED": Phase.WAITING,
        "RUNNING": Phase.RUNNING,
        "CANCEL_PENDING": Phase.ENDING,
        "COMPLETED": Phase.SUCCEEDED,
        "FAILED": Phase.FAILED,
        "CANCELLED": Phase.CANCELLED,
    },
    ends_runs=False,
    needs_application=False,
    bills_runs=False,
    interpreter=("spark.pyspark.python", "spark.pyspark.driver.python"),
    disk=None,
    logs="{place}/jobs/{run}",
    log=r"containers/[^/]+/[^/]+-(?P<worker>driver|exec)(?:-(?P<number>\d+))?/"
    r"(?P<stream>stdout|stderr)(?:_(?P<index>\d+))?\.gz",
)

TARGETS: Mapping[str, Target] = {target.name: target for target in (SERVERLESS, EKS)}


def spec_for(spec: Spec, target: Target) -> Spec:
    """The specification with the base image that the target needs.

    Another base makes another image, with a tag of its own.

    Raises:
        SpecError: the specification says nothing about EMR on EKS.
    """
    if target is SERVERLESS:
        return spec
    if spec.eks is None:
        raise SpecError('eks: the specification has none: add "eks": {"virtualCluster": …, "executionRole": …}')
    return replace(spec, base=spec.eks.base or f"public.ecr.aws/emr-on-eks/spark/{spec.release_label}:latest")
