"""Bake a backbone: find its weights, check them, write the run-time model, the Keras weights and a manifest into one folder.

    sources (first that matches)  ->  arrays, fingerprint checked  ->  .weights.h5 + .tflite + manifest.json

The same bake serves the container image (`--output`) and a laptop (`orchard weights`, in the user's cache). The folder appears
complete or not at all; of two bakes at once the second waits and finds it done.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orchard.errors import OrchardError, WeightsError
from orchard.network.backbones import BACKBONES, MOBILENET_V2, Backbone, get_backbone
from orchard.network.bake.arrays import Array, Layout, check_fingerprint, fingerprint, read_arrays, sha256
from orchard.network.bake.export import KerasNetwork, Network
from orchard.network.bake.sources import FileSource, Source, sources_of
from orchard.network.weights import MANIFEST, cached_weights_folder, check_weights

SCHEMA_VERSION = 1

Say = Callable[[str], None]
MakeNetwork = Callable[[Backbone], Network]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a bake left.

    Attributes:
        folder: the baked folder.
        baked: False where it was there already.
        manifest: content of its `manifest.json`.
    """

    folder: Path
    baked: bool
    manifest: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Found:
    """Weights that have the wanted fingerprint, and where they were found."""

    arrays: Sequence[Array]
    source: Source
    file_sha256: str


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def bake(
    backbone: Backbone,
    folder: Path,
    *,
    sources: Sequence[Source],
    force: bool = False,
    say: Say = _say,
    make_network: MakeNetwork = KerasNetwork,
) -> Outcome:
    """Make `folder` hold the baked backbone, unless it does already.

    Args:
        sources: tried in this order.
        force: bake even if `folder` is in order.

    Raises:
        WeightsError: no source has weights with the backbone's fingerprint, or `folder` cannot be written or holds other things.
    """
    folder = folder.resolve()
    try:
        # Before anything is written: a baked folder may be read-only.
        if not force and _is_baked(backbone, folder):
            return _outcome(folder, baked=False)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder.parent / f".{folder.name}.lock", say):
            return _bake_locked(backbone, folder, sources=sources, force=force, say=say, make_network=make_network)
    except OSError as exc:
        raise WeightsError(
            f"{folder}: cannot be baked there ({exc}); name another folder with --output, or free this one"
        ) from exc


def find(backbone: Backbone, sources: Sequence[Source], layout: Layout, *, folder: Path, say: Say = _say) -> Found:
    """Read the weights from the first source that has those with the backbone's fingerprint.

    Args:
        folder: for downloads.

    Raises:
        WeightsError: none has; lists every source with its reason, both values where a hash differs.
    """
    reasons = []
    for source in sources:
        try:
            path = source.fetch(folder)
            arrays = read_arrays(path, layout)
            check_fingerprint(arrays, backbone.fingerprint)
            return Found(arrays=arrays, source=source, file_sha256=sha256(path))
        except WeightsError as exc:
            say(f"{source.label}: {exc}")
            reasons.append(f"{source.label}: {exc}")
    wanted = f"{backbone.name}: no source has the weights with fingerprint {backbone.fingerprint}"
    raise WeightsError(f"{wanted}; {'; '.join(reasons)}; give a Keras file of them with --weights FILE")


def vouch(
    backbone: Backbone, source: FileSource, *, accept: bool, make_network: MakeNetwork = KerasNetwork
) -> Backbone:
    """Compare a local file with the backbone's fingerprint.

    Args:
        accept: take other weights too.

    Returns:
        The backbone, with the file's fingerprint.

    Raises:
        WeightsError: the file cannot be read, or has another fingerprint and `accept` is False.
    """
    try:
        actual = fingerprint(read_arrays(source.fetch(source.path.parent), make_network(backbone).layout))
    except WeightsError as exc:
        wanted = f"expected a Keras file of {backbone.name} weights, fingerprint {backbone.fingerprint}"
        raise WeightsError(f"{source.path}: {exc}; {wanted}") from exc
    if actual != backbone.fingerprint and not accept:
        raise WeightsError(
            f"{source.path}: fingerprint is {actual}, expected {backbone.fingerprint} for {backbone.name}; "
            "give the published weights, or add --accept-fingerprint to use these"
        )
    return replace(backbone, fingerprint=actual)


def main(argv: Sequence[str] | None = None, *, prog: str = "python -m orchard.network.bake.bake") -> int:
    """Command line; returns the exit code."""
    args = _parse(argv, prog)
    started = time.monotonic()
    try:
        outcome = _run(args)
    except OrchardError as exc:
        print(f"{prog}: {exc}", file=sys.stderr)
        return exc.exit_code
    _report(outcome, seconds=time.monotonic() - started, as_json=args.json)
    return 0


def _parse(argv: Sequence[str] | None, prog: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=prog, description="Find, check and bake the weights of a backbone.")
    parser.add_argument(
        "--backbone",
        default=MOBILENET_V2.name,
        choices=BACKBONES,
        metavar="NAME",
        help="network to bake (default %(default)s)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="baked folder (default: in the user's cache, where `orchard run` looks)",
    )
    parser.add_argument(
        "--weights", type=Path, metavar="FILE", help="Keras .h5 or .weights.h5 to use instead of the published places"
    )
    parser.add_argument(
        "--accept-fingerprint", action="store_true", help="take --weights even if they are not the published ones"
    )
    parser.add_argument("--force", action="store_true", help="bake again even if the folder is in order")
    parser.add_argument("--json", action="store_true", help="print the folder and its manifest as JSON")
    args = parser.parse_args(argv)
    if args.accept_fingerprint and not args.weights:
        parser.error("--accept-fingerprint goes with --weights FILE")
    return args


def _run(args: argparse.Namespace) -> Outcome:
    published = backbone = get_backbone(args.backbone)
    sources = sources_of(backbone)
    if args.weights:
        local = FileSource(path=args.weights)
        backbone, sources = vouch(backbone, local, accept=args.accept_fingerprint), (local,)
    # Other weights, another folder: the job never takes them from the cache unasked.
    folder = args.output or cached_weights_folder(backbone)
    outcome = bake(backbone, folder, sources=sources, force=args.force)
    if backbone != published:
        _say(
            f"accepted fingerprint {backbone.fingerprint} instead of {published.fingerprint}: run with --weights {outcome.folder}"
        )
    return outcome


def _report(outcome: Outcome, *, seconds: float, as_json: bool) -> None:
    manifest = outcome.manifest
    if as_json:
        print(json.dumps({"folder": str(outcome.folder), "baked": outcome.baked, **manifest}, indent=2))
        return
    what = (
        f"baked in {seconds:.1f} s from {manifest['source']['name']}" if outcome.baked else "already baked and verified"
    )
    print(f"{manifest['backbone']}: {what}, fingerprint {manifest['fingerprint']}, in {outcome.folder}")


def _outcome(folder: Path, *, baked: bool) -> Outcome:
    return Outcome(folder=folder, baked=baked, manifest=json.loads((folder / MANIFEST).read_text(encoding="utf-8")))


def _is_baked(backbone: Backbone, folder: Path, say: Say = lambda _: None) -> bool:
    if not folder.is_dir() or not any(folder.iterdir()):
        return False
    try:
        baked = check_weights(backbone, str(folder))
    except WeightsError as exc:
        say(f"baking again: {exc}")
        return False
    if baked.fingerprint != backbone.fingerprint:
        say(f"baking again: {folder} has fingerprint {baked.fingerprint}, expected {backbone.fingerprint}")
        return False
    return {backbone.tflite_file, backbone.keras_file} <= baked.files.keys()


@contextlib.contextmanager
def _locked(path: Path, say: Say) -> Iterator[None]:
    """Hold the lock file, waiting for whoever has it; the system frees it when a process ends, however it ends."""
    with open(path, "a", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another bake of this folder is running: waiting for it")
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _bake_locked(
    backbone: Backbone, folder: Path, *, sources: Sequence[Source], force: bool, say: Say, make_network: MakeNetwork
) -> Outcome:
    if not force and _is_baked(backbone, folder, say):
        return _outcome(folder, baked=False)
    _check_replaceable(backbone, folder)
    with _work_folder(folder.parent / f".{folder.name}.tmp") as work:
        _fill(backbone, work, sources=sources, say=say, make_network=make_network)
        _put_in_place(work, folder)
    return _outcome(folder, baked=True)


def _check_replaceable(backbone: Backbone, folder: Path) -> None:
    if not folder.exists():
        return
    own = {MANIFEST, backbone.tflite_file, backbone.keras_file}
    foreign = sorted(entry.name for entry in folder.iterdir() if entry.name not in own)
    if foreign:
        raise WeightsError(
            f"{folder}: holds other things ({foreign[0]!r}); name another folder with --output, this one would be replaced"
        )


@contextlib.contextmanager
def _work_folder(work: Path) -> Iterator[Path]:
    """A folder next to the baked one, hence on the same disk; one name, so that a bake finds what a killed one left."""
    shutil.rmtree(work, ignore_errors=True)
    try:
        for name in ("download", "baked"):
            (work / name).mkdir(parents=True)
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _fill(backbone: Backbone, work: Path, *, sources: Sequence[Source], say: Say, make_network: MakeNetwork) -> None:
    say(f"{backbone.name}: building the network")
    network = make_network(backbone)
    say(f"{backbone.name}: looking for weights with fingerprint {backbone.fingerprint}")
    found = find(backbone, sources, network.layout, folder=work / "download", say=say)
    say(f"{backbone.name}: found in {found.source.label}; writing the Keras weights and the LiteRT model")
    tools = network.export(found.arrays, work / "baked")
    manifest = _manifest(backbone, found, tools, work / "baked")
    (work / "baked" / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _manifest(backbone: Backbone, found: Found, tools: dict[str, str], folder: Path) -> dict[str, Any]:
    """What is in the folder, and the contract the job keeps with it; no clock time, so that two bakes can be compared."""
    return {
        "schema_version": SCHEMA_VERSION,
        "backbone": backbone.name,
        **contract(backbone),
        "fingerprint": backbone.fingerprint,
        "source": {"name": found.source.label, "sha256": found.file_sha256},
        "files": {name: sha256(folder / name) for name in (backbone.tflite_file, backbone.keras_file)},
        "tools": tools,
    }


def contract(backbone: Backbone) -> dict[str, Any]:
    """What goes into the model and comes out, as the manifest records it."""
    return {
        "input_size": list(backbone.input_size),
        "preprocessing": {"channels": "RGB", "scale": backbone.pixel_scale, "offset": backbone.pixel_offset},
        "feature_size": backbone.feature_size,
    }


def _put_in_place(work: Path, folder: Path) -> None:
    for path in (work / "baked").iterdir():
        with open(path, "rb") as stream:
            os.fsync(stream.fileno())
    if folder.exists():
        os.rename(folder, work / "old")
    os.rename(work / "baked", folder)


if __name__ == "__main__":
    sys.exit(main())
