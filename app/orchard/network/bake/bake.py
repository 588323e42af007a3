"""A bake: weights from the first source that has the right ones, both models, verified, and their manifest.

The folder appears complete or not at all; of two bakes at once the second waits and finds it done.
"""

import contextlib
import fcntl
import json
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from orchard.errors import WeightsError
from orchard.network.backbone import Backbone
from orchard.network.bake.models import Network
from orchard.network.bake.sources import Source
from orchard.network.weights import MANIFEST, check_weights, contract, sha256

Log = Callable[[str], None]


def bake(
    backbone: Backbone,
    folder: Path,
    sources: Sequence[Source],
    log: Log,
    *,
    force: bool = False,
    make: type[Network] = Network,
) -> bool:
    """Make `folder` hold the baked backbone, from the first source that has it; False if it did and not `force`.

    `WeightsError` if no source has the right weights, the models differ, or `folder` has other files or is read-only.
    """
    folder = folder.resolve()
    try:
        # Before anything is written: a baked folder may be read-only.
        if not force and not _fault(backbone, folder):
            return False
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(folder, log):
            fault = "--force" if force else _fault(backbone, folder)
            if fault:
                log(f"baking {backbone.name} ({fault.split('; ')[0]}): a download, and 20 s to a minute")
                _bake(backbone, folder, sources, make)
            return bool(fault)
    except OSError as exc:
        raise WeightsError(f"{folder}: cannot be written ({exc}): choose another --output") from exc


def _fault(backbone: Backbone, folder: Path) -> str:
    """What is wrong with a baked folder; empty if nothing is."""
    try:
        actual = check_weights(backbone, str(folder)).fingerprint
    except WeightsError as exc:
        return str(exc)
    return "" if backbone.fingerprint in ("", actual) else _unexpected(backbone, actual)


def _unexpected(backbone: Backbone, actual: str) -> str:
    return f"fingerprint is {actual}, expected {backbone.fingerprint}"


@contextlib.contextmanager
def locked(folder: Path, log: Log) -> Iterator[None]:
    """Hold the folder's lock, waiting for another holder; the system frees it when a process ends, however it ends."""
    with open(folder.parent / f".{folder.name}.lock", "a", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log("another bake of this folder is running: waiting for it")
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _bake(backbone: Backbone, folder: Path, sources: Sequence[Source], make: type[Network]) -> None:
    check_replaceable(backbone, folder)
    network = make(backbone)
    fingerprint, source = _load(backbone, sources, network)
    write_folder(backbone, network, folder, {"fingerprint": fingerprint, "source": source})


def check_replaceable(backbone: Backbone, folder: Path, others: Collection[str] = ()) -> None:
    """`WeightsError` where the folder has files besides a bake's own and those named `others`."""
    own = {MANIFEST, backbone.tflite_file, backbone.keras_file, *others}
    if folder.exists() and (found := {entry.name for entry in folder.iterdir()} - own):
        raise WeightsError(f"{folder}: holds other files ({min(found)!r}): choose another --output")


def write_folder(
    backbone: Backbone,
    network: Network,
    folder: Path,
    facts: Mapping[str, Any],
    others: Mapping[str, bytes] | None = None,
) -> None:
    """Make or replace `folder`, under its lock: both models of a loaded network, and their manifest with `facts`.

    `others` are more files, by name. `WeightsError` where both models do not agree; then the folder is as it was.
    """
    names = (backbone.tflite_file, backbone.keras_file)
    # Beside the folder, hence on the same disk; of a fixed name, so that a bake removes what a killed one left.
    work = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    try:
        tools = network.export(work)
        for name, content in (others or {}).items():
            (work / name).write_bytes(content)
        # What the models take and give, and their hashes; no clock time, so that two bakes can be compared.
        files = {name: sha256(work / name) for name in names}
        described = {**contract(backbone), "licence": backbone.licence}
        manifest = {"schema_version": 1, **described, "files": files, **facts, "tools": tools}
        (work / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        work.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _load(backbone: Backbone, sources: Sequence[Source], network: Network) -> tuple[str, dict[str, str]]:
    """Load the weights from the first source that has the right ones; their fingerprint, and facts of the file."""
    reasons = []
    for source in sources:
        try:
            actual, facts = source.load(network)
            if actual == backbone.fingerprint or (source.vouched and not backbone.fingerprint):
                return actual, facts
            unknown = f"it is none of the published files, fingerprint {actual}"
            reasons.append(f"{source.name}: {_unexpected(backbone, actual) if backbone.fingerprint else unknown}")
        except WeightsError as exc:
            reasons.append(str(exc))
    raise WeightsError(f"no source has {backbone.name} ({'; '.join(reasons)}): name a file of weights with --weights")
