"""Where the logs of a run go in S3, as the services lay them out. Pure but for the writing, which is passed in."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator, Mapping

from deploy.rehearsal.jobs import Job

# Bytes of a log that fill one file; then it is moved to archived/.
FULL = 128 << 20


def ship(
    job: Job, prefix: str, output: Mapping[str, bytes], write: Callable[[str, bytes], None], *, full: int = FULL
) -> None:
    """Write the driver's logs as they are now.

    Args:
        prefix: address of the run's logs.
        full: bytes that fill a file.
    """
    for stream, text in output.items():
        for name, part in _parts(stream, text, full):
            write(f"{prefix}/{name}", gzip.compress(part, compresslevel=1, mtime=0))


def serverless_prefix(logs: str, job: Job) -> str:
    """Address of the driver's logs of an attempt on EMR Serverless: with retries there is one folder an attempt."""
    attempt = f"attempts/{job.attempt}/" if job.attempts > 1 else ""
    return f"{logs.rstrip('/')}/applications/{job.place}/jobs/{job.id}/{attempt}SPARK_DRIVER"


def eks_prefix(logs: str, job: Job) -> str:
    """Address of the driver's logs on EMR on EKS."""
    return f"{logs.rstrip('/')}/{job.place}/jobs/{job.id}/containers/spark-{job.id}/spark-{job.id}-driver"


def _parts(stream: str, text: bytes, full: int) -> Iterator[tuple[str, bytes]]:
    whole = len(text) // full
    for index in range(whole):
        yield f"archived/{stream}_{index + 1}.gz", text[index * full : (index + 1) * full]
    yield f"{stream}.gz", text[whole * full :]
