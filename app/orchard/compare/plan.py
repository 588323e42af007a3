"""What a comparison runs, trains and exports for each backbone, and what it refuses.

Pure, but that it looks whether the backbone that is asked for is a folder.
"""

import os
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from orchard.classifier.labels import listed
from orchard.classifier.options import ExportOptions, TrainOptions
from orchard.compare.options import CompareOptions
from orchard.errors import InputError, OutputError, UsageError
from orchard.network.choice import is_folder
from orchard.options import JobOptions

REPORT, PAGE = "compare.json", "compare.html"
# In the folder of each backbone.
TRAIN, TEST, CLASSIFIER, EXPORTED, MEASURES = "train", "test", "classifier", "classifier.tflite", "measures.json"
_FEWEST_PHOTOS = 2  # of a class: as `orchard train` demands


@dataclass(frozen=True)
class Candidate:
    """The steps for one backbone; `name` is what the report calls it, and its folder below --output."""

    name: str
    train: JobOptions
    test: JobOptions
    training: TrainOptions
    export: ExportOptions


def make_candidates(options: CompareOptions) -> list[Candidate]:
    """The steps for each of `options.backbones`; `UsageError` where two would have one name."""
    candidates = [make_candidate(options, backbone) for backbone in options.backbones]
    names = [candidate.name for candidate in candidates]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"--backbones: two are called {twice[0]}: rename the folder, or give one of them")
    return candidates


def make_candidate(options: CompareOptions, backbone: str) -> Candidate:
    """The steps for one of `options.backbones`: a known name, or a baked folder, which is called by its last part."""
    folder = is_folder(backbone)
    name = os.path.basename(os.path.abspath(backbone)) if folder else backbone
    place, weights = f"{options.output.rstrip('/')}/{name}", None if folder else options.weights

    def job(photos: str, part: str) -> JobOptions:
        return JobOptions(
            input=photos,
            output=f"{place}/{part}",
            backbone=backbone,
            weights=weights,
            overwrite=options.overwrite,
            master=options.master,
        )

    train, test = job(options.input, TRAIN), job(options.test, TEST)
    training = TrainOptions(
        features=train.output,
        output=f"{place}/{CLASSIFIER}",
        labels=options.labels,
        test=test.output,
        master=options.master,
    )
    export = ExportOptions(classifier=training.output, output=f"{place}/{EXPORTED}", backbone=backbone, weights=weights)
    return Candidate(name, train, test, training, export)


def check_classes(options: CompareOptions, trained: Mapping[str, int], tested: Collection[str]) -> None:
    """Raise `InputError` unless a classifier can be made of classes with so many photos, and told by those tested."""
    if len(trained) < 2:
        what = f"all photos are of one class ({listed([*trained])}): a classifier needs two: see --labels"
        raise InputError(f"--input {options.input}: {what}")
    if few := sorted(name for name, photos in trained.items() if photos < _FEWEST_PHOTOS):
        raise InputError(f"--input {options.input}: one photo only of {listed(few)}: add photos, or see --labels")
    if unknown := sorted(set(tested) - set(trained)):
        what = f"classes that --input {options.input} does not have: {listed(unknown)}"
        raise InputError(f"--test {options.test}: {what}: leave them out, or see --labels")


def count_classes(labels: Mapping[str, int], classes: Mapping[str, str]) -> Counter[str]:
    """Photos by class, of photos by label."""
    counts = Counter[str]()
    for label, photos in labels.items():
        counts[classes[label]] += photos
    return counts


def check_output(output: str, names: Collection[str], backbones: Collection[str]) -> None:
    """Raise `OutputError` where a folder with these names in it is somebody else's: not of an earlier comparison."""
    found = {name for name in names if not name.startswith(".")}
    others = sorted(found - {REPORT, PAGE} - set(backbones))
    if others and REPORT not in found:
        what = f"holds files ({others[0]} for one), but no comparison"
        raise OutputError(f"--output {output}: {what}: choose an empty or a new folder")
