"""Everything of a rehearsal together.

Moto's server, a place for images, the EMR services, and one address for all of it.
"""

from __future__ import annotations

import atexit
import http.client
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from deploy.errors import SpecError
from deploy.record import FOLDER_VARIABLE
from deploy.rehearsal.containers import Containers
from deploy.rehearsal.faults import Faults
from deploy.rehearsal.orders import Runner
from deploy.rehearsal.registry import StandIn
from deploy.rehearsal.server import Endpoint
from deploy.rehearsal.serverless import Serverless
from deploy.rehearsal.timings import Timings
from deploy.rehearsal.world import World

# Makes what runs a job: from the environment that jobs get, and the place of the images.
RunnerFactory = Callable[[Mapping[str, str], StandIn], Runner]
# Makes the place of the images: from moto's address and the region.
ImagesFactory = Callable[[str, str], AbstractContextManager[StandIn]]


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """A rehearsal under way.

    Attributes:
        environ: what a command needs in its environment to talk to it, and to keep its records for as long as it lasts.
        moto: address of moto's server, for looking behind the scenes.
    """

    url: str
    moto: str
    environ: Mapping[str, str]
    serverless: Serverless
    containers: Containers
    faults: Faults
    world: World
    images: StandIn


@contextmanager
def rehearsal(
    *,
    region: str,
    runner: RunnerFactory,
    timings: Timings,
    images: ImagesFactory,
    clusters: frozenset[str] = frozenset(),
    port: int = 0,
    full: int = 128 << 20,
    clock: Callable[[], float] = time.time,
) -> Iterator[Rehearsal]:
    """A rehearsal that lasts to the end of the block and leaves nothing behind.

    Args:
        clusters: ids of the virtual clusters that there are.
        full: bytes that fill a log file.
        clock: seconds since 1970.

    Raises:
        SpecError: moto is not installed. EngineError: no registry can be started.
    """
    with ExitStack() as stack:
        records = Path(stack.enter_context(TemporaryDirectory(prefix="orchard-rehearsal-"))) / "records"
        moto = stack.enter_context(_moto())
        mirror = stack.enter_context(images(moto, region))
        job_environ = environment(moto, region)
        world, faults, runs = World(moto, region, mirror), Faults(), runner(job_environ, mirror)
        emr = Serverless(region=region, world=world, runner=runs, timings=timings, clock=clock, full=full)
        eks = Containers(region=region, world=world, runner=runs, timings=timings, clock=clock, clusters=clusters)
        beyond = moto.removeprefix("http://")
        endpoint = Endpoint(
            {emr.name: emr, eks.name: eks}, beyond, faults, port=port, before=mirror.before, after=mirror.after
        )
        stack.callback(emr.close)
        stack.callback(eks.close)
        url = stack.enter_context(endpoint.serving())
        yield Rehearsal(
            url=url,
            moto=moto,
            environ={**environment(url, region), FOLDER_VARIABLE: str(records)},
            serverless=emr,
            containers=eks,
            faults=faults,
            world=world,
            images=mirror,
        )


def environment(endpoint: str, region: str) -> dict[str, str]:
    """The variables by which botocore finds an endpoint instead of AWS."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_ACCESS_KEY_ID": "rehearsal",
        "AWS_SECRET_ACCESS_KEY": "rehearsal",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }


@contextmanager
def _moto() -> Iterator[str]:
    """Moto's server, with nothing in it; all rehearsals of a process share it, as they would what moto holds."""
    host = _server()
    _reset(host)
    try:
        yield f"http://{host}"
    finally:
        _reset(host)


@cache
def _server() -> str:
    """Start moto's server, until the process ends; gives host:port."""
    try:
        from moto.server import ThreadedMotoServer
    except ModuleNotFoundError as exc:
        raise SpecError(f"{exc.name}: not installed: pip install 'orchard[rehearse]'") from exc
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    atexit.register(server.stop)
    host, port = server.get_host_and_port()
    return f"{host}:{port}"


def _reset(host: str) -> None:
    """Forget what a rehearsal left."""
    connection = http.client.HTTPConnection(host, timeout=30)
    try:
        connection.request("POST", "/moto-api/reset")
        connection.getresponse().read()
    finally:
        connection.close()
