"""ECR: moto's, with images in name only, or those pushed to a registry on loopback in the place of ECR's own."""

import hashlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

from moto.core.responses import ActionResult
from moto.ecr.models import ECRBackend, Image
from moto.ecr.responses import ECRResponse
from moto.ecr.urls import url_bases

from orchard_deploy.errors import EngineError

_CONFIG = """version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: "{host}"}}
"""


@dataclass
class Images:
    """Images in name only, of these tags in each repository; or those of the registry at `host`, in its folder."""

    tags: frozenset[str] = frozenset()
    host: str = ""
    folder: Path | None = None

    def digests(self, repository: str) -> dict[str, str]:
        """The digest of each image in a repository, by its tag."""
        if self.folder is None:
            return {tag: f"sha256:{hashlib.sha256(tag.encode()).hexdigest()}" for tag in self.tags}
        tags = self.folder / "docker/registry/v2/repositories" / repository / "_manifests/tags"
        return {link.parents[1].name: link.read_text() for link in sorted(tags.glob("*/current/link"))}


class Ecr(ECRBackend):
    """The service in one region."""

    settings: ClassVar[Any]

    @property
    def _url_module(self) -> Any:
        return SimpleNamespace(url_bases=url_bases, url_paths={"{0}/$": _Response.dispatch})

    def describe_images(self, repository_name: str, *given: Any, **named: Any) -> Any:
        """Images; first, moto's repository gets those that there are by now."""
        found, digests = self._get_repository(repository_name, None), self.settings.images.digests(repository_name)
        found.images = [Image(self.account_id, tag, "{}", repository_name, digest=digests[tag]) for tag in digests]
        return super().describe_images(repository_name, *given, **named)


class _Response(ECRResponse):
    def get_authorization_token(self) -> Any:
        """A login: to the registry, where there is one."""
        backend: Any = self.ecr_backend
        answered: Any = super().get_authorization_token().result
        if host := backend.settings.images.host:
            answered["authorizationData"][0]["proxyEndpoint"] = f"http://{host}"
        return ActionResult(answered)


@contextmanager
def registry() -> Iterator[Images]:
    """A registry that runs to the end of the block, with its images; `EngineError` if there is none, or it fails."""
    program = shutil.which("docker-registry") or shutil.which("registry")  # Debian's name, and the project's own
    if not program:
        raise EngineError("registry: not found: install docker-registry (Debian), or rehearse --without-docker")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="orchard-registry-") as name:
        found, config = Images(host=f"127.0.0.1:{port}", folder=Path(name, "images")), Path(name, "config.yml")
        config.write_text(_CONFIG.format(folder=found.folder, host=found.host), encoding="utf-8")
        command, quiet = [program, "serve", str(config)], subprocess.DEVNULL
        with subprocess.Popen(command, stdout=quiet, stderr=quiet) as process:
            try:
                while not _listens(port):
                    if process.poll() is not None:
                        raise EngineError(f"{program}: it does not start (exit code {process.returncode})")
                    time.sleep(0.05)
                yield found
            finally:
                process.terminate()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
