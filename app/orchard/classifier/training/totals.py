"""What a training needs to know of features before the fit, in one Spark pass over them."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pyspark import SparkContext

from orchard.classifier.training.logistic import Integers
from orchard.classifier.training.rows import FileRows, Task, group_rows, read_features
from orchard.pca.moments import Matrix, Moments
from orchard.storage.stores import Store


@dataclass(frozen=True)
class Totals:
    """Sums over features.

    Attributes:
        moments: of the used rows.
        sums: float64 (blocks, features), of the rows of each block.
        counts: int64 (blocks,), how many rows each has.
    """

    moments: Moments
    sums: Matrix
    counts: npt.NDArray[np.int64]


def add_up(context: SparkContext, store: Store, rows: Sequence[FileRows], feature_size: int, blocks: int) -> Totals:
    """Moments of the used rows, and sums of blocks, in one pass over files of features."""
    tasks = group_rows(rows)
    results = context.parallelize(tasks, len(tasks)).map(functools.partial(totals_of, store, feature_size)).collect()
    total = Totals(Moments.empty(feature_size), np.zeros((blocks, feature_size)), np.zeros(blocks, np.int64))
    for present, part in results:
        total.sums[present] += part.sums
        total.counts[present] += part.counts
    return Totals(functools.reduce(Moments.merge, (part.moments for _, part in results)), total.sums, total.counts)


def totals_of(store: Store, feature_size: int, task: Task) -> tuple[Integers, Totals]:
    """A task: which blocks are in its files, and the totals of its rows and of those blocks only."""
    blocks = np.concatenate([np.zeros(0, np.int32), *(file.blocks for file in task.files)])
    present = np.unique(blocks[blocks >= 0])
    moments, sums = Moments.empty(feature_size), np.zeros((len(present), feature_size))
    counts = np.zeros(len(present), np.int64)
    for features in read_features(store, feature_size, task.files):
        moments = moments.merge(Moments.of(features.vectors[features.rows.classes >= 0]))
        members = features.rows.blocks == present[:, np.newaxis]
        counts += members.sum(axis=1)
        sums += members.astype(np.float64) @ features.vectors.astype(np.float64)
    return present, Totals(moments, sums, counts)
