"""Spark edge: how tables of vectors are written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql.types import ArrayType, FloatType, StringType, StructField, StructType

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def vectors_schema(name: str) -> StructType:
    """path string, label string, `name` array<float> without nulls in it."""
    vectors = StructField(name, ArrayType(FloatType(), containsNull=False))
    return StructType([StructField("path", StringType()), StructField("label", StringType()), vectors])


def write_vectors(frame: DataFrame, destination: str) -> None:
    """Write a table of `vectors_schema` as parquet: row groups for small executors, no dictionaries, useless to measured numbers."""
    frame.write.option("parquet.enable.dictionary", "false").option("parquet.block.size", 32 << 20).parquet(destination)
