"""What the EMR services look at in the rest of the account: images, roles, buckets. Asked of moto's server by boto3."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from deploy.rehearsal.protocol import RefusalError, invalid
from deploy.rehearsal.registry import ACCOUNT, StandIn, moto_client

_IMAGE = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.[a-z.]+/(?P<repository>[^:@]+)(?::(?P<tag>[^@]+)|@(?P<digest>.+))"
)
_NEEDED = {"ecr:BatchGetImage", "ecr:DescribeImages", "ecr:GetDownloadUrlForLayer"}


class World:
    """The rest of the account.

    Args:
        endpoint: of moto's server.
        images: where the images are.
    """

    def __init__(self, endpoint: str, region: str, images: StandIn) -> None:
        self._images = images
        self.region = region
        self._ecr, self._iam, self._s3 = (moto_client(name, endpoint, region) for name in ("ecr", "iam", "s3"))

    def digest(self, image: str, *, by_service: bool = True) -> str:
        """The digest of an image.

        Args:
            by_service: EMR Serverless itself reads it, and must be allowed to; on EKS the nodes do.

        Raises:
            RefusalError: the service may not read it, or there is no such image.
        """
        found = _IMAGE.fullmatch(image)
        if not found or found["region"] != self.region:
            raise invalid(f"imageUri {image}: the image must be in ECR in {self.region}")
        if by_service:
            self._check_policy(found["repository"])
        self._images.bring(found["repository"], found["tag"])
        wanted = {"imageTag": found["tag"]} if found["tag"] else {"imageDigest": found["digest"]}
        try:
            described = self._ecr.describe_images(repositoryName=found["repository"], imageIds=[wanted])
        except ClientError as exc:
            raise invalid(f"imageUri {image}: {exc.response['Error']['Message']}") from exc
        return str(described["imageDetails"][0]["imageDigest"])

    def _check_policy(self, repository: str) -> None:
        arn = f"arn:aws:ecr:{self.region}:{ACCOUNT}:repository/{repository}"
        try:
            policy = json.loads(self._ecr.get_repository_policy(repositoryName=repository)["policyText"])
        except ClientError:
            policy = {"Statement": []}
        allowed = {
            action for statement in policy["Statement"] if _is_for_service(statement) for action in statement["Action"]
        }
        if missing := sorted(_NEEDED - allowed):
            raise invalid(
                f"EMR Serverless service principal is not authorized to perform: {missing[0]} on resource: {arn}"
            )

    def check_role(self, arn: str) -> None:
        """Raise `RefusalError` unless there is such a role and EMR Serverless may take it."""
        name = arn.rpartition("/")[2]
        try:
            trust = self._iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
        except ClientError as exc:
            raise invalid(f"Execution role {arn}: {exc.response['Error']['Message']}") from exc
        if not any(_is_for_service(statement) for statement in trust["Statement"]):
            raise RefusalError(
                "AccessDeniedException",
                f"emr-serverless.amazonaws.com is not authorized to perform: sts:AssumeRole on {arn}",
                403,
            )

    def make_bucket(self, name: str) -> None:
        """Make a bucket, as someone else in the account would."""
        here = {} if self.region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": self.region}}
        self._s3.create_bucket(Bucket=name, **here)

    def write(self, address: str, content: bytes) -> None:
        """Write an object; the bucket has to be there."""
        bucket, _, key = address.removeprefix("s3://").partition("/")
        self._s3.put_object(Bucket=bucket, Key=key, Body=content)

    def write_log(self, address: str, content: bytes) -> None:
        """Write an object of a run's logs; with their bucket gone they are lost, and the run goes on."""
        try:
            self.write(address, content)
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchBucket":
                raise

    def read(self, address: str) -> bytes:
        """Read an object."""
        bucket, _, key = address.removeprefix("s3://").partition("/")
        content: bytes = self._s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        return content


def _is_for_service(statement: Mapping[str, Any]) -> bool:
    service: object = statement.get("Principal", {}).get("Service")
    return bool(statement["Effect"] == "Allow" and service == "emr-serverless.amazonaws.com")
