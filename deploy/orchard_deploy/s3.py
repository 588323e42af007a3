"""Questions to S3, and the few changes that are more than one call."""

import posixpath
import unicodedata
from collections.abc import Iterator
from itertools import islice

from orchard.photos.photo import skip_reason

from orchard_deploy.aws import Aws, explained
from orchard_deploy.errors import AwsError
from orchard_deploy.site import S3Place


def bucket_region(aws: Aws, name: str) -> str | None:
    """The region of a bucket, None if there is none; `DeniedError` if it is somebody else's, or closed."""
    try:
        answer = aws.find("s3", "head_bucket", {"Bucket": name}, "404", "NoSuchBucket")
    except AwsError:  # S3's answer, one without text, does not tell expired credentials from a closed bucket
        aws.call("sts", "get_caller_identity", {})
        raise
    return str(answer.get("BucketRegion", aws.region)) if answer else None


def bucket_tags(aws: Aws, bucket: str) -> dict[str, str]:
    """The tags of a bucket."""
    found = aws.find("s3", "get_bucket_tagging", {"Bucket": bucket}, "NoSuchTagSet")
    return {tag["Key"]: tag["Value"] for tag in found["TagSet"]} if found else {}


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


def read(aws: Aws, bucket: str, key: str) -> bytes | None:
    """The content of an object, if there is one."""
    answer = aws.find("s3", "get_object", {"Bucket": bucket, "Key": key}, "NoSuchKey", "404")
    with explained(f"s3 get_object {key}"):
        return bytes(answer["Body"].read()) if answer else None


def delete_bucket(aws: Aws, bucket: str) -> None:
    """Delete a bucket and everything in it."""
    everything = keys(aws, S3Place(bucket, ""))
    while batch := [{"Key": key} for key, _ in islice(everything, 1000)]:
        answer = aws.call("s3", "delete_objects", {"Bucket": bucket, "Delete": {"Objects": batch, "Quiet": True}})
        if errors := answer.get("Errors"):
            raise AwsError(f"bucket {bucket}: {errors[0]['Key']} cannot be deleted: {errors[0].get('Message')}")
    aws.find("s3", "delete_bucket", {"Bucket": bucket}, "NoSuchBucket")  # gone by a call whose answer was lost
