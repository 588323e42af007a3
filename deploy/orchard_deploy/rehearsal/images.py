"""The images in ECR's repositories: in name only, or pushed to a registry on loopback in the place of ECR's own."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orchard_deploy.errors import EngineError

_REPOSITORIES = "docker/registry/v2/repositories"
_CONFIG = """version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}}}, delete: {{enabled: true}}}}
http: {{addr: "{host}"}}
"""


@dataclass
class Images:
    """Images in name only, of these tags in each repository; or those of the registry at `host`, in its folder."""

    tags: frozenset[str] = frozenset()
    host: str = ""
    folder: Path | None = None

    def manifests(self, repository: str) -> dict[str, str]:
        """The manifest of each image in a repository, by its tag."""
        if self.folder is None:
            usual = {"schemaVersion": 2, "config": {"size": 2, "digest": f"sha256:{0:064}"}, "layers": []}
            return {tag: json.dumps({**usual, "tag": tag}) for tag in sorted(self.tags)}
        links = sorted((self.folder / _REPOSITORIES / repository).glob("_manifests/tags/*/current/link"))
        return {link.parents[1].name: self._blob(self.folder, link.read_text().partition(":")[2]) for link in links}

    def forget(self, repository: str) -> None:
        """Delete the images of a repository."""
        if self.folder:
            shutil.rmtree(self.folder / _REPOSITORIES / repository, ignore_errors=True)

    @staticmethod
    def _blob(folder: Path, digest: str) -> str:
        return (folder / f"docker/registry/v2/blobs/sha256/{digest[:2]}/{digest}/data").read_text()


@contextmanager
def registry() -> Iterator[Images]:
    """A registry that runs to the end of the block; its images go with it.

    Raises:
        EngineError: there is no such program here, or it does not start.
    """
    program = shutil.which("docker-registry") or shutil.which("registry")  # Debian's name, and the project's own
    if not program:
        raise EngineError("registry: not found: install docker-registry (Debian), or rehearse --without-docker")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="orchard-registry-") as name:
        found, config = Images(host=f"127.0.0.1:{port}", folder=Path(name, "images")), Path(name, "config.yml")
        config.write_text(_CONFIG.format(folder=found.folder, host=found.host), encoding="utf-8")
        process = subprocess.Popen(
            [program, "serve", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            _await(port, process)
            yield found
        finally:
            process.terminate()
            process.wait(30)


def _await(port: int, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise EngineError(f"registry on port {port}: it does not start (exit code {process.returncode})")
