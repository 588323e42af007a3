"""The photos to tune on: which can be read, what class each is of, and which are held out."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from orchard.classifier.inputs import HELD_OUT, UNUSED, is_trained_on
from orchard.classifier.labels import Rule, listed, read_rule
from orchard.classifier.training.splits import Rows, Split, order_rows, split
from orchard.errors import InputError
from orchard.finetune.options import FinetuneOptions
from orchard.photos.photo import Photo, arrange
from orchard.photos.source import PhotoSource, list_photos, open_source


@dataclass(frozen=True)
class PhotoSet:
    """Photos with their classes, and what each is for.

    Attributes:
        classes: the class of each label, in order of label.
        rows: the photos of each label, in natural order of their paths.
    """

    source: PhotoSource
    photos: Sequence[Photo]
    classes: Mapping[str, str]
    rows: Mapping[str, Rows]
    split: Split

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The classes, in order."""
        return tuple(sorted(set(self.classes.values())))

    @cached_property
    def class_numbers(self) -> npt.NDArray[np.int32]:
        """The number of each photo's class in `names`, (n,)."""
        return np.array([self.names.index(self.classes[photo.label]) for photo in self.photos], np.int32)

    @property
    def trained(self) -> dict[str, Rows]:
        """The photos of each label that are trained on, in order."""
        return self._of(is_trained_on(self.split.folds))

    @property
    def held_out(self) -> dict[str, Rows]:
        """The photos of each label that are held out, in order."""
        return self._of(self.split.folds == HELD_OUT)

    def _of(self, chosen: npt.NDArray[np.bool_]) -> dict[str, Rows]:
        found = {label: rows[chosen[rows]] for label, rows in self.rows.items()}
        return {label: rows for label, rows in found.items() if len(rows)}

    def facts(self) -> dict[str, Any]:
        """Numbers of photos, and which labels are held out or, of some frames, split."""
        folds = self.split.folds
        return {
            "trained": int(is_trained_on(folds).sum()),
            "held_out": int((folds == HELD_OUT).sum()),
            "unused": int((folds == UNUSED).sum()),
            "held_out_labels": list(self.held_out),
            "split_labels": self.split.blocks,
        }


def list_photo_set(options: FinetuneOptions) -> PhotoSet:
    """List the photos of --input, and split them; none is read.

    Raises:
        InputError: no photos, labels without a class, fewer than two classes, or a class of too few photos.
    """
    source = open_source(options.input)
    return make_photo_set(options, source, arrange(list_photos(source).photos), read_rule(options.labels))


def make_photo_set(options: FinetuneOptions, source: PhotoSource, photos: Sequence[Photo], rule: Rule) -> PhotoSet:
    """Split photos; errors as of `list_photo_set`."""
    labels = [photo.label for photo in photos]
    classes = rule.classes(labels)
    rows = order_rows([photo.path for photo in photos], labels)
    found = PhotoSet(source, photos, classes, rows, split(rows, classes, held_out=options.holdout, folds=2))
    _check(options, found)
    return found


def _check(options: FinetuneOptions, chosen: PhotoSet) -> None:
    if len(chosen.names) < 2:
        what = f"all photos are of one class ({listed(list(chosen.names))}): it takes two to tell apart: see --labels"
        raise InputError(f"--input {options.input}: {what}")
    trained, held_out = (Counter(chosen.classes[label] for label in of) for of in (chosen.trained, chosen.held_out))
    if few := [name for name in chosen.names if not trained[name] or (options.holdout and not held_out[name])]:
        advice = "add photos, give it another class (--labels), or hold nothing out (--holdout 0)"
        what = f"too few photos of {listed(few)} to hold some out and tune on the others: {advice}"
        raise InputError(f"--input {options.input}: {what}")
