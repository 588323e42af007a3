"""The options of `orchard finetune`: the only definition of its flags. Standard library only."""

import argparse
from dataclasses import asdict, dataclass
from typing import Any

from orchard.classifier.options import FOLDER
from orchard.errors import UsageError
from orchard.options import JobOptions, Options, check_texts, flag


@dataclass(frozen=True, kw_only=True)
class FinetuneOptions(Options):
    """What one fine-tuning does, see `add_arguments`; a `UsageError` for values that cannot work."""

    input: str
    output: str
    labels: str = FOLDER
    backbone: str = JobOptions.backbone
    weights: str | None = None
    blocks: int = 3
    epochs: int = 6
    batch: int = 32
    per_label: int = 20
    rate: float = 2e-5
    keep: float = 0.5
    holdout: float = 0.2
    patience: int = 4
    seed: int = 0
    overwrite: bool = False

    def __post_init__(self) -> None:
        for name in ("blocks", "epochs", "batch", "per_label", "patience"):
            if getattr(self, name) < 1:
                raise UsageError(f"{flag(name)} must be at least 1, not {getattr(self, name)}")
        if self.seed < 0:
            raise UsageError(f"--seed must be at least 0, not {self.seed}")
        if not 0 < self.rate <= 1:
            raise UsageError(f"--rate is above 0 and up to 1, not {self.rate:g}")
        for name in ("holdout", "keep"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(f"{flag(name)} is a fraction from 0 to below 1, not {getattr(self, name):g}")
        check_texts(self)

    def recorded(self) -> dict[str, Any]:
        """What decides the result: all but where things are."""
        elsewhere = ("input", "output", "backbone", "weights", "overwrite")
        return {name: value for name, value in asdict(self).items() if name not in elsewhere}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give `parser` every flag of a fine-tuning."""
    add, default = parser.add_argument, FinetuneOptions
    add("--input", required=True, metavar="URI", help="folder of photos, one sub-folder a variety")
    add("--output", required=True, metavar="DIR", help="where the backbone goes: for --backbone of `orchard run`")
    text = "classes: `folder` (each label), `first-word` (of the label), or a CSV file of label,class (default folder)"
    add("--labels", default=default.labels, metavar="RULE", help=text)
    text = "network to begin with, by name or as a baked folder (default %(default)s)"
    add("--backbone", default=default.backbone, metavar="NAME", help=text)
    add(
        "--weights",
        metavar="DIR",
        help="its baked weights (default: $ORCHARD_WEIGHTS, else those of `orchard weights`)",
    )
    add("--blocks", type=int, default=default.blocks, metavar="N", help="last blocks to train (default %(default)s)")
    add("--epochs", type=int, default=default.epochs, metavar="N", help="at most so many (default %(default)s)")
    add("--batch", type=int, default=default.batch, metavar="N", help="photos a step (default %(default)s)")
    text = "photos of a label in an epoch, others in the next: neighbours are nearly the same (default %(default)s)"
    add("--per-label", type=int, default=default.per_label, metavar="N", help=text)
    add("--rate", type=float, default=default.rate, metavar="RATE", help="first learning rate (default %(default)s)")
    text = "share of the network it began with in the averaged weights that come out (default %(default)s)"
    add("--keep", type=float, default=default.keep, metavar="FRACTION", help=text)
    text = "fraction to hold out to stop by, whole labels where a class has several (default %(default)s; 0: none)"
    add("--holdout", type=float, default=default.holdout, metavar="FRACTION", help=text)
    text = "stop after so many epochs that are no better on what is held out (default %(default)s)"
    add("--patience", type=int, default=default.patience, metavar="N", help=text)
    add("--seed", type=int, default=default.seed, metavar="S", help="same seed, same bits (default %(default)s)")
    add("--overwrite", action="store_true", help="replace a backbone in the output that was tuned in another way")
