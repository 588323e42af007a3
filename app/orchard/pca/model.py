"""The fit as a saved `pyspark.ml.PipelineModel`: stock StandardScalerModel and PCAModel, written in Spark's own format.

Spark reads what earlier versions of it saved, so the format holds still: a line of JSON for each stage and for the
whole, and a parquet file of one row with the fitted arrays. Written from here it takes 20 ms and no JVM; by Spark's
writers six small jobs, a second in all. The tests compare it with what stock pyspark saves.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orchard.errors import OutputError
from orchard.pca.moments import Matrix
from orchard.pca.projection import Projection
from orchard.storage.stores import Store
from orchard.tables import columns, parquet

INPUT, SCALED, OUTPUT = "features", "scaled", "components"
_ML = "org.apache.spark.ml"
_SUCCESS, _ONLY = "_SUCCESS", "part-00000.snappy.parquet"
_STAGES = ("orchard_scaler", "orchard_pca")
# The columns of a stage's one row: name -> type in Spark's words, and the value.
_Row = dict[str, tuple[dict[str, Any], pa.Array]]


def model_files(fitted: Projection, *, spark_version: str) -> dict[str, bytes]:
    """A PipelineModel from vector column `features` over `scaled` to `components`: its files' content by path."""
    k, size = fitted.k, len(fitted.mean)
    scaler = {"inputCol": INPUT, "outputCol": SCALED, "withMean": True, "withStd": True}
    pca = {"inputCol": SCALED, "outputCol": OUTPUT, "k": k}
    scaler_row = {"std": _vector(fitted.std), "mean": _vector(fitted.mean)}
    variance = _vector(fitted.explained_variance_ratio[:k])
    pca_row = {"pc": _matrix(fitted.loadings.ravel(order="F"), size, k), "explainedVariance": variance}
    return {
        **_metadata("metadata", f"{_ML}.PipelineModel", "orchard", {"stageUids": list(_STAGES)}, spark_version),
        **_stage(0, "StandardScalerModel", scaler, scaler_row, spark_version),
        **_stage(1, "PCAModel", pca, pca_row, spark_version),
    }


def write_model(store: Store, folder: str, files: Mapping[str, bytes]) -> None:
    """Replace the model in a folder; until all of the new one is there, it has no metadata and nobody can load it."""
    last = "metadata/part-00000"
    store.delete([f"{folder}/{last}"])
    for path in sorted(files, key=lambda path: path == last):
        store.write(f"{folder}/{path}", files[path])


def read_model(store: Store, folder: str, feature_size: int) -> Projection:
    """The fit in a model that `model_files` made; its explained variance is that of the components kept only.

    Raises:
        OutputError: there is no such model, or it is another kind of pipeline.
    """
    try:
        store.read(f"{folder}/metadata/part-00000")
        scaler, pca = (_read_row(store, f"{folder}/stages/{at}_{uid}/data/{_ONLY}") for at, uid in enumerate(_STAGES))
        loadings = np.array(pca["pc"]["values"]).reshape(pca["pc"]["numCols"], pca["pc"]["numRows"]).T
        mean, std, ratio = (
            np.array(row[name]["values"])
            for row, name in ((scaler, "mean"), (scaler, "std"), (pca, "explainedVariance"))
        )
    except (FileNotFoundError, KeyError, ValueError) as exc:
        where = f"{store.uri}/{folder}"
        raise OutputError(f"--keep-model: no model of `orchard run` in {where}: run once without --keep-model") from exc
    if len(mean) != feature_size:
        raise OutputError(
            f"--keep-model: the model in {store.uri}/{folder} is for {len(mean)} features, not {feature_size}"
        )
    return Projection(mean, std, np.ascontiguousarray(loadings), ratio)


def _read_row(store: Store, key: str) -> dict[str, Any]:
    row: dict[str, Any] = parquet.read(store, key).to_pylist()[0]
    return row


def model_number(fitted: Projection) -> int:
    """A number for what `Projection.transform` computes with, by which a table remembers it: 7 bytes of its SHA-256."""
    content = b"".join(np.ascontiguousarray(part).tobytes() for part in (fitted.mean, fitted.std, fitted.loadings))
    return int.from_bytes(hashlib.sha256(content).digest()[:7], "big")


def _stage(number: int, kind: str, params: dict[str, Any], row: _Row, spark_version: str) -> dict[str, bytes]:
    uid = _STAGES[number]
    folder = f"stages/{number}_{uid}"
    content = parquet.to_bytes(_row_table(row, spark_version), dictionary=False)
    data = {f"{folder}/data/{_ONLY}": content, f"{folder}/data/{_SUCCESS}": b""}
    return {**_metadata(f"{folder}/metadata", f"{_ML}.feature.{kind}", uid, params, spark_version), **data}


def _metadata(folder: str, kind: str, uid: str, params: dict[str, Any], spark_version: str) -> dict[str, bytes]:
    # The timestamp is for people; 0 keeps the bytes of equal fits equal.
    facts = {"class": kind, "timestamp": 0, "sparkVersion": spark_version, "uid": uid, "paramMap": params}
    line = json.dumps({**facts, "defaultParamMap": {}}, separators=(",", ":")) + "\n"
    return {f"{folder}/part-00000": line.encode(), f"{folder}/{_SUCCESS}": b""}


def _row_table(row: _Row, spark_version: str) -> pa.Table:
    fields = [{"name": name, "type": kind, "nullable": True, "metadata": {}} for name, (kind, _) in row.items()]
    marks = {
        "org.apache.spark.version": spark_version,
        "org.apache.spark.sql.parquet.row.metadata": json.dumps({"type": "struct", "fields": fields}),
    }
    return pa.table({name: column for name, (_, column) in row.items()}).replace_schema_metadata(marks)


# The columns that Spark's VectorUDT and MatrixUDT stand for; type 1 is dense, which leaves the sparse fields null.
_INTEGERS = {"type": "array", "elementType": "integer", "containsNull": False}
_DOUBLES = {"type": "array", "elementType": "double", "containsNull": False}
_NO_INTEGERS = pa.nulls(1, pa.list_(pa.int32()))
# A field of such a type: name, type in Spark's words, its one value, whether it may be null.
_Field = tuple[str, Any, pa.Array, bool]


def _vector(values: Matrix) -> tuple[dict[str, Any], pa.Array]:
    """A dense vector of float64 (n,)."""
    size: _Field = ("size", "integer", pa.nulls(1, pa.int32()), True)
    return _udt("VectorUDT", [_DENSE, size, ("indices", _INTEGERS, _NO_INTEGERS, True), _values(values)])


def _matrix(values: Matrix, rows: int, cols: int) -> tuple[dict[str, Any], pa.Array]:
    """A dense matrix; `values` float64 (rows * cols,), column after column."""
    shape: list[_Field] = [
        (name, "integer", columns.numbers([number], np.int32, pa.int32()), False)
        for name, number in (("numRows", rows), ("numCols", cols))
    ]
    sparse: list[_Field] = [(name, _INTEGERS, _NO_INTEGERS, True) for name in ("colPtrs", "rowIndices")]
    transposed = pa.Array.from_buffers(pa.bool_(), 1, [None, pa.py_buffer(b"\0")])
    return _udt("MatrixUDT", [_DENSE, *shape, *sparse, _values(values), ("isTransposed", "boolean", transposed, False)])


_DENSE: _Field = ("type", "byte", columns.numbers([1], np.int8, pa.int8()), False)


def _values(values: npt.NDArray[np.float64]) -> _Field:
    offsets = columns.numbers([0, len(values)], np.int32, pa.int32())
    return (
        "values",
        _DOUBLES,
        pa.ListArray.from_arrays(offsets, columns.numbers(values, np.float64, pa.float64())),
        True,
    )


def _udt(name: str, fields: list[_Field]) -> tuple[dict[str, Any], pa.Array]:
    """A column of one row: its type in Spark's words, and the column."""
    listed = [{"name": field, "type": kind, "nullable": null, "metadata": {}} for field, kind, _, null in fields]
    udt = {"type": "udt", "class": f"{_ML}.linalg.{name}", "pyClass": f"pyspark.ml.linalg.{name}"}
    types = [pa.field(field, column.type, nullable=null) for field, _, column, null in fields]
    column = pa.StructArray.from_arrays([column for _, _, column, _ in fields], fields=types)
    return {**udt, "sqlType": {"type": "struct", "fields": listed}}, column
