"""Which part of the code may know which: checked by importing, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

ENGINES = {"pyspark", "tensorflow", "ai_edge_litert", "boto3", "botocore", "obstore", "docker", "pandas", "matplotlib"}
CORE = [
    "backbones",
    "chunks",
    "columns",
    "errors",
    "manifest",
    "moments",
    "objects",
    "options",
    "pixels",
    "projection",
    "readahead",
    "runtimes",
    "sources",
    "stores",
    "weights",
]


def modules_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("name", CORE)
def test_core_imports_no_engine(name: str) -> None:
    assert not ENGINES & modules_after(f"import app.{name}")


def test_options_and_errors_need_the_standard_library_only() -> None:
    assert {name for name in modules_after("import orchard.options") if name.split(".")[0] in {"app", "numpy", "pyarrow", "PIL"}} == {
        "app", "orchard.errors", "orchard.options",
    }  # fmt: skip


def test_the_job_imports_neither_the_bake_nor_the_launchers() -> None:
    modules = modules_after("import orchard.cli, orchard.legacy.pipeline")
    assert (
        not {"image", "deploy", "tensorflow", "boto3", "botocore", "obstore", "docker", "pandas", "matplotlib"}
        & modules
    )


def test_a_worker_needs_neither_tensorflow_nor_pandas() -> None:
    modules = modules_after("import orchard.spark.worker_daemon")
    assert "ai_edge_litert.interpreter" in modules
    assert not {"tensorflow", "pandas", "matplotlib", "botocore", "obstore"} & modules


def test_a_run_on_folders_loads_nothing_of_object_storage() -> None:
    modules = modules_after(
        "import orchard.photos.source as s, orchard.storage.stores as t; list(s.open_source('docs').photos()); t.open_store('docs').exists('x')"
    )
    assert not {"orchard.photos.buckets", "botocore", "obstore"} & modules
