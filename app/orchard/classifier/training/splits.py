"""Which photos are held out, and which fold of cross-validation the others are in. Pure.

Frames of one turning fruit are nearly one photo, so neighbours never get on both sides. Where a class has several
labels, whole labels are held out; else blocks of consecutive frames, with some frames between them on neither side.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orchard.classifier.inputs import ALWAYS, BETWEEN_FOLDS, HELD_OUT, UNUSED, is_trained_on
from orchard.photos.photo import natural_key

# Blocks of frames of one label whose means are references, and about how many references there are in all: with 1,280
# features 1,024 take 5 MB and 0.4 % of the time of MobileNetV2. With fewer than 4 blocks of a label, leaving out a
# photo's own and those beside it would leave none.
FEWEST_BLOCKS, MOST_BLOCKS, MOST_REFERENCES = 4, 8, 1024
# Of a label's frames, the share that lies between two sides: in a turn of 60 frames, 3.
BETWEEN = 0.05
# Photos that it takes to hold one out: it, the frame between, and one to train on.
_FEWEST = 3
_MOST_TRIED = 200
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """What each photo is for.

    `folds` is int64 (n,): the number of the photo's fold, or a constant of `orchard.classifier.inputs`. `blocks` are
    the labels that were not kept whole.
    """

    folds: Rows
    blocks: list[str]


def order_rows(paths: Sequence[str], labels: Sequence[str]) -> dict[str, Rows]:
    """The rows of each label, in the natural order of their paths; labels in order of name."""
    rows = defaultdict[str, list[int]](list)
    for row, label in enumerate(labels):
        rows[label].append(row)
    return {label: np.array(sorted(rows[label], key=lambda row: natural_key(paths[row]))) for label in sorted(rows)}


def split(rows: Mapping[str, Rows], classes: Mapping[str, str], *, held_out: float, folds: int) -> Split:
    """Hold out a fraction of each class's labels (or frames), and share out the others among folds.

    Args:
        rows: the rows of each label in order, as of `order_rows`.
        classes: the class of each label.
        held_out: the fraction held out, 0 for none; of what can be split, at least something is held out and left.
        folds: number of folds; a class with fewer labels is in fewer of them.
    """
    found, blocks = np.full(sum(map(len, rows.values())), UNUSED), list[str]()
    for labels in _labels_by_class(classes).values():
        tested = _spread(len(labels), held_out)
        trained = [label for number, label in enumerate(labels) if number not in tested]
        for number in tested:
            found[rows[labels[number]]] = HELD_OUT
        if len(labels) > 1:
            for number, label in enumerate(trained):
                found[rows[label]] = number % folds if len(trained) > 1 else ALWAYS
        if len(trained) == 1:
            blocks += trained
            found[rows[trained[0]]] = _split_frames(len(rows[trained[0]]), held_out * (len(labels) == 1), folds)
    return Split(found, sorted(blocks))


def _labels_by_class(classes: Mapping[str, str]) -> dict[str, list[str]]:
    labels = defaultdict[str, list[str]](list)
    for label in sorted(classes):
        labels[classes[label]].append(label)
    return labels


def _spread(count: int, fraction: float) -> set[int]:
    """Numbers of the labels of a class to hold out, evenly spread; none of a single one."""
    if count < 2 or not fraction:
        return set()
    chosen = min(max(1, round(fraction * count)), count - 1)
    return {int((number + 0.5) * count / chosen) for number in range(chosen)}


def _split_frames(count: int, fraction: float, folds: int) -> Rows:
    """Folds of consecutive frames: blocks of equal length, and the last frames held out; with frames between them."""
    found = np.full(count, ALWAYS)
    if fraction and count >= _FEWEST:
        between = _between(count)
        tested = min(max(1, round(fraction * count)), count - between - 1)
        found[count - tested - between :] = UNUSED
        found[count - tested :] = HELD_OUT
        count -= tested + between
    if count >= _FEWEST:
        between = _between(count)
        most = min(folds, (count + between) // (1 + between))
        found[:count] = BETWEEN_FOLDS
        for number, block in enumerate(np.array_split(np.arange(count - (most - 1) * between), most)):
            found[block + number * between] = number
    return found


def _between(count: int) -> int:
    """How many of so many frames lie between two sides."""
    return max(1, round(BETWEEN * count))


def split_randomly(rows: Mapping[str, Rows], classes: Mapping[str, str], *, held_out: float, folds: int) -> Split:
    """The same at random, with seed 0, photo by photo: neighbours get on both sides, and accuracies flatter."""
    found, random = np.full(sum(map(len, rows.values())), UNUSED), np.random.default_rng(0)
    for labels in _labels_by_class(classes).values():
        mixed = random.permutation(np.concatenate([rows[label] for label in labels]))
        tested = min(max(1, round(held_out * len(mixed))), len(mixed) - 1)
        found[mixed[:tested]] = HELD_OUT
        rest = mixed[tested:]
        found[rest] = np.arange(len(rest)) % folds if len(rest) > 1 else ALWAYS
    return Split(found, sorted(rows))


def fewest_photos(divide: Callable[..., Split], *, held_out: float, folds: int) -> int | None:
    """How many photos of one label `split` or `split_randomly` must have to put some in a fold; None for too many."""
    for count in range(_MOST_TRIED):
        if (divide({"": np.arange(count)}, {"": ""}, held_out=held_out, folds=folds).folds >= 0).any():
            return count
    return None


def reference_blocks(rows: Mapping[str, Rows], folds: Rows) -> list[list[Rows]]:
    """The rows of each reference, of each label in order: consecutive blocks of the photos that are trained on.

    A label has up to `MOST_BLOCKS`, and fewer, but up to `FEWEST_BLOCKS`, where there are many labels.
    """
    trained = [found[is_trained_on(folds[found])] for found in rows.values()]
    most = int(np.clip(MOST_REFERENCES // max(1, len(trained)), FEWEST_BLOCKS, MOST_BLOCKS))
    return [np.array_split(found, min(most, len(found))) if len(found) else [] for found in trained]
