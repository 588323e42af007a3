from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from orchard import featurize_udf
from orchard.network.weights import BakedWeights
from pyspark.errors import PythonException
from pyspark.sql import SparkSession

from tests.features.test_task import one_by_one


def test_featurize_udf_on_any_frame_of_bytes(spark: SparkSession, weights: BakedWeights, drawn: Path) -> None:
    frame = (
        spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(str(drawn)).select("path", "content")
    )
    bad = spark.createDataFrame(
        [("bad", bytearray(b"not a photo")), ("null", None), ("empty", bytearray())], "path string, content binary"
    )
    extract = featurize_udf(weights=weights.folder)
    rows = frame.union(bad).select("path", extract("content").alias("features")).collect()
    assert len(rows) == 27
    assert {row.path for row in rows if row.features is None} == {"bad", "null", "empty"}
    good = [row for row in rows if row.features is not None]
    expected = one_by_one(Path("/"), weights, [row.path.removeprefix("file:/").lstrip("/") for row in good])
    np.testing.assert_array_equal(np.array([row.features for row in good], np.float32), expected)


def test_featurize_udf_can_raise(spark: SparkSession, weights: BakedWeights) -> None:
    frame = spark.createDataFrame([(bytearray(b"not a photo"),)], "content binary")
    with pytest.raises(PythonException, match="not_an_image"):
        frame.select(featurize_udf(weights=weights.folder, on_error="raise")("content")).collect()
    with pytest.raises(ValueError, match="on_error"):
        featurize_udf(on_error="skip")
