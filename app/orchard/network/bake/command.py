"""The command line of the bake: `orchard weights`; as a module of its own in the build of the image."""

import argparse
import json
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

from orchard.errors import OrchardError, UsageError
from orchard.network.backbones import MOBILENET_V2, get_backbone
from orchard.network.choice import choose_backbone, is_folder
from orchard.network.weights import cached_weights_folder, read_manifest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    parser.description = "Find a backbone's published weights, check their fingerprint, and write what a run uses."
    add = parser.add_argument
    text = "network (default %(default)s); the path of a baked folder is checked"
    add("--backbone", default=MOBILENET_V2.name, metavar="NAME", help=text)
    add("--output", type=Path, metavar="DIR", help="baked folder (default: in the user's cache)")
    add("--weights", type=Path, metavar="FILE", help="weights to use instead of a download: .h5, .weights.h5 or .pth")
    add("--accept-fingerprint", action="store_true", help="use --weights even if they are not the published ones")
    add("--force", action="store_true", help="bake again even if the folder is in order")
    add("--json", action="store_true", help="print the folder and its manifest as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Bake as the flags say; returns the exit code; `UsageError` for flags that do not go together, else as `bake`."""
    if arguments.accept_fingerprint and not arguments.weights:
        raise UsageError("--accept-fingerprint requires --weights FILE")
    folder, baked = _check(arguments) if is_folder(arguments.backbone) else _bake(arguments)
    manifest = read_manifest(str(folder))
    if arguments.json:
        print(json.dumps({"folder": str(folder), "baked": baked, **manifest}, indent=2))
    else:
        done = f"baked from {manifest['source']['name']}" if baked else "already baked"
        print(f"{manifest['backbone']}: {done}, fingerprint {manifest['fingerprint']}, in {folder}")
    return 0


def _check(arguments: argparse.Namespace) -> tuple[Path, bool]:
    """A folder is only checked: what is baked into it is not published."""
    if given := [f"--{name}" for name in ("output", "weights", "force") if getattr(arguments, name)]:
        raise UsageError(f"--backbone {arguments.backbone}: is a baked folder: leave out {', '.join(given)}")
    return Path(choose_backbone(arguments.backbone)[1].folder), False


def _bake(arguments: argparse.Namespace) -> tuple[Path, bool]:
    """The folder, and whether it was baked now."""
    # Here, since they import NumPy.
    from orchard.network.bake.bake import bake
    from orchard.network.bake.models import Network
    from orchard.network.bake.sources import from_file, open_source

    backbone, given = get_backbone(arguments.backbone), arguments.weights
    sources = [from_file(given, backbone.sources)] if given else [open_source(one) for one in backbone.sources]
    if arguments.accept_fingerprint:
        backbone = replace(backbone, fingerprint=sources[0].load(Network(backbone))[0])
    # Another fingerprint, another folder: a run uses other weights only where --weights names them.
    folder = (arguments.output or cached_weights_folder(backbone)).resolve()
    log = partial(print, "orchard:", file=sys.stderr, flush=True)
    return folder, bake(backbone, folder, sources, log, force=arguments.force)


if __name__ == "__main__":
    add_arguments(parser := argparse.ArgumentParser(prog="python -m orchard.network.bake.command"))
    try:
        sys.exit(run(parser.parse_args()))
    except OrchardError as error:
        print(f"orchard: error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
