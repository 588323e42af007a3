from __future__ import annotations

import subprocess
import sys

FORBIDDEN = {"tensorflow", "pandas", "matplotlib", "deltalake", "botocore", "obstore"}


def test_worker_daemon_preloads_what_tasks_need_and_no_more() -> None:
    code = "import sys, orchard.spark.worker_daemon; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = set(done.stdout.split())
    assert {"ai_edge_litert.interpreter", "numpy", "pyarrow.parquet", "pyspark.worker"} <= modules
    assert not FORBIDDEN & modules
