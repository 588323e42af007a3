from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from orchard.classifier.model import softmax, squared_distances
from orchard.classifier.training import rows as rows_module
from orchard.classifier.training.components import FETCHED, Components
from orchard.classifier.training.logistic import BETWEEN_FOLDS, Head, class_weights
from orchard.classifier.training.passes import COARSE, Passes
from orchard.classifier.training.rows import FileRows, ReducedRows, Rows, Task, group_rows, read_features
from orchard.classifier.training.totals import add_up
from orchard.errors import MachineError
from orchard.pca import projection
from orchard.pca.moments import Moments
from orchard.pca.projection import Projection
from orchard.storage.stores import Store, open_store
from orchard.tables import columns, parquet
from py4j.protocol import Py4JJavaError
from pyspark import SparkContext
from pyspark.ml.classification import LogisticRegression as StockRegression
from pyspark.ml.linalg import Vectors
from pyspark.sql import SparkSession
from sklearn.linear_model import LogisticRegression

CLASSES, FOLDS, FEATURES, K = 3, 3, 12, 8
LABELS, BLOCKS = 6, 9


class Table:
    """Features of overlapping classes in several files; one in nine rows is not used, some have no fold."""

    def __init__(self, folder: Path, rows: int = 700, files: int = 5) -> None:
        rng = np.random.default_rng(5)
        self.store: Store = open_store(str(folder))
        self.places = np.sort(rng.integers(0, LABELS, rows)).astype(np.int32)
        self.classes = np.where(rng.random(rows) < 1 / 9, -1, self.places % CLASSES).astype(np.int32)
        self.folds = rng.integers(-2, FOLDS, rows).astype(np.int32)
        self.blocks = rng.integers(-1, BLOCKS, rows).astype(np.int32)
        means, mixed = rng.normal(size=(LABELS, FEATURES)), rng.normal(size=(FEATURES, FEATURES))
        vectors = rng.normal(size=(rows, FEATURES)) @ mixed + means[self.places] + 3
        self.vectors = vectors.astype(np.float32)
        self.files = [self._write(number, part) for number, part in enumerate(np.array_split(np.arange(rows), files))]
        self.used = self.classes >= 0
        self.fitted: Projection = projection.fit(Moments.of(self.vectors[self.used]), components=K)
        self.components = self.fitted.transform(self.vectors).astype(np.float64)

    def _write(self, number: int, part: np.ndarray) -> FileRows:
        table = pa.table({"features": columns.float_lists(self.vectors[part])})
        file = parquet.write(self.store, "features", number, table)
        return FileRows(file.key, self.classes[part], self.folds[part], self.blocks[part], self.places[part])

    def passes(self, context: SparkContext, **options: Any) -> Passes:
        return Passes(context, self.store, self.files, self.fitted, CLASSES, **options)

    def weights(self, kind: str, rows: np.ndarray) -> np.ndarray:
        counts = np.bincount(self.classes[rows], minlength=CLASSES)
        return np.asarray(class_weights(kind, counts)[self.classes[rows]])


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Table:
    return Table(tmp_path_factory.mktemp("table"))


def probabilities(head: Head, components: np.ndarray) -> np.ndarray:
    return softmax(components @ head.coefficients.T + head.intercepts)


def kept_folders(context: SparkContext) -> list[str]:
    """The folders of components that are on this machine's disk."""

    def look(_: int) -> list[str]:
        return [name for name in os.listdir(os.environ["SPARK_LOCAL_DIRS"]) if name.startswith("orchard-")]

    return context.parallelize([0], 1).map(look).collect()[0]


def test_add_up_is_what_numpy_gives(context: SparkContext, table: Table) -> None:
    found = add_up(context, table.store, table.files, FEATURES, BLOCKS + 1)
    expected = Moments.of(table.vectors[table.used])
    assert found.moments.count == expected.count
    np.testing.assert_allclose(found.moments.mean, expected.mean)
    np.testing.assert_allclose(found.moments.cross_products(), expected.cross_products())
    for block in range(BLOCKS + 1):
        rows = table.blocks == block
        assert found.counts[block] == rows.sum()
        np.testing.assert_allclose(found.sums[block], table.vectors[rows].sum(axis=0, dtype=np.float64), atol=1e-9)
    assert found.counts[BLOCKS] == 0


@pytest.mark.parametrize("kind", ["balanced", "none"])
def test_solve_is_scikit_learns(context: SparkContext, table: Table, kind: str) -> None:
    strengths = (0.001, 0.3)
    with table.passes(context, class_weight=kind, fetched=0 if kind == "none" else FETCHED) as passes:
        heads = passes.solve([passes.problem(strength, fold) for strength in strengths for fold in (-1, 1)])
    for number, head in enumerate(heads):
        rows = table.used & (table.folds != 1) & (table.folds != BETWEEN_FOLDS) if number % 2 else table.used
        weights = table.weights(kind, rows)
        stock = LogisticRegression(C=1 / (strengths[number // 2] * weights.sum()), tol=1e-9, solver="newton-cholesky")
        stock.fit(table.components[rows], table.classes[rows], sample_weight=weights)
        found = probabilities(head, table.components)
        np.testing.assert_allclose(found, stock.predict_proba(table.components), atol=2e-5)
        assert abs(head.intercepts.mean()) < 1e-12


def test_solve_is_stock_pyspark_mls(spark: SparkSession, table: Table) -> None:
    weights = table.weights("balanced", table.used)
    used = zip(table.components[table.used], table.classes[table.used].tolist(), weights.tolist(), strict=True)
    frame = spark.createDataFrame([(Vectors.dense(row), of, weight) for row, of, weight in used], ["v", "y", "w"])
    stock = StockRegression(featuresCol="v", labelCol="y", weightCol="w", regParam=0.05, tol=1e-10, maxIter=500)
    model = stock.setParams(family="multinomial", standardization=False).fit(frame)
    with table.passes(spark.sparkContext) as passes:
        (head,) = passes.solve([passes.problem(0.05)])
    expected = Head(model.coefficientMatrix.toArray(), np.asarray(model.interceptVector.toArray()))
    found = probabilities(head, table.components)
    np.testing.assert_allclose(found, probabilities(expected, table.components), atol=2e-5)
    np.testing.assert_allclose(head.intercepts, expected.intercepts, atol=1e-4)


def test_solve_in_any_partitioning(context: SparkContext, table: Table) -> None:
    found = []
    for tasks, fetched in ((1, 0), (2, 0), (5, FETCHED), (2, FETCHED)):
        with table.passes(context, tasks=tasks, fetched=fetched) as passes:
            found.append(passes.solve([passes.problem(0.01), passes.problem(0.01, 0)]))
    for heads in found[1:]:
        for head, expected in zip(heads, found[0], strict=True):
            np.testing.assert_allclose(head.weights, expected.weights, atol=1e-6)
    assert [head.weights.tobytes() for head in found[3]] == [head.weights.tobytes() for head in found[1]]


def test_solve_starts_where_it_is_told(context: SparkContext, table: Table) -> None:
    with table.passes(context) as passes:
        problems = [passes.problem(0.05, fold) for fold in range(FOLDS)]
        rough = passes.solve(problems, gtol=COARSE)
        cold = passes.count
        exact = passes.solve(problems, rough)
        warm = passes.count
        again = passes.solve(problems, exact)
    assert passes.count - warm <= 3 < cold
    for head, close, expected in zip(again, rough, exact, strict=True):
        np.testing.assert_allclose(head.weights, expected.weights, atol=1e-6)
        found = probabilities(close, table.components)
        np.testing.assert_allclose(found, probabilities(expected, table.components), atol=0.01)


def total_of(context: SparkContext, table: Table, fetched: int) -> Generator[float]:
    """The sum of all vectors of used rows, computed anew each time."""
    components = Components(context, table.store, table.files, table.fitted, fetched=fetched)
    try:
        while True:
            yield sum(components.run(sum_of))
    finally:
        components.close()


def sum_of(rows: Rows, task: Task) -> float:
    return sum(float(block.vectors.sum()) for block in rows.blocks(task))


@pytest.mark.parametrize("fetched", [0, FETCHED])
def test_components_are_made_once(context: SparkContext, fetched: int, tmp_path: Path) -> None:
    table = Table(tmp_path, rows=100)
    totals = total_of(context, table, fetched)
    before = next(totals)
    assert before == pytest.approx((table.components[table.used] + 1 / K).sum(), rel=1e-6)
    assert len(kept_folders(context)) == (0 if fetched else 1)
    for file in tmp_path.rglob("*.parquet"):
        file.unlink()
    assert next(totals) == before
    totals.close()
    assert kept_folders(context) == []


@pytest.mark.parametrize("fetched", [0, FETCHED])
def test_components_made_again(context: SparkContext, table: Table, fetched: int) -> None:
    components = Components(context, table.store, table.files, table.fitted, fetched=fetched)
    before = components.run(sum_of)
    components.forget()  # as where an executor is lost
    assert kept_folders(context) == []
    assert components.run(sum_of) == before
    components.close()


def test_losses_are_what_numpy_gives(context: SparkContext, table: Table) -> None:
    temperatures = (0.5, 1.0, 3.0)
    with table.passes(context) as passes:
        heads = passes.solve([passes.problem(0.01, fold) for fold in range(FOLDS)], gtol=COARSE)
        losses, total = passes.losses(heads, temperatures)
    rows = table.used & (table.folds >= 0)
    weights = table.weights("balanced", rows)
    assert total == pytest.approx(weights.sum())
    for temperature, loss in zip(temperatures, losses, strict=True):
        scaled = [Head(head.coefficients / temperature, head.intercepts / temperature) for head in heads]
        said = own_probabilities(table, rows, scaled)[np.arange(rows.sum()), table.classes[rows]]
        assert loss == pytest.approx(-(weights * np.log(said)).sum())


def own_probabilities(table: Table, rows: np.ndarray, heads: Sequence[Head]) -> np.ndarray:
    """Of rows, by the head of the fold of each."""
    every = np.array([probabilities(head, table.components[rows]) for head in heads])
    return np.asarray(every[table.folds[rows], np.arange(rows.sum())])


def test_held_out_is_what_numpy_gives(context: SparkContext, table: Table) -> None:
    references, temperature = table.vectors[::50], 1.7
    of = table.places[::50]
    with table.passes(context) as passes:
        heads = passes.solve([passes.problem(0.01, fold) for fold in range(FOLDS)], gtol=COARSE)
        found = passes.held_out(heads, references, of, temperature)
    rows = table.used & (table.folds >= 0)
    scaled = [Head(head.coefficients / temperature, head.intercepts / temperature) for head in heads]
    said = own_probabilities(table, rows, scaled)
    squares = squared_distances(table.vectors[rows], references)
    squares[np.abs(table.places[rows][:, np.newaxis] - of) < 2] = np.inf
    np.testing.assert_allclose(found.probabilities, said.max(axis=1), atol=1e-5)
    np.testing.assert_array_equal(found.right, said.argmax(axis=1) == table.classes[rows])
    np.testing.assert_array_equal(found.classes, table.classes[rows])
    np.testing.assert_array_equal(found.folds, table.folds[rows])
    np.testing.assert_allclose(found.distances, np.sqrt(squares.min(axis=1)), atol=1e-6)


def test_files_of_other_rows_are_refused(context: SparkContext, tmp_path: Path) -> None:
    table = Table(tmp_path, rows=60)
    first, *others = table.files
    parts = (first.classes, first.folds, first.blocks, first.places)
    table.files = [FileRows(first.key, *(np.append(part, part[:1]) for part in parts)), *others]
    with table.passes(context, fetched=0) as passes, pytest.raises(Py4JJavaError, match="has 12 rows, not 13"):
        passes.solve([passes.problem(0.1)])


def test_group_rows_keeps_order(table: Table) -> None:
    tasks = group_rows(table.files, 3)
    assert [task.number for task in tasks] == [0, 1, 2]
    assert [file.key for task in tasks for file in task.files] == [file.key for file in table.files]
    assert group_rows([], 3)[0].files == []


def test_read_features_rows(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "FEATURES_BLOCK", 33)
    parts = [*read_features(table.store, FEATURES, table.files)]
    assert max(len(part.vectors) for part in parts) == 33
    np.testing.assert_array_equal(np.concatenate([part.vectors for part in parts]), table.vectors)
    for name in ("classes", "folds", "blocks", "places"):
        known = np.concatenate([getattr(part.rows, name) for part in parts])
        np.testing.assert_array_equal(known, getattr(table, name))


def reduced(table: Table) -> ReducedRows:
    return ReducedRows(table.store, K, SimpleNamespace(value=table.fitted), "training")  # type: ignore[arg-type]


def test_reduced_rows_come_in_blocks(table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "BLOCK", 100)
    environ, (task,) = {"SPARK_LOCAL_DIRS": f"{tmp_path},/other"}, group_rows(table.files, 1)
    for _ in range(2):  # made, and found
        blocks = [
            (block.vectors.copy(), block.classes.copy()) for block in reduced(table).blocks(task, environ=environ)
        ]
        assert [len(vectors) for vectors, _ in blocks] == [100] * 6 + [table.used.sum() - 600]
        vectors = np.concatenate([vectors for vectors, _ in blocks])
        np.testing.assert_array_equal(vectors[:, :-1], table.components[table.used].astype(np.float32))
        np.testing.assert_array_equal(vectors[:, -1], 1)
        np.testing.assert_array_equal(np.concatenate([of for _, of in blocks]), table.classes[table.used])
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["0"]


def test_reduced_rows_on_a_full_disk(small_disk: Path, tmp_path: Path) -> None:
    table = Table(tmp_path, rows=100_000)
    (task,) = group_rows(table.files, 1)
    with pytest.raises(MachineError, match="SPARK_LOCAL_DIRS"):
        next(reduced(table).blocks(task, environ={"SPARK_LOCAL_DIRS": str(small_disk)}))
    assert not [path for path in small_disk.rglob("*") if path.is_file()]
