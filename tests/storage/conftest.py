"""S3's fixtures."""

from __future__ import annotations

from tests.s3_fixtures import aws, bucket, moto

__all__ = ["aws", "bucket", "moto"]
