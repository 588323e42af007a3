"""Check a baked folder from the outside: its bytes, its weights, its shapes, and one picture through both runtimes. No network."""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from orchard.errors import OrchardError, WeightsError
from orchard.network.backbones import BACKBONES, MOBILENET_V2, Backbone, get_backbone
from orchard.network.bake.arrays import check_fingerprint, read_arrays
from orchard.network.bake.bake import contract
from orchard.network.bake.export import KerasNetwork, quiet
from orchard.network.runtimes import make_predict
from orchard.network.weights import MANIFEST, BakedWeights, check_weights
from orchard.photos.decoding import Pixels, decode

TOLERANCE = 1e-4
NEXT_STEP = "bake it again with --force"


def verify(backbone: Backbone, folder: str) -> list[str]:
    """Run every check on a baked folder.

    Returns:
        One line for each check.

    Raises:
        WeightsError: the first check that fails.
    """
    baked = check_weights(backbone, folder)
    return [
        check_manifest(backbone, baked),
        check_arrays(backbone, baked),
        check_shapes(backbone, baked),
        check_picture(backbone, baked),
    ]


def check_manifest(backbone: Backbone, baked: BakedWeights) -> str:
    """Compare the manifest with what the code now takes the model to be; `check_weights` has compared the files."""
    missing = {backbone.tflite_file, backbone.keras_file} - baked.files.keys()
    if missing:
        raise WeightsError(f"{baked.folder}: its manifest does not list {sorted(missing)[0]}; {NEXT_STEP}")
    manifest = json.loads(Path(baked.path(MANIFEST)).read_text(encoding="utf-8"))
    for key, expected in contract(backbone).items():
        if manifest.get(key) != expected:
            raise WeightsError(
                f"{baked.folder}: baked for {key} {manifest.get(key)}, {backbone.name} now has {expected}; {NEXT_STEP}"
            )
    return f"files: {len(baked.files)} match their SHA-256"


def check_arrays(backbone: Backbone, baked: BakedWeights) -> str:
    """Recompute the fingerprint from the Keras weights and compare it with the manifest's."""
    try:
        check_fingerprint(
            read_arrays(Path(baked.path(backbone.keras_file)), KerasNetwork(backbone).layout), baked.fingerprint
        )
    except WeightsError as exc:
        raise WeightsError(f"{baked.folder}: {backbone.keras_file}: {exc}; {NEXT_STEP}") from exc
    published = (
        "the published one"
        if baked.fingerprint == backbone.fingerprint
        else f"not the published {backbone.fingerprint}"
    )
    return f"weights: fingerprint {baked.fingerprint}, {published}"


def check_shapes(backbone: Backbone, baked: BakedWeights) -> str:
    """Compare the LiteRT model's input and output with the backbone."""
    actual = _litert_shapes(baked.path(backbone.tflite_file))
    width, height = backbone.input_size
    expected = {"input": ("float32", (height, width, 3)), "output": ("float32", (backbone.feature_size,))}
    if actual != expected:
        raise WeightsError(
            f"{baked.path(backbone.tflite_file)}: one photo is {actual}, expected {expected}; {NEXT_STEP}"
        )
    return f"LiteRT model: float32 {height} x {width} x 3 -> {backbone.feature_size}"


def check_picture(backbone: Backbone, baked: BakedWeights) -> str:
    """Compare the features of one drawn picture from LiteRT and from Keras."""
    pixels = decode(draw_picture(), backbone.input_size)[np.newaxis]
    litert, keras = (_features(backbone, runtime, baked.folder, pixels) for runtime in ("litert", "tensorflow"))
    difference = float(np.max(np.abs(litert - keras)))
    # Written so that not-a-number fails too.
    if not difference <= TOLERANCE:
        raise WeightsError(
            f"{baked.folder}: LiteRT and Keras differ by {difference:.3g} on one picture, over {TOLERANCE:g}; {NEXT_STEP}"
        )
    if not keras.any():
        raise WeightsError(f"{baked.folder}: every feature of a drawn picture is 0; {NEXT_STEP}")
    return f"picture: LiteRT and Keras differ by {difference:.2e} at most (limit {TOLERANCE:g})"


def draw_picture() -> bytes:
    """A fruit of sorts on white, as PNG: the same pixels on every machine."""
    image = Image.new("RGB", (100, 100), "white")
    draw = ImageDraw.Draw(image)
    for step in range(40):
        draw.ellipse((10 + step, 12 + step, 90 - step, 92 - step), fill=(120 + 3 * step, 30 + 2 * step, 20 + step))
    draw.line((50, 14, 58, 2), fill=(90, 60, 20), width=4)
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue()


def main(argv: Sequence[str] | None = None, *, prog: str = "python -m orchard.network.bake.verify") -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog=prog, description="Check a baked folder: bytes, weights, shapes, one picture."
    )
    parser.add_argument("folder", metavar="DIR", help="baked folder")
    parser.add_argument(
        "--backbone", default=MOBILENET_V2.name, choices=BACKBONES, metavar="NAME", help="what it should hold"
    )
    args = parser.parse_args(argv)
    try:
        lines = verify(get_backbone(args.backbone), args.folder)
    except OrchardError as exc:
        print(f"{prog}: {exc}", file=sys.stderr)
        return exc.exit_code
    print("\n".join(lines))
    return 0


def _features(backbone: Backbone, runtime: str, folder: str, pixels: Pixels) -> Any:
    with quiet():
        return make_predict(backbone, runtime, folder)(pixels)


def _litert_shapes(path: str) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Type and shape of one photo going in and of its features coming out; the batch dimension is left off."""
    from ai_edge_litert.interpreter import Interpreter

    try:
        with quiet():
            interpreter = Interpreter(path)
    except ValueError as exc:
        raise WeightsError(f"{path}: not a LiteRT model ({exc}); {NEXT_STEP}") from exc
    details = {"input": interpreter.get_input_details()[0], "output": interpreter.get_output_details()[0]}
    return {key: (np.dtype(value["dtype"]).name, tuple(map(int, value["shape"][1:]))) for key, value in details.items()}


if __name__ == "__main__":
    sys.exit(main())
