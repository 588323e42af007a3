"""Questions to S3, and the few acts that are more than one call."""

from __future__ import annotations

import posixpath
import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from orchard.photos.photo import skip_reason

from deploy.aws.session import Aws, explained
from deploy.errors import AwsError, DeniedError
from deploy.observed import Access, Bucket, Reach
from deploy.site import S3Place


def find_bucket(aws: Aws, name: str) -> Bucket | None:
    """The bucket, if there is one.

    Raises:
        DeniedError: it belongs to someone else, or may not be looked at.
    """
    found = reach(aws, name)
    if found.access is Access.DENIED:
        raise DeniedError(f"bucket {name}: it is someone else's, or you may not look at it: choose another `bucket`")
    if found.access is Access.MISSING:
        return None
    empty = next(keys(aws, S3Place(name, "")), None) is None
    return Bucket(tags=_tags(aws, name), blocked=_is_blocked(aws, name), empty=empty, region=found.region)


def reach(aws: Aws, name: str) -> Reach:
    """Whether a bucket is there for us, and where.

    Raises:
        CredentialsError: they have expired, which S3's answer, one without text, does not tell from a closed bucket.
    """
    try:
        answer = aws.call("s3", "head_bucket", {"Bucket": name})
    except AwsError as error:
        if error.code in ("404", "NoSuchBucket"):
            return Reach(access=Access.MISSING)
        aws.check_credentials()
        if isinstance(error, DeniedError):
            return Reach(access=Access.DENIED)
        raise
    return Reach(access=Access.GRANTED, region=answer.get("BucketRegion"))


def _tags(aws: Aws, bucket: str) -> dict[str, str]:
    try:
        return {tag["Key"]: tag["Value"] for tag in aws.call("s3", "get_bucket_tagging", {"Bucket": bucket})["TagSet"]}
    except AwsError as error:
        if error.code == "NoSuchTagSet":
            return {}
        raise


def _is_blocked(aws: Aws, bucket: str) -> bool:
    try:
        return all(
            aws.call("s3", "get_public_access_block", {"Bucket": bucket})["PublicAccessBlockConfiguration"].values()
        )
    except AwsError as error:
        if error.code == "NoSuchPublicAccessBlockConfiguration":
            return False
        raise


def keys(aws: Aws, place: S3Place) -> Iterator[tuple[str, str]]:
    """Key and ETag of everything below a place."""
    prefix = f"{place.prefix}/" if place.prefix else ""
    for found in aws.pages("s3", "list_objects_v2", {"Bucket": place.bucket, "Prefix": prefix}, "Contents"):
        yield found["Key"], found["ETag"]


def labels(aws: Aws, place: S3Place) -> Iterator[str]:
    """The label of each photo below a place, as the job gives it: the name of the folder that it lies in."""
    start = len(f"{place.prefix}/") if place.prefix else 0
    for key, _ in keys(aws, place):
        if not key.endswith("/") and skip_reason(key[start:]) is None:
            yield unicodedata.normalize("NFC", posixpath.basename(posixpath.dirname(key)) or place.bucket)


@dataclass(frozen=True)
class Content:
    """What an object holds, and when it was written, in seconds since 1970."""

    body: bytes
    written: float


def find(aws: Aws, bucket: str, key: str) -> Content | None:
    """An object, if there is one."""
    try:
        answer = aws.call("s3", "get_object", {"Bucket": bucket, "Key": key})
        with explained(f"s3 get_object {key}"):  # the content comes after the answer
            return Content(answer["Body"].read(), answer["LastModified"].timestamp())
    except AwsError as error:
        if error.code in ("NoSuchKey", "404"):
            return None
        raise


def read(aws: Aws, bucket: str, key: str) -> bytes | None:
    """The content of an object, if there is one."""
    found = find(aws, bucket, key)
    return found.body if found else None


def write(aws: Aws, bucket: str, key: str, content: bytes) -> None:
    """Make an object."""
    aws.call("s3", "put_object", {"Bucket": bucket, "Key": key, "Body": content})


def empty_bucket(aws: Aws, bucket: str) -> None:
    """Delete everything in a bucket."""
    batch: list[str] = []
    for key, _ in keys(aws, S3Place(bucket, "")):
        batch.append(key)
        if len(batch) == 1000:
            _delete(aws, bucket, batch)
            batch = []
    if batch:
        _delete(aws, bucket, batch)


def _delete(aws: Aws, bucket: str, batch: Collection[str]) -> None:
    listed = [{"Key": key} for key in batch]
    answer = aws.call("s3", "delete_objects", {"Bucket": bucket, "Delete": {"Objects": listed, "Quiet": True}})
    for error in answer.get("Errors", ()):
        raise AwsError(f"bucket {bucket}: {error['Key']} cannot be deleted: {error.get('Message', error.get('Code'))}")
