"""What a classifier is trained on: the photos of a run's output, their classes, and what each photo is for."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orchard.classifier.inputs import HELD_OUT, UNUSED, Photos, is_trained_on, open_features, read_photos
from orchard.classifier.labels import Rule, listed, read_rule
from orchard.classifier.options import TrainOptions
from orchard.classifier.training.splits import Split, fewest_photos, order_rows, reference_blocks, split, split_randomly
from orchard.errors import InputError
from orchard.tables import columns, parquet
from orchard.tables.output import Output

_FEWEST_PHOTOS = 2
Integers = npt.NDArray[np.int32]


@dataclass(frozen=True)
class TrainingSet:
    """The photos of an output with their classes, and how they are split.

    Attributes:
        rule: how labels became classes.
        classes: the class of each label, in order of label.
        rows: the rows of each label, in natural order of their paths.
    """

    features: Output
    photos: Photos
    rule: Rule
    classes: Mapping[str, str]
    rows: Mapping[str, npt.NDArray[np.int64]]
    split: Split

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The classes, in order."""
        return tuple(sorted(set(self.classes.values())))

    @cached_property
    def feature_size(self) -> int:
        """How many features a photo has."""
        row = next(parquet.batches(self.features.store, self.photos.files[0].key, ["features"], 1)).column(0)
        return len(row.flatten())

    @property
    def trained(self) -> npt.NDArray[np.bool_]:
        """Whether each photo is trained on, (n,)."""
        return is_trained_on(self.split.folds)

    @cached_property
    def class_numbers(self) -> Integers:
        """The number of each photo's class in `names`, (n,); -1 where it is not trained on."""
        numbers = {label: self.names.index(name) for label, name in self.classes.items()}
        found = np.array([numbers[label] for label in self.photos.labels], np.int32)
        return np.where(self.trained, found, np.int32(-1))

    @cached_property
    def _blocks(self) -> list[tuple[int, npt.NDArray[np.int64]]]:
        """The rows of each reference, with the number of its label."""
        blocks = reference_blocks(self.rows, self.split.folds)
        return [(label, block) for label, of_label in enumerate(blocks) for block in of_label]

    @cached_property
    def references(self) -> Integers:
        """The number of the reference that each photo is part of, (n,); -1 where it is not trained on."""
        found = np.full(len(self.photos.paths), -1, np.int32)
        for number, (_, rows) in enumerate(self._blocks):
            found[rows] = number
        return found

    @cached_property
    def reference_places(self) -> Integers:
        """A number for each reference: a photo is compared with the references whose number differs by 2 or more.

        How familiar are photos of a label that was never seen? All references of a label have one number, far from
        that of other labels. But where each class has one label, or photos were split at random, new photos will be of
        the same labels: then the references of a label are numbered in order, and a photo is compared with those that
        are not its own or beside it.
        """
        labels, found, start = list(self.rows), list[int](), 0
        for number, label in enumerate(labels):
            count = sum(of == number for of, _ in self._blocks)
            apart = np.arange(count) if self._meets_again(label) else np.zeros(count, int)
            found += (start + apart).tolist()
            start += count + 2
        return np.array(found, np.int32)

    def _meets_again(self, label: str) -> bool:
        """Whether new photos will be of this label, and not of other ones of its class."""
        alone = sum(name == self.classes[label] for name in self.classes.values()) == 1
        return alone or len(self.split.blocks) == len(self.rows)

    @property
    def places(self) -> Integers:
        """The number in `reference_places` of each photo's own reference, (n,); -2 where it has none."""
        return np.where(self.references >= 0, self.reference_places[self.references], np.int32(-2))

    def lacking(self, chosen: npt.NDArray[np.bool_]) -> list[str]:
        """The classes that have none of the `chosen` photos, (n,)."""
        labels = {label for label, one in zip(self.photos.labels, chosen.tolist(), strict=True) if one}
        return sorted({*self.names} - {self.classes[label] for label in labels})

    def table(self) -> pa.Table:
        """What `training.parquet` holds: path, label, sha256 and fold of every photo."""
        texts = self.photos.paths, self.photos.labels, self.photos.hashes
        folds = columns.numbers(self.split.folds, np.int64, pa.int64())
        return pa.table([*map(columns.strings, texts), folds], names=["path", "label", "sha256", "fold"])

    def facts(self) -> dict[str, Any]:
        """Numbers of photos and labels, by class, for `classifier.json`."""
        folds, trained = self.split.folds, Counter[str]()
        for label, use in zip(self.photos.labels, self.trained.tolist(), strict=True):
            trained[self.classes[label]] += use
        labels = {name: [label for label in self.rows if self.classes[label] == name] for name in self.names}
        return {
            "photos": int(self.trained.sum()),
            "held_out": int((folds == HELD_OUT).sum()),
            "unused": int((folds == UNUSED).sum()),
            "classes": {name: {"photos": trained[name], "labels": labels[name]} for name in self.names},
            "in_no_fold": self.lacking(folds >= 0),
            **self.rule.facts(self.classes),
        }


def read_training_set(options: TrainOptions) -> TrainingSet:
    """Read the photos of --features, and split them; the features themselves are not fetched.

    Raises:
        InputError: no features there, labels without a class, fewer than two classes, or a class of one photo.
    """
    rule, output = read_rule(options.labels), open_features("--features", options.features)
    photos = read_photos(output)
    rule = rule.spelled_as(photos.labels)
    classes = rule.classes(photos.labels)
    _check_classes(options, Counter(classes[label] for label in photos.labels))
    rows = order_rows(photos.paths, photos.labels)
    divide = split_randomly if options.random_split else split
    found = divide(rows, classes, held_out=options.held_out, folds=options.folds)
    if not (found.folds >= 0).any():
        fewest = fewest_photos(divide, held_out=options.held_out, folds=options.folds)
        what = "has too few photos to hold some out and to cross-validate on the others"
        advice = f"give each class {fewest} photos or more" if fewest else "hold out less with --holdout"
        raise InputError(f"--features {options.features}: {what}: {advice}")
    return TrainingSet(output, photos, rule, classes, rows, found)


def _check_classes(options: TrainOptions, photos: Counter[str]) -> None:
    if len(photos) < 2:
        what = f"all photos are of one class ({listed(list(photos))}): a classifier needs two: see --labels"
        raise InputError(f"--features {options.features}: {what}")
    if few := sorted(name for name, count in photos.items() if count < _FEWEST_PHOTOS):
        what = f"one photo only of {listed(few)}: add photos, or give it another class with a CSV file (--labels)"
        raise InputError(f"--features {options.features}: {what}")
