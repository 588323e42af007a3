"""The rehearsal's backends in moto: under `moto.mock_aws` in this process, or over HTTP by moto's server."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from moto.cloudformation.models import cloudformation_backends
from moto.core.base_backend import BackendDict
from moto.ecr.models import ecr_backends
from moto.emrcontainers.models import emrcontainers_backends
from moto.emrserverless.models import emrserverless_backends
from moto.moto_api import recorder
from moto.server import ThreadedMotoServer

from orchard_deploy.errors import SpecError
from orchard_deploy.rehearsal.repositories import Ecr
from orchard_deploy.rehearsal.services import Containers, Serverless
from orchard_deploy.rehearsal.settings import Settings
from orchard_deploy.rehearsal.stacks import Stacks

# The account that moto plays, and seconds between two looks at what has become of everything.
ACCOUNT, _TICK = "123456789012", 0.05
_TICKED: dict[Any, Any] = {
    cloudformation_backends: Stacks,
    emrserverless_backends: Serverless,
    emrcontainers_backends: Containers,
}
_OURS: dict[Any, Any] = {**_TICKED, ecr_backends: Ecr}
_ONE_AT_A_TIME = threading.RLock()


@contextmanager
def registered(settings: Settings) -> Iterator[None]:
    """Let moto answer by the rehearsal's backends to the end of the block; then what they held is gone."""
    originals = {known: known.backend for known in _OURS}
    BackendDict.reset()
    # moto calls this before each request, in this process as over HTTP.
    recorder._record_request = lambda request, body=None: tick()  # type: ignore[method-assign]
    try:
        for known, own in _OURS.items():
            known.backend = type(own.__name__, (own,), {"settings": settings})
        yield
    finally:
        BackendDict.reset()
        del recorder._record_request
        for known, original in originals.items():
            known.backend = original


def tick() -> None:
    """Let stacks, applications and runs become what they are by now."""
    with _ONE_AT_A_TIME:
        for known in _TICKED:
            for _, _, backend in list(known.iter_backends()):
                backend.tick()


@contextmanager
def served(port: int = 0) -> Iterator[str]:
    """The address of moto's server, to the end of the block; `SpecError` where the port is not free."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except (OSError, OverflowError) as exc:
        reason = str(getattr(exc, "strerror", None) or exc).partition(" (")[0]
        raise SpecError(f"--port {port}: {reason}: choose another one") from exc
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server, stopping = ThreadedMotoServer("127.0.0.1", port, verbose=False), threading.Event()

    def look() -> None:
        while not stopping.wait(_TICK):
            tick()

    ticking = threading.Thread(target=look, daemon=True)
    server.start()
    ticking.start()
    try:
        host, found = server.get_host_and_port()
        yield f"http://{host}:{found}"
    finally:
        stopping.set()
        ticking.join()
        server.stop()


def environment(region: str, endpoint: str = "") -> dict[str, str]:
    """The variables by which botocore finds the rehearsal, at an endpoint or in this process, instead of AWS."""
    return {
        **dict.fromkeys(("AWS_REGION", "AWS_DEFAULT_REGION"), region),
        **dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "rehearsal"),
        "AWS_EC2_METADATA_DISABLED": "true",
        **dict.fromkeys(("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"), "/dev/null"),
        **({"AWS_ENDPOINT_URL": endpoint} if endpoint else {}),
    }
