"""The template and its parameters, as they follow from the specification. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from orchard_deploy.capacity import capacity
from orchard_deploy.errors import SpecError
from orchard_deploy.site import S3Place, Site

TEMPLATE_FILE = Path(__file__).parent.with_name("stack.yaml")
# Parameters about the application that hold together: an image is built on one release, for one architecture.
IMAGE_PARAMETERS = ("ImageDigest", "ReleaseLabel", "Architecture")


def template() -> str:
    """The template of the stack."""
    return TEMPLATE_FILE.read_text(encoding="utf-8")


def stack_parameters(site: Site, *, digest: str | None, makes_bucket: bool) -> dict[str, str]:
    """Every parameter of the template, with the image's digest once it is in the repository.

    Raises:
        SpecError: a location in S3 that a parameter cannot hold, or a name too long for the template's role.
    """
    spec, most = site.spec, capacity(site.spec)
    _ = site.role  # raises if it is too long
    return {
        "RepositoryName": spec.repository,
        "ImageDigest": digest or "",
        "BucketName": site.bucket or "",
        "MakeBucket": "yes" if makes_bucket else "no",
        **_rights(site),
        "ApplicationName": spec.name,
        "ReleaseLabel": spec.release_label,
        "Architecture": spec.architecture,
        "MaximumCpu": f"{most.cpu}vCPU",
        "MaximumMemory": f"{most.memory}GB",
        "MaximumDisk": f"{most.disk}GB",
        "AutoStopMinutes": str(spec.auto_stop_minutes),
    }


def parameter_list(parameters: Mapping[str, str]) -> list[dict[str, str]]:
    """The parameters as CloudFormation's calls and the AWS CLI take them."""
    return [{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()]


def _rights(site: Site) -> dict[str, str]:
    """What a run may do in S3."""
    reads = [place for place in site.reads.values() if not site.output.holds(place)]
    listed = [*reads, site.output]
    prefixes = [prefix for place in listed for prefix in _below(place)]
    return {
        "ReadArns": _objects(site, reads or [site.output]),
        "WriteArns": _objects(site, [site.output]),
        "LogArns": _objects(site, [site.logs] if site.logs else []),
        "ListBuckets": _joined(_arn(site, place.bucket) for place in listed),
        "ListPrefixes": "*" if "*" in prefixes else _joined(prefixes),
    }


def _objects(site: Site, places: Iterable[S3Place]) -> str:
    """The ARNs of all in `places`, and of the prefixes themselves: of what may not be read S3 answers 403, not 404."""
    return _joined(f"{_arn(site, place.bucket)}/{path}" for place in places for path in _below(place))


def _below(place: S3Place) -> list[str]:
    return [place.prefix, f"{place.prefix}/*"] if place.prefix else ["*"]


def _arn(site: Site, bucket: str) -> str:
    return f"arn:{site.account.partition}:s3:::{bucket}"


def _joined(values: Iterable[str]) -> str:
    """The values as CloudFormation's CommaDelimitedList, which has no way to quote a comma and trims each value."""
    unique = list(dict.fromkeys(values))
    for value in unique:
        if "," in value or value != value.strip():
            raise SpecError(
                f"{value}: a location with a comma, or a blank at its end, cannot be a parameter of the stack: "
                "name another in the specification"
            )
    return ",".join(unique)
