"""The Spark jobs around the fit: moments of files of features, and files of components.

The tasks read and write the files themselves, with pyarrow: through the JVM every float would be copied into a row and
out again, which takes longer than the arithmetic.
"""

from collections.abc import Sequence
from functools import partial, reduce

import numpy as np
import pyarrow as pa
from pyspark import SparkContext

from orchard.pca import projection
from orchard.pca.moments import Moments
from orchard.pca.projection import Projection
from orchard.spark.tasks import run_tasks
from orchard.storage.stores import Store
from orchard.tables import columns, parquet
from orchard.tables.columns import COMPONENTS
from orchard.tables.parquet import DataFile

# Rows of 1280 features in float64: 10 MB at a time, and already large enough for BLAS.
BLOCK = 1024
# Spark takes results of 1 GB together (spark.driver.maxResultSize): the moments of so many tasks are 0.84 GB.
MOST_TASKS = 64
# Rows that one task reduces: of 300 components, 20 MB.
TRANSFORM_ROWS = 16_384


def fit(
    context: SparkContext,
    store: Store,
    files: Sequence[DataFile],
    feature_size: int,
    variance: float = 0.90,
    components: int | None = None,
) -> Projection:
    """Standardise and reduce the column `features` of files of a store, in one pass over them.

    Each task sends its moments to the driver, at most 13 MB for 1280 features; there is one task a slot.

    Raises:
        InputError: see `orchard.pca.projection.fit`.
    """
    groups = group_files(files, context.defaultParallelism)
    states = context.parallelize(groups, len(groups)).map(partial(moments_of, store, feature_size)).collect()
    return projection.fit(reduce(Moments.merge, states), variance=variance, components=components)


def group_files(files: Sequence[DataFile], slots: int) -> list[list[str]]:
    """The keys of files in consecutive groups with nearly the same number of rows, one a task."""
    tasks = max(1, min(slots, len(files), MOST_TASKS))
    ends = np.cumsum([file.rows for file in files])
    # A file belongs to the group in which its middle row lies.
    middles = ends - np.array([file.rows for file in files]) / 2
    numbers = np.minimum((middles * tasks / max(1, ends[-1] if len(ends) else 1)).astype(int), tasks - 1)
    groups = [
        [file.key for file, number in zip(files, numbers, strict=True) if number == task] for task in range(tasks)
    ]
    return [group for group in groups if group] or [[]]


def moments_of(store: Store, feature_size: int, keys: Sequence[str]) -> Moments:
    """The moments of the features in some files."""
    total = Moments.empty(feature_size)
    for key in keys:
        for batch in parquet.batches(store, key, ["features"], BLOCK):
            total = total.merge(Moments.of(columns.float_matrix(batch.column(0), feature_size)))
    return total


def write_components(
    store: Store, fitted: Projection, only: frozenset[str] | None, number: int, keys: Sequence[str], *, attempt: int = 0
) -> list[DataFile]:
    """A task: reduce the features in files, or those of `only` these paths, to one file; none where there is no row."""
    found = []
    for key in keys:
        for batch in parquet.batches(store, key, ["path", "label", "features"], BLOCK):
            if only is not None:
                paths = enumerate(batch.column(0).to_pylist())
                batch = batch.take(columns.numbers([row for row, path in paths if path in only], np.int32, pa.int32()))
            if batch.num_rows:
                reduced = fitted.transform(columns.float_matrix(batch.column(2), len(fitted.mean)))
                arrays = [batch.column(0), batch.column(1), columns.float_lists(reduced)]
                found.append(pa.RecordBatch.from_arrays(arrays, schema=COMPONENTS))
    return [parquet.write(store, "components", number, pa.Table.from_batches(found))] if found else []


def transform(
    context: SparkContext,
    store: Store,
    files: Sequence[DataFile],
    fitted: Projection,
    only: frozenset[str] | None = None,
) -> list[DataFile]:
    """Reduce the features in files of a store, or those of some paths; returns the files of components, uncommitted."""
    rows = sum(file.rows for file in files)
    groups = group_files(files, max(context.defaultParallelism, -(-rows // TRANSFORM_ROWS)))
    reports = run_tasks(context, partial(write_components, store, fitted, only), groups)
    return [file for arrived in reports for report in arrived for file in report]
