"""The options of compare: the only definition of its flags. Standard library only."""

import argparse
from dataclasses import dataclass

from orchard.classifier.options import FOLDER
from orchard.errors import UsageError
from orchard.options import Options, check_texts


@dataclass(frozen=True, kw_only=True)
class CompareOptions(Options):
    """What one comparison does, see `add_compare_arguments`; a `UsageError` for values that cannot work."""

    input: str
    test: str
    backbones: tuple[str, ...]
    output: str
    labels: str = FOLDER
    weights: str | None = None
    overwrite: bool = False
    master: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "backbones", tuple(name.strip() for name in self.backbones))
        check_texts(self)
        if not self.backbones:
            raise UsageError("--backbones: none: give names with commas between them")
        if twice := sorted({name for name in self.backbones if self.backbones.count(name) > 1}):
            raise UsageError(f"--backbones: {twice[0]} is there twice: give it once")


def add_compare_arguments(parser: argparse.ArgumentParser) -> None:
    """Give `parser` every flag of a comparison."""
    add, default = parser.add_argument, CompareOptions
    add("--input", required=True, metavar="URI", help="folder of photos to train on, one sub-folder a variety")
    add("--test", required=True, metavar="URI", help="folder of other photos, best of other varieties, to evaluate on")
    text = "networks to compare: names, or paths of baked folders"
    add("--backbones", required=True, type=lambda names: names.split(","), metavar="A,B,C", help=text)
    add("--output", required=True, metavar="URI", help="where features, classifiers, exported files and report go")
    text = "classes: `folder` (each label), `first-word` (of the label), or a CSV file of label,class (default folder)"
    add("--labels", default=default.labels, metavar="RULE", help=text)
    text = "folder of baked folders, one a backbone (default: $ORCHARD_WEIGHTS, else what `orchard weights` made)"
    add("--weights", metavar="DIR", help=text)
    add("--overwrite", action="store_true", help="start anew: featurize again what the output already holds")
    add("--master", metavar="URL", help="Spark master (default: spark-submit's own, else local[*])")
