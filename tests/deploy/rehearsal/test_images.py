"""A registry in ECR's place, without an engine: what is pushed by its API is in moto's ECR."""

from __future__ import annotations

import hashlib
import http.client
import json
import shutil

import boto3
import pytest
from orchard_deploy.rehearsal.images import Images, registry

from tests.deploy.conftest import enter
from tests.deploy.rehearsal.account import in_memory

CONFIG = "application/vnd.docker.container.image.v1+json"
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def push(found: Images, tag: str) -> str:
    """Push an image without layers; gives its digest."""
    connection, content = http.client.HTTPConnection(found.host), tag.encode()
    connection.request("POST", "/v2/orchard/blobs/uploads/")
    answer = connection.getresponse()
    answer.read()
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    location = answer.headers["Location"].partition(found.host)[2]
    connection.request("PUT", f"{location}&digest={digest}", body=content)
    connection.getresponse().read()
    config = {"mediaType": CONFIG, "size": len(content), "digest": digest}
    manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": []})
    connection.request("PUT", f"/v2/orchard/manifests/{tag}", body=manifest, headers={"Content-Type": MANIFEST})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return str(answer.headers["Docker-Content-Digest"])


@pytest.mark.skipif(not shutil.which("docker-registry"), reason="no docker-registry on this machine")
def test_what_is_pushed_is_in_ecr(monkeypatch: pytest.MonkeyPatch) -> None:
    with registry() as found, in_memory(images=found) as account:
        enter(account, monkeypatch)
        ecr = boto3.client("ecr")
        ecr.create_repository(repositoryName="orchard", imageTagMutability="IMMUTABLE")
        assert ecr.get_authorization_token()["authorizationData"][0]["proxyEndpoint"] == f"http://{found.host}"
        pushed = {tag: push(found, tag) for tag in ("one", "two")}
        listed = ecr.describe_images(repositoryName="orchard", imageIds=[{"imageDigest": pushed["one"]}])
        assert listed["imageDetails"][0]["imageTags"] == ["one"]
        assert {each["imageDigest"] for each in ecr.describe_images(repositoryName="orchard")["imageDetails"]} == {
            *pushed.values()
        }
