"""Spark edge: how tables of vectors are written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql.types import ArrayType, FloatType, StringType, StructField, StructType

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


# Bytes: 2,400 photos' features.
ROW_GROUP = 12 << 20


def vectors_schema(name: str) -> StructType:
    """path string, label string, `name` array<float> without nulls in it."""
    vectors = StructField(name, ArrayType(FloatType(), containsNull=False))
    return StructType([StructField("path", StringType()), StructField("label", StringType()), vectors])


def features_schema() -> StructType:
    """`vectors_schema("features")` with the SHA-256 of each photo's bytes, in hexadecimal, before the features."""
    path, label, features = vectors_schema("features")
    return StructType([path, label, StructField("sha256", StringType()), features])


TABLES = {"features": features_schema(), "components": vectors_schema("components")}


def write_vectors(frame: DataFrame, destination: str) -> None:
    """Write a table of vectors as parquet: row groups that readers hold whole, and no dictionaries, useless to measured numbers."""
    frame.write.option("parquet.enable.dictionary", "false").option("parquet.block.size", ROW_GROUP).parquet(
        destination
    )
