"""Photos whose bytes occur more than once in a run: found by their SHA-256, in some 60 bytes of memory a photo. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Duplicates:
    """How many featurized photos are copies.

    Attributes:
        exact: photos whose bytes occur earlier in the run.
        test_in_training: photos below a folder `Test` whose bytes also occur below a folder `Training`: a classifier has seen them.
    """

    exact: int
    test_in_training: int


class _Half(IntEnum):
    NEITHER, TRAINING, TEST = range(3)


def count_duplicates(batches: Iterable[tuple[Sequence[str], Sequence[str]]]) -> Duplicates:
    """Count the duplicates among photos, given batch by batch as their paths and their hashes in hexadecimal."""
    keys, halves = [np.zeros((0, 2), np.uint64)], [np.zeros(0, np.uint8)]
    for paths, hashes in batches:
        # Half of a hash is enough: two of 10^9 photos would share one by chance once in 10^20 runs.
        keys.append(np.frombuffer(bytes.fromhex("".join(text[:32] for text in hashes)), np.uint64).reshape(-1, 2))
        halves.append(np.fromiter(map(_half, paths), np.uint8, len(paths)))
    groups, half = _groups(np.concatenate(keys)), np.concatenate(halves)
    distinct = int(groups.max(initial=-1)) + 1
    trained = np.zeros(distinct, bool)
    trained[groups[half == _Half.TRAINING]] = True
    return Duplicates(len(groups) - distinct, int(trained[groups[half == _Half.TEST]].sum()))


def _groups(keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """A number for each row of `keys` (n, 2), from 0 without gaps: the same for equal rows."""
    order = np.lexsort((keys[:, 1], keys[:, 0]))
    ordered = keys[order]
    differs = (ordered[1:] != ordered[:-1]).any(axis=1)
    groups = np.zeros(len(keys), np.int64)
    groups[order[1:]] = np.cumsum(differs)
    return groups


def _half(path: str) -> _Half:
    for part in path.lower().split("/")[:-1]:
        if part in ("training", "test"):
            return _Half.TRAINING if part == "training" else _Half.TEST
    return _Half.NEITHER
