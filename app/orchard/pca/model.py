"""The fit as a saved `pyspark.ml.PipelineModel`: stock StandardScalerModel and PCAModel, written in Spark's own format.

Spark reads what earlier versions of it saved, so the format holds still: a line of JSON for each stage and for the whole, and a
parquet file of one row with the fitted arrays. Written from here it takes 20 ms, has no need of the JVM, and comes out the same every
time; through Spark's writers it takes six small jobs, a second in all. The tests load it with stock pyspark and compare it with
what stock pyspark saves.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orchard.pca.moments import Matrix
from orchard.pca.projection import Projection
from orchard.storage.stores import Store
from orchard.tables import columns, parquet

INPUT, SCALED, OUTPUT = "features", "scaled", "components"
_ML = "org.apache.spark.ml"
_STAGES = ("orchard_scaler", "orchard_pca")
# The columns of a stage's one row: name -> type in Spark's words, and the value.
_Row = dict[str, tuple[dict[str, Any], pa.Array]]


def model_files(fitted: Projection, *, spark_version: str) -> dict[str, bytes]:
    """A PipelineModel from vector column `features`, over `scaled`, to `components`: the content of its files by path."""
    k, size = fitted.k, len(fitted.mean)
    scaler = {"inputCol": INPUT, "outputCol": SCALED, "withMean": True, "withStd": True}
    pca = {"inputCol": SCALED, "outputCol": OUTPUT, "k": k}
    scaler_row = {"std": (_VECTOR, _vector(fitted.std)), "mean": (_VECTOR, _vector(fitted.mean))}
    loadings = _matrix(fitted.loadings.ravel(order="F"), size, k)
    pca_row = {"pc": (_MATRIX, loadings), "explainedVariance": (_VECTOR, _vector(fitted.explained_variance_ratio[:k]))}
    return {
        **_metadata("metadata", f"{_ML}.PipelineModel", "orchard", {"stageUids": list(_STAGES)}, spark_version),
        **_stage(0, "StandardScalerModel", scaler, scaler_row, spark_version),
        **_stage(1, "PCAModel", pca, pca_row, spark_version),
    }


def read_model(store: Store, folder: str, explained_variance_ratio: Matrix) -> Projection:
    """The fit in a model that `model_files` made; a model has the ratio of the components kept only, a report that of all."""
    scaler, pca = (
        parquet.read_table(store, f"{folder}/stages/{number}_{uid}/data").to_pylist()[0]
        for number, uid in enumerate(_STAGES)
    )
    loadings = np.array(pca["pc"]["values"]).reshape(pca["pc"]["numCols"], pca["pc"]["numRows"]).T
    mean, std = (np.array(scaler[name]["values"]) for name in ("mean", "std"))
    return Projection(mean, std, np.ascontiguousarray(loadings), explained_variance_ratio)


def _stage(number: int, kind: str, params: dict[str, Any], row: _Row, spark_version: str) -> dict[str, bytes]:
    uid = _STAGES[number]
    folder = f"stages/{number}_{uid}"
    content = parquet.to_bytes(_row_table(row, spark_version), dictionary=False)
    return {
        **_metadata(f"{folder}/metadata", f"{_ML}.feature.{kind}", uid, params, spark_version),
        **parquet.one_file(f"{folder}/data", content),
    }


def _metadata(folder: str, kind: str, uid: str, params: dict[str, Any], spark_version: str) -> dict[str, bytes]:
    # The timestamp is for people; 0 keeps the bytes of equal fits equal.
    facts = {
        "class": kind,
        "timestamp": 0,
        "sparkVersion": spark_version,
        "uid": uid,
        "paramMap": params,
        "defaultParamMap": {},
    }
    line = json.dumps(facts, separators=(",", ":")) + "\n"
    return {f"{folder}/part-00000": line.encode(), f"{folder}/{parquet.SUCCESS}": b""}


def _row_table(row: _Row, spark_version: str) -> pa.Table:
    fields = [{"name": name, "type": kind, "nullable": True, "metadata": {}} for name, (kind, _) in row.items()]
    marks = {
        "org.apache.spark.version": spark_version,
        "org.apache.spark.sql.parquet.row.metadata": json.dumps(
            {"type": "struct", "fields": fields}, separators=(",", ":")
        ),
    }
    return pa.table({name: column for name, (_, column) in row.items()}).replace_schema_metadata(marks)


def _field(name: str, kind: str | dict[str, Any], *, nullable: bool) -> dict[str, Any]:
    return {"name": name, "type": kind, "nullable": nullable, "metadata": {}}


def _udt(name: str, fields: list[dict[str, Any]]) -> dict[str, Any]:
    udt = {"type": "udt", "class": f"{_ML}.linalg.{name}", "pyClass": f"pyspark.ml.linalg.{name}"}
    return {**udt, "sqlType": {"type": "struct", "fields": fields}}


_INTEGERS = {"type": "array", "elementType": "integer", "containsNull": False}
_DOUBLES = {"type": "array", "elementType": "double", "containsNull": False}
# The columns that Spark's VectorUDT and MatrixUDT stand for; type 1 is dense, and a dense one leaves the sparse fields null.
_VECTOR = _udt(
    "VectorUDT",
    [
        _field("type", "byte", nullable=False),
        _field("size", "integer", nullable=True),
        _field("indices", _INTEGERS, nullable=True),
        _field("values", _DOUBLES, nullable=True),
    ],
)
_MATRIX = _udt(
    "MatrixUDT",
    [
        _field("type", "byte", nullable=False),
        _field("numRows", "integer", nullable=False),
        _field("numCols", "integer", nullable=False),
        _field("colPtrs", _INTEGERS, nullable=True),
        _field("rowIndices", _INTEGERS, nullable=True),
        _field("values", _DOUBLES, nullable=True),
        _field("isTransposed", "boolean", nullable=False),
    ],
)


def _vector(values: Matrix) -> pa.Array:
    fields = [
        ("type", _byte(1)),
        ("size", pa.nulls(1, pa.int32())),
        ("indices", pa.nulls(1, pa.list_(pa.int32()))),
        ("values", _list(values)),
    ]
    return _struct(fields, required=("type",))


def _matrix(values: Matrix, rows: int, cols: int) -> pa.Array:
    """A dense matrix of one row; `values` float64 (rows * cols,), column after column."""
    nulls = pa.nulls(1, pa.list_(pa.int32()))
    false = pa.Array.from_buffers(pa.bool_(), 1, [None, pa.py_buffer(b"\0")])
    sizes = [
        (name, columns.numbers([number], np.int32, pa.int32()))
        for name, number in (("numRows", rows), ("numCols", cols))
    ]
    fields = [
        ("type", _byte(1)),
        *sizes,
        ("colPtrs", nulls),
        ("rowIndices", nulls),
        ("values", _list(values)),
        ("isTransposed", false),
    ]
    return _struct(fields, required=("type", "numRows", "numCols", "isTransposed"))


def _struct(fields: list[tuple[str, pa.Array]], *, required: tuple[str, ...]) -> pa.Array:
    types = [pa.field(name, column.type, nullable=name not in required) for name, column in fields]
    return pa.StructArray.from_arrays([column for _, column in fields], fields=types)


def _byte(value: int) -> pa.Array:
    return columns.numbers([value], np.int8, pa.int8())


def _list(values: npt.NDArray[np.float64]) -> pa.Array:
    offsets = columns.numbers([0, len(values)], np.int32, pa.int32())
    return pa.ListArray.from_arrays(offsets, columns.numbers(values, np.float64, pa.float64()))
