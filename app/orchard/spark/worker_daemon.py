"""The process that Spark forks its Python workers from (`spark.python.daemon.module`).

Stock PySpark's forks bare workers that then each import NumPy, Arrow, Pillow and LiteRT for themselves. This one
imports them first, so that a worker starts in milliseconds and shares those pages with its siblings.
"""

import contextlib
import gc
import importlib
import os

# One thread a task: Spark already runs one task for each core.
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
_OWN = ("orchard.features.task", "orchard.pca.job")
for _name in (*_OWN, "ai_edge_litert.interpreter", "PIL.JpegImagePlugin", "PIL.PngImagePlugin", "pyspark.worker"):
    with contextlib.suppress(ImportError):  # the task that needs it fails with a traceback that says so
        importlib.import_module(_name)
# What is loaded now stays: the collections that pyspark makes after each task neither search nor copy it.
gc.freeze()

if __name__ == "__main__":
    from pyspark.daemon import manager

    manager()  # type: ignore[no-untyped-call]
