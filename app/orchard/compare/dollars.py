"""What a run costs on EMR Serverless, in US dollars: the estimate of `orchard-deploy plan`, for any speed.

The job may not import the launchers; a test compares these constants with prices.json and rates.json of their cost/ and
emr-serverless.json, and the result with the launchers' own estimate.
"""

REGION, ARCHITECTURE = "us-east-1", "X86_64"
VCPU_HOUR, GB_HOUR = 0.052624, 0.0057785
PRICES = (
    f"EMR Serverless, {REGION}, {ARCHITECTURE}: aws.amazon.com/emr/pricing, as quoted by public projects, 2026-11-22; "
    "compare with that page before relying on it"
)
# A driver and two executors of 4 vCPU and 16 GB each, as emr-serverless.json asks for; a task for each executor's vCPU.
VCPUS, GIGABYTES, SLOTS = 12, 48, 8
# Of a run, however few photos it has; and until AWS has provided the workers, by what others published.
FIXED_SECONDS, PROVISION_SECONDS, LEAST_SECONDS = 2.4, 90, 60


def run_seconds(photos: int, per_core: float) -> float:
    """How long a run takes, with `per_core` photos a second on each vCPU of its executors."""
    return PROVISION_SECONDS + FIXED_SECONDS + photos / (per_core * SLOTS)


def run_dollars(photos: int, per_core: float) -> float:
    """What such a run costs: all workers are billed for all of its time."""
    hours = max(run_seconds(photos, per_core), LEAST_SECONDS) / 3600
    return hours * (VCPUS * VCPU_HOUR + GIGABYTES * GB_HOUR)
