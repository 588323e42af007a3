"""Models in the format in which `pyspark.ml` saves them, written and read without a JVM.

Spark reads what earlier versions of it saved, so the format holds still: a line of JSON for each stage and for the
pipeline, and for a stage with fitted arrays a parquet file of one row. Written from here it takes 20 ms; by Spark's
writers several small jobs, a second in all. The tests compare it with what stock pyspark saves.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orchard.pca.moments import Matrix
from orchard.tables import columns, parquet

# Written last and deleted first: without it nobody can load the pipeline.
PIPELINE_METADATA = "metadata/part-00000"
_ML = "org.apache.spark.ml"
_SUCCESS, _ONLY = "_SUCCESS", "part-00000.snappy.parquet"


@dataclass(frozen=True)
class Column:
    """One value of a stage: its type in Spark's words, a column of one row, and whether Spark calls it nullable."""

    kind: Any
    values: pa.Array
    nullable: bool = True


@dataclass(frozen=True)
class Stage:
    """One transformer of a pipeline.

    Attributes:
        kind: its class below `org.apache.spark.ml`, "feature.PCAModel" for one.
        uid: its name within the pipeline.
        params: what is set of its params.
        row: its fitted values by name; empty for a transformer that has only params.
    """

    kind: str
    uid: str
    params: Mapping[str, Any]
    row: Mapping[str, Column]


def pipeline_model_files(stages: Sequence[Stage], uid: str, *, spark_version: str) -> dict[str, bytes]:
    """A PipelineModel of up to ten stages: its files' content by path."""
    files = _metadata("metadata", "PipelineModel", uid, {"stageUids": [stage.uid for stage in stages]}, spark_version)
    for number, stage in enumerate(stages):
        folder = _folder(number, stage.uid)
        files |= _metadata(f"{folder}/metadata", stage.kind, stage.uid, stage.params, spark_version)
        if stage.row:
            content = parquet.to_bytes(_to_table(stage.row, spark_version), dictionary=False)
            files |= {data_file(number, stage.uid): content, f"{folder}/data/{_SUCCESS}": b""}
    return files


def _folder(number: int, uid: str) -> str:
    return f"stages/{number}_{uid}"


def data_file(number: int, uid: str) -> str:
    """Path of the fitted values of a pipeline's stage."""
    return f"{_folder(number, uid)}/data/{_ONLY}"


def metadata_file(number: int, uid: str) -> str:
    """Path of the params of a pipeline's stage."""
    return f"{_folder(number, uid)}/metadata/part-00000"


def _metadata(folder: str, kind: str, uid: str, params: Mapping[str, Any], spark_version: str) -> dict[str, bytes]:
    # The timestamp is for people; 0 keeps the bytes of equal fits equal.
    facts = {"class": f"{_ML}.{kind}", "timestamp": 0, "sparkVersion": spark_version, "uid": uid, "paramMap": params}
    line = json.dumps({**facts, "defaultParamMap": {}}, separators=(",", ":")) + "\n"
    return {f"{folder}/part-00000": line.encode(), f"{folder}/{_SUCCESS}": b""}


def _to_table(row: Mapping[str, Column], spark_version: str) -> pa.Table:
    fields = [_spark_field(name, column) for name, column in row.items()]
    marks = {
        "org.apache.spark.version": spark_version,
        "org.apache.spark.sql.parquet.row.metadata": json.dumps({"type": "struct", "fields": fields}),
    }
    schema = pa.schema([_arrow_field(name, column) for name, column in row.items()], marks)
    return pa.table([column.values for column in row.values()], schema=schema)


def _spark_field(name: str, column: Column) -> dict[str, Any]:
    return {"name": name, "type": column.kind, "nullable": column.nullable, "metadata": {}}


def _arrow_field(name: str, column: Column) -> pa.Field:
    return pa.field(name, column.values.type, nullable=column.nullable)


def integer(value: int) -> Column:
    """An int of Scala's."""
    return Column("integer", columns.numbers([value], np.int32, pa.int32()), nullable=False)


def boolean(value: bool) -> Column:
    """A Boolean of Scala's."""
    bits = pa.py_buffer(bytes([value]))
    return Column("boolean", pa.Array.from_buffers(pa.bool_(), 1, [None, bits]), nullable=False)


# The columns that Spark's VectorUDT and MatrixUDT stand for; type 1 is dense, which leaves the sparse fields null.
_DENSE = Column("byte", columns.numbers([1], np.int8, pa.int8()), nullable=False)
_NO_INTEGER = Column("integer", pa.nulls(1, pa.int32()))
_INTEGERS, _DOUBLES = (pa.list_(pa.field("element", kind, nullable=False)) for kind in (pa.int32(), pa.float64()))
_NO_INTEGERS = Column({"type": "array", "elementType": "integer", "containsNull": False}, pa.nulls(1, _INTEGERS))


def vector(values: Matrix) -> Column:
    """A dense vector of float64 (n,)."""
    return _udt("VectorUDT", {"type": _DENSE, "size": _NO_INTEGER, "indices": _NO_INTEGERS, "values": _doubles(values)})


def matrix(values: Matrix, *, transposed: bool = False) -> Column:
    """A dense matrix of float64 (rows, cols), stored column after column, or row after row if `transposed`."""
    shape = {"numRows": integer(values.shape[0]), "numCols": integer(values.shape[1])}
    sparse = {"colPtrs": _NO_INTEGERS, "rowIndices": _NO_INTEGERS}
    entries = _doubles(values.ravel(order="C" if transposed else "F"))
    return _udt(
        "MatrixUDT", {"type": _DENSE, **shape, **sparse, "values": entries, "isTransposed": boolean(transposed)}
    )


def _doubles(values: npt.NDArray[np.float64]) -> Column:
    offsets = columns.numbers([0, len(values)], np.int32, pa.int32())
    array = pa.ListArray.from_arrays(offsets, columns.numbers(values, np.float64, pa.float64()), type=_DOUBLES)
    return Column({"type": "array", "elementType": "double", "containsNull": False}, array)


def _udt(name: str, fields: Mapping[str, Column]) -> Column:
    listed = [_spark_field(field, column) for field, column in fields.items()]
    udt = {"type": "udt", "class": f"{_ML}.linalg.{name}", "pyClass": f"pyspark.ml.linalg.{name}"}
    types = [_arrow_field(field, column) for field, column in fields.items()]
    values = pa.StructArray.from_arrays([column.values for column in fields.values()], fields=types)
    return Column({**udt, "sqlType": {"type": "struct", "fields": listed}}, values)


class Row:
    """The fitted values of a stage, from the content of its data file.

    Making one, and its methods, raise `ValueError` for bytes that are no such file, and `KeyError` for a name or a
    field that is not in it.
    """

    def __init__(self, content: bytes) -> None:
        (batch,) = parquet.from_bytes(content).to_batches()
        self._batch = batch

    def vector(self, name: str) -> Matrix:
        """A dense vector, float64 (n,)."""
        return _entries(self._batch.column(name))

    def matrix(self, name: str) -> Matrix:
        """A dense matrix, float64 (rows, cols), contiguous."""
        column = self._batch.column(name)
        rows, cols, transposed = (column.field(field)[0].as_py() for field in ("numRows", "numCols", "isTransposed"))
        shaped = _entries(column).reshape((rows, cols), order="C" if transposed else "F")
        return np.ascontiguousarray(shaped)


def _entries(column: pa.StructArray) -> Matrix:
    # `Array.to_numpy` would import pandas, and `flatten` pyarrow.compute, 27 ms.
    values = column.field("values")[0].values
    return np.frombuffer(values.buffers()[1], np.float64, len(values), 8 * values.offset)


def params(content: bytes) -> dict[str, Any]:
    """The params of a stage, from the content of its metadata file; `ValueError` or `KeyError` for other bytes."""
    found: dict[str, Any] = json.loads(content)["paramMap"]
    return found
