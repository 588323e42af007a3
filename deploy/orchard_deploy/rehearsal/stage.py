"""The rehearsal's backends in moto: under `moto.mock_aws` in this process, or over HTTP by moto's server."""

import logging
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from moto.cloudformation.models import cloudformation_backends
from moto.core.base_backend import BackendDict
from moto.ecr.models import ecr_backends
from moto.emrcontainers.models import emrcontainers_backends
from moto.emrserverless.models import emrserverless_backends
from moto.moto_api import recorder
from moto.s3.models import s3_backends
from moto.server import ThreadedMotoServer

from orchard_deploy.image.tag import image_name
from orchard_deploy.rehearsal import runners
from orchard_deploy.rehearsal.images import Ecr, Images, registry
from orchard_deploy.rehearsal.services import Containers, Serverless
from orchard_deploy.rehearsal.settings import LOCK, Settings, Timings
from orchard_deploy.rehearsal.stacks import Stacks
from orchard_deploy.site import Account, Site
from orchard_deploy.spec import Spec
from orchard_deploy.targets import EKS, spec_for

# The account that moto plays, seconds between two looks at what has become of everything, times as fast as AWS.
ACCOUNT, _TICK, _SPEED = "123456789012", 0.05, 20
_TICKED: dict[Any, Any] = {
    cloudformation_backends: Stacks,
    emrserverless_backends: Serverless,
    emrcontainers_backends: Containers,
}
_OURS = {**_TICKED, ecr_backends: Ecr}


@contextmanager
def rehearsed(spec: Spec, tree: Path, region: str, *, photos: Path | None, docker: bool) -> Iterator[dict[str, str]]:
    """The variables by which the rehearsal is found, which lasts to the end of the block."""
    specs = (spec, spec_for(spec, EKS)) if spec.eks else (spec,)
    tags = frozenset(image_name(tree, each).rpartition(":")[2] for each in specs)
    if docker:
        runners.check_engine()
    with served() as url, registry() if docker else nullcontext(Images(tags)) as images:
        environ = environment(region, url)

        start = runners.image_process if docker else runners.tree_process
        # A run takes the time it takes, so its timeout is not made shorter.
        timings = replace(Timings().faster(_SPEED), minute=60.0)
        settings = Settings(run=lambda order: start(order, environ, images.host), timings=timings, images=images)
        with registered(settings):
            if photos:
                settings.changed = partial(_upload, Site(spec, Account(id=ACCOUNT, region=region)), photos)
                settings.changed()
            yield environ


def _upload(site: Site, folder: Path) -> None:
    """Put the photos into the input: as soon as the stack has made its bucket; into one of somebody's own at once."""
    location, backend = site.input, s3_backends[site.account.id]["aws"]
    if location.bucket not in backend.buckets and location.bucket != site.bucket:
        backend.create_bucket(location.bucket, site.account.region)
    if location.bucket in backend.buckets and not backend.buckets[location.bucket].keys:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            key = f"{location.prefix}/{path.relative_to(folder).as_posix()}"
            backend.put_object(location.bucket, key, path.read_bytes())


@contextmanager
def registered(settings: Settings) -> Iterator[None]:
    """Let moto answer by the rehearsal's backends to the end of the block; then what they held is gone."""
    BackendDict.reset()
    with ExitStack() as stack:
        for known, own in _OURS.items():
            stack.enter_context(patch.object(known, "backend", type(own.__name__, (own,), {"settings": settings})))
        # moto calls this before each request, in this process as over HTTP.
        stack.enter_context(patch.object(recorder, "_record_request", lambda request, body=None: tick()))
        stack.callback(BackendDict.reset)
        yield


def tick() -> None:
    """Let stacks, applications and runs become what they are by now."""
    with LOCK:
        for known in _TICKED:
            for _, _, backend in list(known.iter_backends()):
                backend.tick()


@contextmanager
def served() -> Iterator[str]:
    """The address of moto's server, to the end of the block."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server, stopping = ThreadedMotoServer("127.0.0.1", 0, verbose=False), threading.Event()

    def look() -> None:
        while not stopping.wait(_TICK):
            tick()

    ticking = threading.Thread(target=look, daemon=True)
    server.start()
    ticking.start()
    try:
        yield "http://{}:{}".format(*server.get_host_and_port())
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
