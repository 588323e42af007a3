"""The process that Spark forks its Python workers from (`spark.python.daemon.module`).

Stock PySpark's forks bare workers that then each import NumPy, Arrow, Pillow and LiteRT for themselves. This one imports
them first, so that a worker starts in milliseconds and shares those pages with its siblings.
"""

from __future__ import annotations

import importlib
import os

# One thread a task: Spark already runs one task for each core.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

for _name in (
    "ai_edge_litert.interpreter",
    "orchard.features.job",
    "orchard.pca.job",
    "PIL.JpegImagePlugin",
    "PIL.PngImagePlugin",
    "pyspark.sql.pandas.serializers",
    "pyspark.worker",
):
    importlib.import_module(_name)

if __name__ == "__main__":
    from pyspark.daemon import manager

    manager()  # type: ignore[no-untyped-call]
