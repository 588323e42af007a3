"""Which photos an epoch has, and in which order: balanced by class, and mixed. Pure."""

from collections import defaultdict
from collections.abc import Iterator, Mapping

import numpy as np

from orchard.classifier.training.splits import Rows


def random_of(seed: int, *numbers: int) -> np.random.Generator:
    """The random generator of one thing, an epoch or a photo in it: whatever was drawn before, it is the same."""
    return np.random.default_rng([seed, *numbers])


def plan_epoch(
    rows: Mapping[str, Rows], classes: Mapping[str, str], per_label: int, random: np.random.Generator
) -> Rows:
    """The photos of one epoch, in order: the same number of each class, the classes in turn.

    Args:
        rows: the photos of each label, in natural order.
        classes: the class of each label.
        per_label: frames of a label, evenly spread over its turn; where a class has few labels, they come repeatedly,
            and where it has many, some frames are left out.
        random: decides the frames and the order.
    """
    groups = _by_class(rows, classes)
    frames = sum(min(per_label, len(found)) for found in rows.values())
    quota = -(-frames // len(groups))
    turns = [groups[number] for number in random.permutation(len(groups))]
    return np.stack([_draw(group, quota, per_label, random) for group in turns], axis=1).ravel()


def _by_class(rows: Mapping[str, Rows], classes: Mapping[str, str]) -> list[list[Rows]]:
    found = defaultdict[str, list[Rows]](list)
    for label in sorted(rows):
        found[classes[label]].append(rows[label])
    return [found[name] for name in sorted(found)]


def _draw(rows: list[Rows], count: int, per_label: int, random: np.random.Generator) -> Rows:
    """`count` photos of one class, mixed."""
    drawn = np.zeros(0, np.int64)
    while len(drawn) < count:
        once = np.concatenate([spread(found, per_label, random.random()) for found in rows])
        drawn = np.concatenate([drawn, random.permutation(once)])
    return random.permutation(drawn[:count])


def spread(rows: Rows, count: int, offset: float = 0.5) -> Rows:
    """`count` of the rows, or all if there are fewer, evenly spread; `offset`, below 1, moves all of them."""
    if count >= len(rows):
        return rows
    found = ((np.arange(count) + offset) * len(rows) / count).astype(np.int64)
    return rows[np.minimum(found, len(rows) - 1)]  # an offset of nearly 1 is rounded up


def batches(order: Rows, size: int) -> Iterator[Rows]:
    """Consecutive parts of an epoch; the last one may be shorter."""
    return (order[start : start + size] for start in range(0, len(order), size))
