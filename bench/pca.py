"""The PCA fit alone, in a JVM of its own; prints one JSON line.

    python -m bench.pca VARIANT FOLDER K

VARIANT is `orchard`, `stock` (pyspark.ml, its JVM kept from native libraries) or `stock-native` (with what it finds).
FOLDER holds parquet files with a column `features`, K is the number of components. Seconds, each for StandardScaler and
PCA: `first` is the session's first fit, from the files, classes still to be loaded; `files` a second one; `memory` the
best case, which for pyspark.ml starts from vectors cached in memory before, and for Orchard is `files`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from bench.inputs import MASTER

if TYPE_CHECKING:
    from pyspark.ml.feature import PCAModel
    from pyspark.sql import DataFrame, SparkSession

VARIANTS = ("orchard", "stock", "stock-native")
# netlib opens the library of this name; there is none, so it falls back on Java, as on a machine without native ones.
NO_NATIVE = " ".join(f"-Ddev.ludovic.netlib.{library}.nativeLib=none" for library in ("blas", "lapack", "arpack"))
Fitted = TypeVar("Fitted")


def main(variant: str, folder: str, k: str) -> None:
    """Run one variant and print what it took."""
    if variant == "orchard":
        result = orchard(Path(folder), int(k))
    else:
        result = stock(Path(folder), int(k), native=variant == "stock-native")
    print(json.dumps({**result, "k": int(k)}))


def orchard(folder: Path, k: int) -> dict[str, Any]:
    """Orchard's fit, in the Spark context that a run opens."""
    import pyarrow.parquet as pq
    from orchard.pca import job
    from orchard.spark.session import open_context
    from orchard.storage.stores import open_store
    from orchard.tables.parquet import DataFile

    paths = sorted(folder.glob("*.parquet"))
    files = [DataFile(path.name, path.stat().st_size, pq.read_metadata(path).num_rows) for path in paths]
    with open_context(MASTER, log=lambda line: print(line, file=sys.stderr)) as context:

        def fit() -> Any:
            return job.fit(context, open_store(str(folder)), files, feature_size=1280, components=k)

        first, _ = timed(fit)
        again, fitted = timed(fit)
    kept = float(fitted.explained_variance_ratio[:k].sum())
    return {"first": first, "files": again, "memory": again, "kept": kept, "lapack": "NumPy's"}


def stock(folder: Path, k: int, *, native: bool) -> dict[str, Any]:
    """pyspark.ml as a notebook uses it, in a session of stock settings."""
    from pyspark.ml.functions import array_to_vector
    from pyspark.sql import SparkSession
    from pyspark.sql.functions import column

    builder = SparkSession.builder.master(MASTER).config("spark.driver.memory", "6g")
    builder = builder.config("spark.ui.showConsoleProgress", "false")
    spark = builder.config("spark.driver.extraJavaOptions", "" if native else NO_NATIVE).getOrCreate()
    lapack = check_lapack(spark, native=native)
    vectors = spark.read.parquet(str(folder)).select(array_to_vector(column("features")).alias("vector"))
    first, _ = timed(lambda: stock_fit(vectors, k))
    files, _ = timed(lambda: stock_fit(vectors, k))
    cached = vectors.cache()
    cached.count()
    memory, fitted = timed(lambda: stock_fit(cached, k))
    kept = float(fitted.explainedVariance.toArray().sum())
    spark.stop()
    return {"first": first, "files": files, "memory": memory, "kept": kept, "lapack": lapack}


def stock_fit(vectors: DataFrame, k: int) -> PCAModel:
    """Standardise and reduce the column `vector`."""
    from pyspark.ml.feature import PCA, StandardScaler

    scaler = StandardScaler(inputCol="vector", outputCol="scaled", withMean=True, withStd=True).fit(vectors)
    return PCA(k=k, inputCol="scaled", outputCol="components").fit(scaler.transform(vectors))


def check_lapack(spark: SparkSession, *, native: bool) -> str:
    """The class that this JVM really uses, `JNILAPACK` if it is native; ends the process where it is not as asked."""
    netlib: Any = spark.sparkContext._jvm.dev.ludovic.netlib  # type: ignore[union-attr]
    found = str(netlib.lapack.LAPACK.getInstance().getClass().getSimpleName())
    if native != (found == "JNILAPACK"):
        sys.exit(f"the JVM uses {found}: no native LAPACK on this machine (Debian: libopenblas0-pthread)")
    return found


def timed(call: Callable[[], Fitted]) -> tuple[float, Fitted]:
    """Seconds that a call takes, and what it returns."""
    started = time.perf_counter()
    result = call()
    return time.perf_counter() - started, result


if __name__ == "__main__":
    main(*sys.argv[1:])
