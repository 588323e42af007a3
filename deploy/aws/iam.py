"""Questions to IAM."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

from deploy.aws.session import Aws
from deploy.errors import AwsError
from deploy.observed import Role


def find_role(aws: Aws, name: str, policy: str) -> Role | None:
    """The role, with its inline policy of that name, if there is one."""
    try:
        found = aws.call("iam", "get_role", {"RoleName": name})["Role"]
    except AwsError as error:
        if error.code == "NoSuchEntity":
            return None
        raise
    tags = {tag["Key"]: tag["Value"] for tag in found.get("Tags", ())}
    return Role(tags=tags, trust=_document(found["AssumeRolePolicyDocument"]), policy=_inline(aws, name, policy))


def _inline(aws: Aws, role: str, policy: str) -> dict[str, Any] | None:
    try:
        return _document(aws.call("iam", "get_role_policy", {"RoleName": role, "PolicyName": policy})["PolicyDocument"])
    except AwsError as error:
        if error.code == "NoSuchEntity":
            return None
        raise


def _document(found: Any) -> dict[str, Any]:
    """A policy as IAM gives it: boto3 decodes it unless it is no JSON."""
    document: dict[str, Any] = json.loads(unquote(found)) if isinstance(found, str) else found
    return document
