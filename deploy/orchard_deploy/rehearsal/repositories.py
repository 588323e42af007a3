"""ECR: moto's, with the images that were pushed, and the policies by which EMR Serverless reads them."""

from __future__ import annotations

import hashlib
import json
import re
from fnmatch import fnmatch
from types import SimpleNamespace
from typing import Any, ClassVar

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.ecr.models import ECRBackend, Image
from moto.ecr.responses import ECRResponse
from moto.ecr.urls import url_bases

from orchard_deploy.rehearsal.settings import Settings, invalid

_IMAGE = re.compile(r"\d{12}\.dkr\.ecr\.([a-z0-9-]+)\.[a-z.]+/([^:@]+)@(.+)")
_READING = ("ecr:BatchGetImage", "ecr:DescribeImages", "ecr:GetDownloadUrlForLayer")
_SERVICE = "emr-serverless.amazonaws.com"


class Ecr(ECRBackend):
    """The service in one region."""

    settings: ClassVar[Settings]

    @property
    def _url_module(self) -> Any:
        return SimpleNamespace(url_bases=url_bases, url_paths={"{0}/$": _Response.dispatch})

    def describe_images(self, repository_name: str, *given: Any, **named: Any) -> Any:
        """Images; first, moto's repository gets those that there are by now."""
        found = self._get_repository(repository_name, None)
        known = {tag for image in found.images for tag in image.image_tags}
        for tag, manifest in self.settings.images.manifests(repository_name).items():
            digest = f"sha256:{hashlib.sha256(manifest.encode()).hexdigest()}"
            new = Image(self.account_id, tag, manifest, repository_name, digest=digest)
            found.images += [] if tag in known else [new]
        return super().describe_images(repository_name, *given, **named)

    def check(self, image: str, source: str | None = None) -> None:
        """Refuse an image that is not there, or not for EMR Serverless and its application, the ARN `source`, to read.

        Raises:
            Refusal: so, or the image is not named by its digest, which alone means one image at all times.
        """
        found = _IMAGE.fullmatch(image)
        if not found or found[1] != self.region_name:
            raise invalid(f"imageUri {image}: the image must be in ECR in {self.region_name}, named by its digest")
        try:
            repository = self._get_repository(found[2], None)
            self.describe_images(found[2], image_ids=[{"imageDigest": found[3]}])
        except ServiceException as exc:
            raise invalid(f"imageUri {image}: {exc.message}") from exc
        for action in _READING if source else ():
            if not allows(repository.policy, action, source or ""):
                raise invalid(f"{_SERVICE} is not authorized to perform: {action} on resource: {repository.arn}")

    def delete_repository(self, repository_name: str, *given: Any, **named: Any) -> Any:
        """Delete a repository, and what was pushed to it."""
        deleted = super().delete_repository(repository_name, *given, **named)
        self.settings.images.forget(repository_name)
        return deleted


def allows(policy: str | None, action: str, source: str) -> bool:
    """Whether a resource's policy lets EMR Serverless do something on behalf of an application, given by its ARN."""
    context = {"aws:SourceAccount": source.split(":")[4], "aws:SourceArn": source}
    for each in json.loads(policy or "{}").get("Statement", ()):
        whom = each["Effect"], each.get("Principal", {}).get("Service")
        conditions = [pair for test in each.get("Condition", {}).values() for pair in test.items()]
        holds = all(fnmatch(context.get(key, ""), pattern) for key, pattern in conditions)
        if whom == ("Allow", _SERVICE) and action in each["Action"] and holds:
            return True
    return False


class _Response(ECRResponse):
    def get_authorization_token(self) -> Any:
        """A login: to the registry, where there is one."""
        answered: Any = super().get_authorization_token().result
        backend: Any = self.ecr_backend
        for data in answered["authorizationData"] if (host := backend.settings.images.host) else ():
            data["proxyEndpoint"] = f"http://{host}"
        return ActionResult(answered)
