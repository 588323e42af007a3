"""ECR, IAM, S3 and STS as dictionaries: the calls that Orchard makes, by boto3's names, and what they answer."""

# ruff: noqa: N803 - the arguments have boto3's names

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from deploy.rehearsal.protocol import RefusalError
from deploy.rehearsal.registry import ACCOUNT

Answer = dict[str, Any]


def missing(code: str, what: str, status: int = 400) -> RefusalError:
    """There is no such thing."""
    return RefusalError(code, f"{what} does not exist", status)


def tag_map(tags: list[dict[str, str]]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags}


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


class Images:
    """Which images there are: those of these tags can be found in every repository, with a digest made of the tag."""

    host = ""

    def __init__(self, tags: set[str]) -> None:
        self.tags = frozenset(tags)

    def bring(self, repository: str, tag: str | None) -> None:
        """Nothing: they are there."""


@dataclass
class Ecr:
    """Repositories."""

    region: str
    images: Images
    repositories: dict[str, Answer] = field(default_factory=dict)

    def create_repository(self, repositoryName: str, tags: list[dict[str, str]], **settings: Any) -> Answer:
        if repositoryName in self.repositories:
            raise RefusalError("RepositoryAlreadyExistsException", f"{repositoryName} exists")
        self.repositories[repositoryName] = {
            "repositoryName": repositoryName,
            "repositoryArn": f"arn:aws:ecr:{self.region}:{ACCOUNT}:repository/{repositoryName}",
            **settings,
            "tags": tag_map(tags),
        }
        return {"repository": self.repositories[repositoryName]}

    def describe_repositories(self, repositoryNames: list[str] | None = None) -> Answer:
        names = list(self.repositories) if repositoryNames is None else repositoryNames
        return {"repositories": [self._found(name) for name in names]}

    def delete_repository(self, repositoryName: str, force: bool = False) -> Answer:
        self._found(repositoryName)
        del self.repositories[repositoryName]
        return {}

    def list_tags_for_resource(self, resourceArn: str) -> Answer:
        return {"tags": tag_list(self._named(resourceArn)["tags"])}

    def tag_resource(self, resourceArn: str, tags: list[dict[str, str]]) -> Answer:
        self._named(resourceArn)["tags"].update(tag_map(tags))
        return {}

    def put_image_tag_mutability(self, repositoryName: str, imageTagMutability: str) -> Answer:
        self._found(repositoryName)["imageTagMutability"] = imageTagMutability
        return {}

    def put_image_scanning_configuration(self, repositoryName: str, imageScanningConfiguration: Answer) -> Answer:
        self._found(repositoryName)["imageScanningConfiguration"] = imageScanningConfiguration
        return {}

    def set_repository_policy(self, repositoryName: str, policyText: str) -> Answer:
        self._found(repositoryName)["policy"] = policyText
        return {}

    def get_repository_policy(self, repositoryName: str) -> Answer:
        if "policy" not in (found := self._found(repositoryName)):
            raise missing("RepositoryPolicyNotFoundException", f"policy of {repositoryName}")
        return {"policyText": found["policy"]}

    def delete_repository_policy(self, repositoryName: str) -> Answer:
        return {"policyText": self._found(repositoryName).pop("policy")}

    def describe_images(self, repositoryName: str, imageIds: list[dict[str, str]]) -> Answer:
        self._found(repositoryName)
        digests = {f"sha256:{hashlib.sha256(tag.encode()).hexdigest()}" for tag in self.images.tags}
        for image in imageIds:
            tag, digest = image.get("imageTag"), image.get("imageDigest")
            found = f"sha256:{hashlib.sha256(tag.encode()).hexdigest()}" if tag else digest
            if found in digests:
                return {"imageDetails": [{"imageDigest": found}]}
        raise missing("ImageNotFoundException", f"image {imageIds} in {repositoryName}")

    def get_authorization_token(self) -> Answer:
        token = base64.b64encode(b"AWS:password").decode()
        return {"authorizationData": [{"authorizationToken": token, "proxyEndpoint": "https://registry.test"}]}

    def _found(self, name: str) -> Answer:
        if name not in self.repositories:
            raise missing("RepositoryNotFoundException", f"repository {name}")
        return self.repositories[name]

    def _named(self, arn: str) -> Answer:
        return self._found(arn.partition(":repository/")[2])


@dataclass
class Iam:
    """Roles and their inline policies."""

    roles: dict[str, Answer] = field(default_factory=dict)
    policies: dict[tuple[str, str], str] = field(default_factory=dict)

    def create_role(
        self, RoleName: str, AssumeRolePolicyDocument: str, Tags: list[dict[str, str]], Description: str = ""
    ) -> Answer:
        if RoleName in self.roles:
            raise RefusalError("EntityAlreadyExists", f"Role with name {RoleName} already exists", 409)
        self.roles[RoleName] = {"trust": AssumeRolePolicyDocument, "tags": tag_map(Tags)}
        return {"Role": self._role(RoleName)}

    def get_role(self, RoleName: str) -> Answer:
        return {"Role": self._role(RoleName)}

    def list_roles(self) -> Answer:
        return {"Roles": [self._role(name) for name in self.roles]}

    def list_role_tags(self, RoleName: str) -> Answer:
        return {"Tags": tag_list(self._found(RoleName)["tags"])}

    def tag_role(self, RoleName: str, Tags: list[dict[str, str]]) -> Answer:
        self._found(RoleName)["tags"].update(tag_map(Tags))
        return {}

    def untag_role(self, RoleName: str, TagKeys: list[str]) -> Answer:
        for key in TagKeys:
            self._found(RoleName)["tags"].pop(key, None)
        return {}

    def update_assume_role_policy(self, RoleName: str, PolicyDocument: str) -> Answer:
        self._found(RoleName)["trust"] = PolicyDocument
        return {}

    def put_role_policy(self, RoleName: str, PolicyName: str, PolicyDocument: str) -> Answer:
        self._found(RoleName)
        self.policies[RoleName, PolicyName] = PolicyDocument
        return {}

    def get_role_policy(self, RoleName: str, PolicyName: str) -> Answer:
        if (RoleName, PolicyName) not in self.policies:
            raise missing("NoSuchEntity", f"policy {PolicyName} of {RoleName}", 404)
        return {"PolicyDocument": self.policies[RoleName, PolicyName]}

    def delete_role_policy(self, RoleName: str, PolicyName: str) -> Answer:
        self.get_role_policy(RoleName, PolicyName)
        del self.policies[RoleName, PolicyName]
        return {}

    def delete_role(self, RoleName: str) -> Answer:
        self._found(RoleName)
        if any(role == RoleName for role, _ in self.policies):
            raise RefusalError("DeleteConflict", "Cannot delete entity, must delete policies first", 409)
        del self.roles[RoleName]
        return {}

    def _role(self, name: str) -> Answer:
        found = self._found(name)
        return {"RoleName": name, "AssumeRolePolicyDocument": _parsed(found["trust"]), "Tags": tag_list(found["tags"])}

    def _found(self, name: str) -> Answer:
        if name not in self.roles:
            raise missing("NoSuchEntity", f"role {name}", 404)
        return self.roles[name]


def _parsed(policy: str) -> Answer:
    found: Answer = json.loads(policy)
    return found


@dataclass
class S3:
    """Buckets and objects: key -> content and when it was written."""

    region: str
    clock: Any
    buckets: dict[str, Answer] = field(default_factory=dict)

    def create_bucket(self, Bucket: str, CreateBucketConfiguration: Mapping[str, str] | None = None) -> Answer:
        if Bucket in self.buckets:
            raise RefusalError("BucketAlreadyOwnedByYou", f"bucket {Bucket} is yours", 409)
        region = (CreateBucketConfiguration or {}).get("LocationConstraint", "us-east-1")
        self.buckets[Bucket] = {"region": region, "objects": {}}
        return {}

    def list_buckets(self) -> Answer:
        return {"Buckets": [{"Name": name} for name in self.buckets]}

    def head_bucket(self, Bucket: str) -> Answer:
        if Bucket not in self.buckets:
            raise RefusalError("404", "Not Found", 404)
        return {"BucketRegion": self.buckets[Bucket]["region"]}

    def delete_bucket(self, Bucket: str) -> Answer:
        if self._found(Bucket)["objects"]:
            raise RefusalError("BucketNotEmpty", "The bucket you tried to delete is not empty", 409)
        del self.buckets[Bucket]
        return {}

    def put_bucket_tagging(self, Bucket: str, Tagging: Answer) -> Answer:
        self._found(Bucket)["tags"] = tag_map(Tagging["TagSet"])
        return {}

    def get_bucket_tagging(self, Bucket: str) -> Answer:
        if "tags" not in (found := self._found(Bucket)):
            raise missing("NoSuchTagSet", "the TagSet", 404)
        return {"TagSet": tag_list(found["tags"])}

    def put_public_access_block(self, Bucket: str, PublicAccessBlockConfiguration: Answer) -> Answer:
        self._found(Bucket)["block"] = PublicAccessBlockConfiguration
        return {}

    def get_public_access_block(self, Bucket: str) -> Answer:
        if "block" not in (found := self._found(Bucket)):
            raise missing("NoSuchPublicAccessBlockConfiguration", "the configuration", 404)
        return {"PublicAccessBlockConfiguration": found["block"]}

    def put_object(self, Bucket: str, Key: str, Body: bytes) -> Answer:
        self._found(Bucket)["objects"][Key] = (bytes(Body), self.clock())
        return {}

    def get_object(self, Bucket: str, Key: str) -> Answer:
        objects = self._found(Bucket)["objects"]
        if Key not in objects:
            raise missing("NoSuchKey", "the specified key", 404)
        content, written = objects[Key]
        return {"Body": io.BytesIO(content), "LastModified": datetime.fromtimestamp(int(written), UTC)}

    def list_objects_v2(self, Bucket: str, Prefix: str = "") -> Answer:
        objects = self._found(Bucket)["objects"]
        listed = [(key, content) for key, (content, _) in sorted(objects.items()) if key.startswith(Prefix)]
        found = [{"Key": key, "ETag": hashlib.md5(content).hexdigest()} for key, content in listed]
        return {"Contents": found} if found else {}

    def delete_objects(self, Bucket: str, Delete: Answer) -> Answer:
        for each in Delete["Objects"]:
            self._found(Bucket)["objects"].pop(each["Key"], None)
        return {}

    def _found(self, name: str) -> Answer:
        if name not in self.buckets:
            raise missing("NoSuchBucket", "the specified bucket", 404)
        return self.buckets[name]


class Sts:
    """Whose account it is."""

    def get_caller_identity(self) -> Answer:
        return {"Account": ACCOUNT, "Arn": f"arn:aws:sts::{ACCOUNT}:user/moto"}
