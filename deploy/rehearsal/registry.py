"""Where the images are.

A registry on loopback in the place of ECR's own, whose images show up in moto's ECR; or a stand-in for it.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError

from deploy.errors import EngineError

# The account that moto plays.
ACCOUNT = "123456789012"


@cache
def _session(region: str) -> Any:
    return boto3.session.Session(aws_access_key_id="rehearsal", aws_secret_access_key="rehearsal", region_name=region)


@cache
def moto_client(service: str, endpoint: str, region: str) -> Any:
    """A client of moto's server, which takes any keys; session and clients, slow to make, are made once."""
    return _session(region).client(service, endpoint_url=endpoint)


# Debian's name for the program, and the project's own.
_PROGRAMS = ("docker-registry", "registry")
_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_ACCEPT = f"{_MANIFEST}, application/vnd.oci.image.manifest.v1+json"
_CONFIG = """version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


class StandIn:
    """Images that nobody can push, since there is no Docker engine.

    Moto's ECR has those of these tags as soon as it is asked for them.

    Attributes:
        host: of the registry; empty where there is none.
        tags: of the images that there are.
    """

    def __init__(self, moto: str, region: str, tags: frozenset[str] = frozenset()) -> None:
        self.host, self.tags = "", tags
        self._ecr = moto_client("ecr", moto, region)

    def before(self, service: str, operation: str, body: bytes) -> None:
        """Before moto answers about images: give it those that there are by now."""
        if service != "ecr" or not body:
            return
        asked = json.loads(body)
        if operation == "DescribeImages":
            for image in asked.get("imageIds", ()):
                self.bring(asked["repositoryName"], image.get("imageTag"))
        elif operation == "DeleteRepository":
            self._forget(asked["repositoryName"])

    def after(self, service: str, operation: str, body: bytes) -> bytes:
        """After moto has answered."""
        return body

    def bring(self, repository: str, tag: str | None) -> None:
        """Let moto's repository have the image of this tag, if there is one."""
        if tag in self.tags:
            empty = {
                "mediaType": "application/vnd.docker.container.image.v1+json",
                "size": 2,
                "digest": f"sha256:{'0' * 64}",
            }
            manifest = json.dumps(
                {"schemaVersion": 2, "mediaType": _MANIFEST, "config": empty, "layers": [], "tag": tag}
            )
            self._put(repository, tag, manifest, f"sha256:{hashlib.sha256(manifest.encode()).hexdigest()}")

    def _put(self, repository: str, tag: str | None, manifest: str, digest: str) -> None:
        with contextlib.suppress(ClientError):  # it has it already, or there is no such repository
            self._ecr.put_image(repositoryName=repository, imageTag=tag, imageManifest=manifest, imageDigest=digest)

    def _forget(self, repository: str) -> None:
        """The repository is going to be deleted."""


class Registry(StandIn):
    """A running registry beside moto's ECR."""

    def __init__(self, host: str, moto: str, region: str) -> None:
        super().__init__(moto, region)
        self.host = host

    def after(self, service: str, operation: str, body: bytes) -> bytes:
        """After moto has answered a login: it is for this registry."""
        if service != "ecr" or operation != "GetAuthorizationToken":
            return body
        answer = json.loads(body)
        for data in answer.get("authorizationData", ()):
            data["proxyEndpoint"] = f"http://{self.host}"
        return json.dumps(answer).encode()

    def bring(self, repository: str, tag: str | None) -> None:
        """Let moto's repository have the registry's image of this tag, if there is one."""
        status, digest, manifest = self.ask("GET", f"/v2/{repository}/manifests/{tag}") if tag else (404, "", b"")
        if status == 200:
            self._put(repository, tag, manifest.decode(), digest)

    def _forget(self, repository: str) -> None:
        status, _, listed = self.ask("GET", f"/v2/{repository}/tags/list")
        for tag in (json.loads(listed).get("tags") or ()) if status == 200 else ():
            _, digest, _ = self.ask("GET", f"/v2/{repository}/manifests/{tag}")
            self.ask("DELETE", f"/v2/{repository}/manifests/{digest}")

    def ask(self, method: str, path: str) -> tuple[int, str, bytes]:
        """Status, digest and body of the registry's answer."""
        connection = http.client.HTTPConnection(self.host, timeout=30)
        try:
            connection.request(method, path, headers={"Accept": _ACCEPT})
            answer = connection.getresponse()
            return answer.status, answer.headers.get("Docker-Content-Digest", ""), answer.read()
        finally:
            connection.close()


@contextmanager
def stand_in(moto: str, region: str, *, tags: frozenset[str]) -> Iterator[StandIn]:
    """Images of these tags that exist in name only."""
    yield StandIn(moto, region, tags)


@contextmanager
def registry(moto: str, region: str) -> Iterator[Registry]:
    """A registry that runs to the end of the block; its images go with it.

    Raises:
        EngineError: there is no such program here, or it does not start.
    """
    programs = [found for name in _PROGRAMS if (found := shutil.which(name))]
    if not programs:
        raise EngineError(
            "registry: there is none on this machine: install docker-registry (Debian), or rehearse --without-docker"
        )
    with tempfile.TemporaryDirectory(prefix="orchard-registry-") as folder:
        host = f"127.0.0.1:{_free_port()}"
        config = Path(folder) / "config.yml"
        config.write_text(_CONFIG.format(folder=f"{folder}/images", port=host.rpartition(":")[2]), encoding="utf-8")
        process = subprocess.Popen(
            [programs[0], "serve", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            running = Registry(host, moto, region)
            _await(running, process)
            yield running
        finally:
            process.terminate()
            process.wait(30)


def _await(running: Registry, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if running.ask("GET", "/v2/")[0] == 200:
                return
        except OSError:
            time.sleep(0.05)
    raise EngineError(f"registry on {running.host}: it does not start (exit code {process.poll()})")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
