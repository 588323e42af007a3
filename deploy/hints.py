"""What lines of a log and states of a run mean, and what to do about them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

_HINTS = (
    (
        r"ApplicationMaxCapacityExceededException|exceeded maximumCapacity",
        "the application's maximum capacity is smaller than driver and executors together, so the run waits "
        "for workers that never come: "
        "cancel it, then `orchard-deploy up` sets the capacity that the specification needs",
    ),
    (
        r"Cannot run program \"[^\"]*python[^\"]*\"|PYTHON_VERSION_MISMATCH|Python in worker has different version",
        "driver or executors did not find the image's Python: the application runs another image, or a property names "
        "another interpreter: `orchard-deploy status` compares them",
    ),
    (
        r"(?i)exceeded configured memory size|exit(?:ed with)? ?(?:code|status)?:? ?137|ExecutorLostFailure.*137",
        "a worker ran out of memory: give driver or executor more memory in the specification",
    ),
    (
        r"service principal is not authorized to perform: ecr:",
        "EMR Serverless may not read the image: `orchard-deploy up` sets the repository's policy",
    ),
    (
        r"(?i)could not assume|not authorized to perform: sts:AssumeRole|unable to assume",
        "EMR Serverless cannot take the job's role: `orchard-deploy up` sets its trust; a role made a minute ago may "
        "need another minute",
    ),
    (
        r"AccessDenied|Access Denied|Status Code: 403",
        "the job's role may not do that in S3: `orchard-deploy up` sets its policy",
    ),
    (r"NoSuchBucket", "the bucket does not exist in this region: `orchard-deploy up` makes the specification's own"),
    (r"No space left on device", "a worker's disk is full: give driver or executor more disk in the specification"),
)


def hint(line: str) -> str | None:
    """What a line means, if it is one of the known troubles."""
    return next((advice for pattern, advice in _HINTS if re.search(pattern, line)), None)


def hints(lines: Iterable[str]) -> list[str]:
    """What all these lines mean, each meaning once."""
    return list(dict.fromkeys(advice for line in lines if (advice := hint(line))))
