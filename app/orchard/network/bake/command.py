"""The command line of the bake: `orchard weights`; as a module of its own in the build of the image."""

import argparse
import json
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

from orchard.errors import OrchardError, UsageError
from orchard.network.backbones import BACKBONES, MOBILENET_V2
from orchard.network.weights import MANIFEST, cached_weights_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    parser.description = "Find a backbone's published weights, check their fingerprint, and write what a run uses."
    add = parser.add_argument
    add("--backbone", default=MOBILENET_V2.name, choices=BACKBONES, help="network (default %(default)s)")
    add("--output", type=Path, metavar="DIR", help="baked folder (default: in the user's cache)")
    add("--weights", type=Path, metavar="FILE", help="weights to use instead of a download: .h5, .weights.h5 or .pth")
    add("--accept-fingerprint", action="store_true", help="use --weights even if they are not the published ones")
    add("--force", action="store_true", help="bake again even if the folder is in order")
    add("--json", action="store_true", help="print the folder and its manifest as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Bake as the flags say; returns the exit code; `UsageError` for flags that do not go together, else as `bake`."""
    if arguments.accept_fingerprint and not arguments.weights:
        raise UsageError("--accept-fingerprint requires --weights FILE")
    # Here, since they import NumPy.
    from orchard.network.bake.bake import bake
    from orchard.network.bake.models import Network
    from orchard.network.bake.sources import from_file, open_source

    backbone = BACKBONES[arguments.backbone]
    given = arguments.weights
    sources = [from_file(given, backbone.sources)] if given else [open_source(one) for one in backbone.sources]
    if arguments.accept_fingerprint:
        backbone = replace(backbone, fingerprint=sources[0].load(Network(backbone))[0])
    # Another fingerprint, another folder: a run uses other weights only where --weights names them.
    folder = (arguments.output or cached_weights_folder(backbone)).resolve()
    log = partial(print, "orchard:", file=sys.stderr, flush=True)
    baked = bake(backbone, folder, sources, log, force=arguments.force)
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    if arguments.json:
        print(json.dumps({"folder": str(folder), "baked": baked, **manifest}, indent=2))
    else:
        done = f"baked from {manifest['source']['name']}" if baked else "already baked"
        print(f"{backbone.name}: {done}, fingerprint {manifest['fingerprint']}, in {folder}")
    return 0


if __name__ == "__main__":
    add_arguments(parser := argparse.ArgumentParser(prog="python -m orchard.network.bake.command"))
    try:
        sys.exit(run(parser.parse_args()))
    except OrchardError as error:
        print(f"orchard: error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
