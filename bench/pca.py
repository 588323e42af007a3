"""The PCA fit alone, in a JVM of its own: `python -m bench.pca VARIANT FOLDER K` prints one JSON line.

VARIANT is `orchard`, `stock` (pyspark.ml, its JVM kept from native libraries) or `stock-native` (with what it finds). FOLDER
holds parquet files with a column `features`, K is the number of components. Seconds, each for StandardScaler and PCA: `first`
is the session's first fit, from the files, classes still to be loaded; `files` a second one; `fit` the best case, which for
pyspark.ml starts from vectors cached in memory before, and for Orchard is `files`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from pyspark.ml.feature import PCAModel
    from pyspark.sql import DataFrame, SparkSession

MASTER = "local[2]"
# netlib opens the library of this name; there is none, so it falls back on Java, as on a machine without native libraries.
NO_NATIVE = " ".join(f"-Ddev.ludovic.netlib.{library}.nativeLib=none" for library in ("blas", "lapack", "arpack"))
Fitted = TypeVar("Fitted")


def main() -> None:
    """Run one variant and print what it took."""
    parser = argparse.ArgumentParser(prog="bench.pca")
    parser.add_argument("variant", choices=("orchard", "stock", "stock-native"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("k", type=int)
    arguments = parser.parse_args()
    if arguments.variant == "orchard":
        result = orchard(arguments.folder, arguments.k)
    else:
        result = stock(arguments.folder, arguments.k, NO_NATIVE if arguments.variant == "stock" else "")
    print(json.dumps(result))


def orchard(folder: Path, k: int) -> dict[str, Any]:
    """Orchard's fit, in the session that a run opens."""
    from orchard.pca import job as reduction
    from orchard.spark.session import open_session
    from orchard.storage.stores import open_store
    from orchard.tables import parquet

    store = open_store(str(folder))

    def fit() -> Any:
        return reduction.fit(spark, store, parquet.files(store, ""), feature_size=1280, components=k)

    with open_session(MASTER, say=lambda line: print(line, file=sys.stderr)) as spark:
        first, _ = timed(fit)
        files, fitted = timed(fit)
    kept = float(fitted.explained_variance_ratio[:k].sum())
    return {"first": first, "files": files, "fit": files, "k": k, "kept": kept, "lapack": "NumPy's", "blas": "NumPy's"}


def stock(folder: Path, k: int, java_options: str) -> dict[str, Any]:
    """pyspark.ml as a notebook uses it, in a session of stock settings."""
    from pyspark.ml.functions import array_to_vector
    from pyspark.sql import SparkSession
    from pyspark.sql.functions import column

    builder = (
        SparkSession.builder.master(MASTER)
        .config("spark.driver.memory", "6g")
        .config("spark.ui.showConsoleProgress", "false")
    )
    spark = builder.config("spark.driver.extraJavaOptions", java_options).getOrCreate()
    vectors = spark.read.parquet(str(folder)).select(array_to_vector(column("features")).alias("vector"))
    first, _ = timed(lambda: stock_fit(vectors, k))
    files, _ = timed(lambda: stock_fit(vectors, k))
    cached = vectors.cache()
    cached.count()
    fit, fitted = timed(lambda: stock_fit(cached, k))
    kept = float(fitted.explainedVariance.toArray().sum())
    result = {"first": first, "files": files, "fit": fit, "k": k, "kept": kept, **implementations(spark)}
    spark.stop()
    return result


def stock_fit(vectors: DataFrame, k: int) -> PCAModel:
    """Standardise and reduce the column `vector`."""
    from pyspark.ml.feature import PCA, StandardScaler

    scaler = StandardScaler(inputCol="vector", outputCol="scaled", withMean=True, withStd=True).fit(vectors)
    return PCA(k=k, inputCol="scaled", outputCol="components").fit(scaler.transform(vectors))


def implementations(spark: SparkSession) -> dict[str, str]:
    """The classes that this JVM really uses: `JNILAPACK` and `JNIBLAS` are native, all others Java."""
    netlib: Any = spark.sparkContext._jvm.dev.ludovic.netlib  # type: ignore[union-attr]
    instances = {"lapack": netlib.lapack.LAPACK.getInstance(), "blas": netlib.blas.BLAS.getInstance()}
    return {name: str(instance.getClass().getSimpleName()) for name, instance in instances.items()}


def timed(call: Callable[[], Fitted]) -> tuple[float, Fitted]:
    """Seconds that a call takes, and what it returns."""
    started = time.perf_counter()
    result = call()
    return time.perf_counter() - started, result


if __name__ == "__main__":
    main()
