"""An export: a classifier and its backbone as one LiteRT file; compared with the classifier before it is written."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from orchard.classifier.export.measure import Comparison, compare
from orchard.classifier.export.metadata import Description, add_metadata
from orchard.classifier.export.photos import choose
from orchard.classifier.model import Model
from orchard.classifier.options import ExportOptions
from orchard.classifier.prediction.classifier import find_network
from orchard.classifier.saved import Saved, read_classifier, read_training
from orchard.console import Reporter
from orchard.errors import InputError, OutputError, UsageError
from orchard.features.task import Network
from orchard.network.bake.eight_bits import convert_int8
from orchard.network.bake.flatbuffer import to_float16
from orchard.network.bake.heads import Head, convert
from orchard.photos.decoding import Pixels
from orchard.report.text import count
from orchard.storage.objects import is_object_uri
from orchard.storage.stores import LocalStore, Store, check_outside, check_writable, local_path, open_store
from orchard.versions import versions

# Largest differences of probabilities, and relative ones of the unfamiliarity; 8 bits are measured, not judged.
TOLERANCES = {"none": (1e-4, 1e-3), "float16": (1e-2, 2e-2)}
FEWEST_TO_CALIBRATE = 10
# Of LiteRT files, from their fifth byte on.
_MAGIC = b"TFL3"


@dataclass(frozen=True)
class Samples:
    """Pixels uint8 (n, height, width, 3), and the true class of each, None where it is not known.

    `kind` is "photos", or "noise" for drawn pictures in their place.
    """

    pixels: Pixels
    classes: Sequence[str | None]
    kind: str = "photos"


@dataclass(frozen=True)
class Target:
    """Where the file goes."""

    store: Store
    name: str

    @property
    def uri(self) -> str:
        """Path or URI of the file."""
        return f"{self.store.uri.rstrip('/')}/{self.name}"


def export(options: ExportOptions, reporter: Reporter) -> dict[str, Any]:
    """Write the file, and say what it costs to use it instead of the classifier, see `Comparison`.

    Raises:
        UsageError, InputError, WeightsError: the flags, the classifier, its weights, or the photos cannot be used.
        OutputError: the file disagrees with the classifier, or cannot be written.
        MachineError: TensorFlow cannot be imported.
    """
    target, saved = _open(options)
    network = find_network(saved, options.weights, options.backbone)
    calibration, measured = _read_photos(options, saved, network, reporter)
    content = make(saved.model, network, options.quantize, calibration, reporter)
    facts = facts_inside(saved, network, options.quantize)
    content = add_metadata(content, saved.model.classes, facts, _description(network))
    comparison = compare(saved.model, network.load(), content, measured.pixels, measured.classes)
    check(comparison, options.quantize)
    target.store.write(target.name, content)
    written = {"file": target.uri, "bytes": len(content), "quantize": options.quantize, "measured_on": measured.kind}
    return {**written, "classes": list(saved.model.classes), "comparison": comparison.facts()}


def describe(options: ExportOptions) -> dict[str, Any]:
    """What an export would do, without converting or writing anything; errors as of `export`."""
    target, saved = _open(options)
    network = find_network(saved, options.weights, options.backbone)
    calibration, measured = _count_photos(options, saved)
    return {
        "output": target.uri,
        "quantize": options.quantize,
        "classes": list(saved.model.classes),
        "backbone": network.backbone.name,
        "references": len(saved.model.references),
        "photos to calibrate with": calibration,
        "photos to measure on": measured,
    }


def _open(options: ExportOptions) -> tuple[Target, Saved]:
    """Output and classifier; one whose list of photos is damaged is refused, whichever photos are used."""
    target, saved = open_target(options.output), read_classifier(options.classifier)
    read_training(saved)
    return target, saved


def open_target(uri: str) -> Target:
    """Where a file goes; `UsageError` where that is no file, `OutputError` where it cannot be written."""
    folder, _, name = uri.rpartition("/")
    if not name or (is_object_uri(uri) and "/" not in uri.split("://", 1)[1]):
        raise UsageError(f"--output {uri}: names no file: name one, fruit.tflite for one")
    if uri.startswith("file://"):
        folder, _, name = local_path(uri).rpartition("/")
        folder = folder or "/"
    target = Target(open_store(folder or ("/" if uri.startswith("/") else ".")), name)
    check_writable(target.store, name)
    check_outside(target.store)
    _check_replaceable(target)
    return target


def _check_replaceable(target: Target) -> None:
    """`OutputError` where something else than an exported file is there: a device, a link, a file of the user's."""
    path = Path(target.store.uri, target.name)
    if not isinstance(target.store, LocalStore) or not os.path.lexists(path):
        return
    if path.is_symlink() or not path.is_file() or not _is_exported(path):
        raise OutputError(f"--output {target.uri}: is there, and is no LiteRT file: choose another name")


def _is_exported(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(8)[4:] == _MAGIC


def make(model: Model, network: Network, quantize: str, calibration: Pixels | None, reporter: Reporter) -> bytes:
    """The LiteRT model alone, from pixels to probabilities and unfamiliarity; int8 needs `calibration`."""
    head = Head(model.projection.mean, model.weights, model.intercepts, model.references)
    reporter.log(f"converting {network.backbone.name} and {len(model.references):,} references ({_KINDS[quantize]})")
    if quantize != "int8":
        content = convert(network.backbone, network.weights, head)
        return content if quantize == "none" else to_float16(content)
    calibration = np.zeros((0, *network.backbone.shape), np.uint8) if calibration is None else calibration
    _check_calibration(len(calibration))
    return convert_int8(network.backbone, network.weights, head, calibration, reporter.log)


def _check_calibration(found: int) -> None:
    if found < FEWEST_TO_CALIBRATE:
        what = f"{found} photos are too few to calibrate 8 bits with"
        raise InputError(f"--photos: {what}: name a folder of {2 * FEWEST_TO_CALIBRATE} or more, better some hundreds")


def check(comparison: Comparison, quantize: str) -> None:
    """`OutputError` where a file differs from its classifier by more than its kind may."""
    if quantize not in TOLERANCES:
        return
    # Written so that not-a-number fails too.
    of_probabilities, relative = TOLERANCES[quantize]
    if not (comparison.largest <= of_probabilities and comparison.unfamiliarity <= relative):
        differences = f"{comparison.largest:.2g} in probabilities (limit {of_probabilities:g})"
        distances = f"{comparison.unfamiliarity:.2g} in the unfamiliarity (limit {relative:g})"
        advice = "report it as a bug" if quantize == "none" else "export without --quantize"
        raise OutputError(f"the file differs from the classifier by {differences}, {distances}: {advice}")


def facts_inside(saved: Saved, network: Network, quantize: str) -> dict[str, Any]:
    """What `orchard.json` in the file says; no times, so that equal exports give equal bytes."""
    model, backbone = saved.model, network.backbone
    return {
        "schema_version": 1,
        "classes": list(model.classes),
        "threshold": float(model.threshold),
        "limit": float(model.limit),
        "input": {"size": list(backbone.input_size), "channels": "RGB", "resampling": "bicubic"},
        "quantize": quantize,
        "temperature": saved.facts.get("temperature"),
        "settings": {name: model.settings.get(name) for name in ("backbone", "fingerprint", "decoding")},
        "versions": versions("ai-edge-litert", "numpy", "pillow"),
    }


def summary(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and values of the lines that end an export, from what `export` returns."""
    found = facts["comparison"]
    differences, milliseconds = found["probabilities"], found["milliseconds"]
    rows = [
        ("file", f"{facts['file']} ({facts['bytes'] / 1e6:.1f} MB, {_KINDS[facts['quantize']]})"),
        ("measured on", count(found["photos"], *_MEASURED[facts["measured_on"]])),
        ("equal answers", f"{found['equal_answers']:.2%}"),
        (
            "differences",
            f"probabilities {differences['largest_difference']:.2g} at most, {differences['mean_difference']:.2g} in "
            f"the mean, unfamiliarity {found['unfamiliarity']['largest_relative_difference']:.2g} at most",
        ),
        ("milliseconds", f"{milliseconds['file']:.2f} a photo, the backbone alone {milliseconds['backbone']:.2f}"),
    ]
    if found["accuracy"]:
        ours, theirs = found["accuracy"]["classifier"], found["accuracy"]["file"]
        change = f"{(theirs - ours) * 100:+.2f} points"
        rows.insert(2, ("accuracy", f"{theirs:.2%}, of the classifier {ours:.2%}: {change}"))
    return rows


_MEASURED = {"photos": ("photo", "photos"), "noise": ("picture of noise", "pictures of noise")}
_KINDS = {"none": "float32", "float16": "weights in 16 bits", "int8": "8 bits"}


def _count_photos(options: ExportOptions, saved: Saved) -> tuple[int, int]:
    """How many photos to calibrate with and to measure on; none where the training's own are not known, nor needed."""
    try:
        calibration, measured = choose(saved, options.photos)
    except InputError:
        if _needs_photos(options):
            raise
        return 0, 0
    if _needs_photos(options) and not measured.paths:
        raise InputError(f"{measured.flag} {measured.uri}: no photos there: name a folder of photos by --photos")
    if options.quantize == "int8":
        _check_calibration(len(calibration.paths))
    return len(calibration.paths) if options.quantize == "int8" else 0, len(measured.paths)


def _needs_photos(options: ExportOptions) -> bool:
    return bool(options.photos) or options.quantize == "int8"


def _read_photos(
    options: ExportOptions, saved: Saved, network: Network, reporter: Reporter
) -> tuple[Pixels | None, Samples]:
    """Pixels to calibrate with, if they are needed, and photos to measure on; drawn noise where there are none."""
    size = network.backbone.input_size
    try:
        calibration, measured = choose(saved, options.photos)
        pixels = calibration.read(size)[0] if options.quantize == "int8" else None
        return pixels, Samples(*measured.read(size))
    except (InputError, UsageError) as exc:
        if _needs_photos(options):
            raise
        reporter.log(f"measured on pictures of noise, not on photos: {exc}")
    noise = np.random.default_rng(0).integers(0, 256, (8, *size[::-1], 3), np.uint8)
    return None, Samples(noise, [None] * len(noise), "noise")


def _description(network: Network) -> Description:
    return Description(
        model=f"Classifier of photos on {network.backbone.description}. Thresholds are in orchard.json.",
        image="RGB, 0 to 255, resized with a bicubic filter; all preprocessing is inside.",
        outputs=("Probability of each class.", "Distance to what was trained on: above the limit, say unsure."),
    )
