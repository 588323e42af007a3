"""Whether the buckets that a specification names can be used.

Those that are not its own are never made, only looked for. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

from deploy.errors import RefusedError
from deploy.observed import Access, Observed, Reach
from deploy.site import Site
from deploy.targets import SERVERLESS, Target


def check_places(site: Site, seen: Observed, target: Target) -> None:
    """Raise `RefusedError` for the first bucket that a run could not use."""
    if reason := next(unusable(site, seen, target), None):
        raise RefusedError(reason)


def unusable(site: Site, seen: Observed, target: Target) -> Iterator[str]:
    """Why buckets cannot be used: a line each, with the key of the specification and what to do."""
    for bucket, keys in site.named_buckets.items():
        reached = seen.reached.get(bucket)
        if reason := _reason(site, reached, target) if reached else None:
            yield f"{keys}: bucket {site.account.mask(bucket)}: {reason}"
    if seen.bucket and (reason := _far(site, seen.bucket.region, target)):
        yield f"bucket: {site.account.mask(site.bucket or '')}: {reason}"


def _reason(site: Site, reached: Reach, target: Target) -> str | None:
    if reached.access is Access.MISSING:
        return "there is none, and `orchard-deploy up` makes only the one under `bucket`: make it, or name another"
    if reached.access is Access.DENIED:
        return (
            "it is someone else's, or you may not look at it (see `orchard-deploy iam deployer`): have it opened, "
            "or name another"
        )
    return _far(site, reached.region, target)


def _far(site: Site, region: str | None, target: Target) -> str | None:
    """EMR Serverless outside of a network of one's own reaches S3 in its own region only.

    The nodes of EMR on EKS have their network.
    """
    here = site.account.region
    if target is not SERVERLESS or region in (None, here):
        return None
    return (
        f"it is in {region}, and EMR Serverless in {here} reaches none outside of {here}: name one there, "
        f"or run in {region} (--region)"
    )
