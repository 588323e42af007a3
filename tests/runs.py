"""Whole runs for tests: in the test's own Spark session, or as a user starts them."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyspark
from deltalake import DeltaTable
from orchard.console import Reporter
from orchard.options import JobOptions
from orchard.run import run
from orchard.spark.session import OpenContext
from pyspark import SparkContext


@dataclass(frozen=True)
class Output:
    """An output, read back with plain pyarrow: no code of the job, and no Delta, is used to judge it."""

    tables: ClassVar[tuple[str, ...]] = ("features", "rejected", "components")
    report_name: ClassVar[str] = "report.json"
    folder: Path

    @property
    def report(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / self.report_name).read_text(encoding="utf-8"))
        return content

    def table(self, name: str) -> pa.Table:
        """One table, in order of its files."""
        return pq.read_table(self.folder / name)

    def features(self) -> dict[str, bytes]:
        """The bits of the features of each photo, by path."""
        return {row["path"]: np.array(row["features"], np.float32).tobytes() for row in self.rows("features")}

    def components(self) -> dict[str, np.ndarray]:
        """The components of each photo, by path."""
        return {row["path"]: np.array(row["components"]) for row in self.rows("components")}

    def paths(self, table: str) -> list[str]:
        """The paths in one table, in order."""
        return sorted(self.table(table).column("path").to_pylist())

    def files(self) -> set[str]:
        """The data files of all tables, relative to the output."""
        return {
            str(path.relative_to(self.folder))
            for table in self.tables
            for path in (self.folder / table).rglob("*")
            if path.is_file() and "_delta_log" not in path.parts
        }

    def live_files(self, *tables: str) -> set[str]:
        """The data files that the logs of some tables name, or of all; none where there is no table yet."""
        made = [table for table in tables or self.tables if list(self.folder.glob(f"{table}/_delta_log/*.json"))]
        return {f"{table}/{Path(uri).name}" for table in made for uri in DeltaTable(self.folder / table).file_uris()}

    def live_paths(self) -> list[str]:
        """The paths in the first table as its log has them, in order; none where there is no table yet."""
        files = [self.folder / name for name in self.live_files(self.tables[0])]
        return sorted(path for file in files for path in pq.read_table(file, columns=["path"]).column(0).to_pylist())

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Every row of one table, in order of path."""
        return sorted(pq.read_table(self.folder / table).to_pylist(), key=lambda row: row["path"])

    def matrix(self, table: str, column: str) -> np.ndarray:
        """One vector column as float64 (n, width), in order of path."""
        return np.array([row[column] for row in self.rows(table)], np.float64)


def opening(context: SparkContext) -> OpenContext:
    """In place of `orchard.spark.session.open_context`: gives a context that stays open."""

    @contextlib.contextmanager
    def opened(master: str | None, *, log: Callable[[str], None]) -> Iterator[SparkContext]:
        yield context

    return opened


def run_in(context: SparkContext, **options: Any) -> Output:
    """A run in a Spark context that stays open; its summary of facts is in the output's report."""
    values: dict[str, Any] = {name: str(value) if isinstance(value, Path) else value for name, value in options.items()}
    job = JobOptions(**values)
    run(job, Reporter(io.StringIO()), open_context=opening(context))
    return Output(Path(job.output))


def orchard(
    *arguments: object, timeout: float = 300, environ: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own."""
    command = [sys.executable, "-m", "orchard", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, env=environ, cwd=cwd)


def cluster_environ(folder: Path) -> dict[str, str]:
    """Variables for a run with `--master local-cluster[...]`, whose workers write below Spark's home."""
    (folder / "spark").mkdir()
    for part in Path(pyspark.__path__[0]).iterdir():
        (folder / "spark" / part.name).symlink_to(part)
    return {**os.environ, "SPARK_HOME": str(folder / "spark"), "PYTHONPATH": os.environ.get("PYTHONPATH", "")}


def link_photos(folder: Path, root: Path, paths: list[str]) -> Path:
    """Links to `paths` below `root`, one sub-folder a variety, in `folder`."""
    for path in paths:
        link = folder / Path(path).parent.name / Path(path).name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to((root / path).resolve())
    return folder
