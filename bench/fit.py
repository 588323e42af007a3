"""The fit of a softmax regression alone, in a JVM of its own; prints one JSON line.

    python -m bench.fit VARIANT FOLDER

VARIANT is `orchard`, `orchard-spark` (which fetches no components, as with many rows: each pass is a job of Spark) or
`stock` (pyspark.ml, with its own tolerance and limit of iterations). FOLDER is of `bench.made_up.labelled`. All start
from components that they have: pyspark.ml cached in memory, Orchard in its driver or on its disk. Seconds: `reduce` is
what Orchard takes to have them, from features; `first` the session's first fit, `again` a second.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from orchard.classifier.training import logistic
from orchard.classifier.training.logistic import Block, Head, Problem
from orchard.pca.moments import Matrix
from orchard.pca.projection import Projection
from orchard.tables import columns

from bench.inputs import MASTER
from bench.pca import timed

LAMBDA = 0.01
# Orchard's tolerance that gives the objective of pyspark.ml's default ones to 1e-7.
GTOL = 1e-3
VARIANTS = ("orchard", "orchard-spark", "stock")


def main(variant: str, folder: str) -> None:
    """Run one variant and print what it took and which objective it reached."""
    rows = read_rows(Path(folder))
    classes = int(rows.classes.max()) + 1
    problem = Problem(LAMBDA, logistic.class_weights("balanced", np.bincount(rows.classes)))
    result, head = stock(Path(folder), problem) if variant == "stock" else orchard(Path(folder), classes, variant)
    weights = head.weights[np.newaxis]
    values, _ = logistic.objectives(logistic.sums(rows, weights, [problem]), weights, [problem])
    print(json.dumps({**result, "objective": f"{values[0]:.9f}"}))


def read_rows(folder: Path) -> Block:
    """The components and classes of a folder."""
    table = pq.read_table(folder / "components.parquet").combine_chunks()
    vectors = columns.float_matrix(table["components"].chunk(0), k_of(folder))
    classes = np.asarray(table["class"].chunk(0).to_numpy(), np.int32)
    return Block(np.column_stack([vectors, np.ones(len(vectors))]).astype(np.float64), classes, classes * 0 - 1)


def k_of(folder: Path) -> int:
    """Number of components in a folder."""
    return read_projection(folder).k


def read_projection(folder: Path) -> Projection:
    """What reduces the features of a folder to its components."""
    with np.load(folder / "projection.npz") as arrays:
        return Projection(**arrays)


def orchard(folder: Path, classes: int, variant: str) -> tuple[dict[str, Any], Head]:
    """Orchard's fit, in the Spark context that a training opens."""
    from orchard.classifier.training.components import FETCHED
    from orchard.classifier.training.passes import Passes
    from orchard.classifier.training.rows import FileRows
    from orchard.spark.session import open_context
    from orchard.storage.stores import open_store

    rows = []
    for path in sorted(folder.glob("features-*.parquet")):
        of = np.asarray(pq.read_table(path, columns=["class"])["class"].to_numpy(), np.int32)
        none = np.full(len(of), -1, np.int32)
        rows.append(FileRows(path.name, of, none, none, of))
    store, log = open_store(str(folder)), partial(print, file=sys.stderr)
    fetched = FETCHED if variant == "orchard" else 0
    with (
        open_context(MASTER, log=log) as context,
        Passes(context, store, rows, read_projection(folder), classes, fetched=fetched) as passes,
    ):
        problems = [passes.problem(LAMBDA)]
        reduce, _ = timed(lambda: passes.solve(problems, gtol=np.inf))
        first, _ = timed(lambda: passes.solve(problems, gtol=GTOL))
        before = passes.count
        again, (head,) = timed(lambda: passes.solve(problems, gtol=GTOL))
        return {"reduce": reduce, "first": first, "again": again, "passes": passes.count - before}, head


def stock(folder: Path, problem: Problem) -> tuple[dict[str, Any], Head]:
    """pyspark.ml's fit, in a session of stock settings."""
    from pyspark.ml.classification import LogisticRegression
    from pyspark.ml.functions import array_to_vector
    from pyspark.sql import SparkSession
    from pyspark.sql.functions import array, column, element_at, lit

    builder = SparkSession.builder.master(MASTER).config("spark.driver.memory", "6g")
    spark = builder.config("spark.ui.showConsoleProgress", "false").getOrCreate()
    weight = element_at(array(*map(lit, problem.class_weights.tolist())), column("class") + 1)
    vectors = array_to_vector(column("components")).alias("vector")
    rows = spark.read.parquet(str(folder / "components.parquet")).select(vectors, "class", weight.alias("weight"))
    rows = rows.repartition(2).cache()
    rows.count()
    estimator = LogisticRegression(
        featuresCol="vector",
        labelCol="class",
        weightCol="weight",
        family="multinomial",
        standardization=False,
        regParam=problem.regularization,
    )
    first, _ = timed(lambda: estimator.fit(rows))
    again, fitted = timed(lambda: estimator.fit(rows))
    coefficients: Matrix = fitted.coefficientMatrix.toArray()
    head = Head(coefficients, np.asarray(fitted.interceptVector.toArray()))
    passes = fitted.summary.totalIterations
    spark.stop()
    return {"first": first, "again": again, "passes": passes}, head


if __name__ == "__main__":
    main(*sys.argv[1:])
