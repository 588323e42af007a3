"""Whole runs for tests: in the test's own Spark session, or as a user starts them."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyspark
from orchard.console import Reporter
from orchard.legacy.pipeline import run
from orchard.options import JobOptions
from pyspark.sql import SparkSession


@dataclass(frozen=True)
class Output:
    """A finished output, read back with pyarrow: no code of the job is used to judge it."""

    folder: Path

    @property
    def report(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / "report.json").read_text(encoding="utf-8"))
        return content

    def table(self, name: str) -> pa.Table:
        """One table, in order of its files."""
        return pq.read_table(self.folder / name)

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Every row of one table, in order of path."""
        return sorted(pq.read_table(self.folder / table).to_pylist(), key=lambda row: row["path"])

    def matrix(self, table: str, column: str) -> np.ndarray:
        """One vector column as float64 (n, width), in order of path."""
        return np.array([row[column] for row in self.rows(table)], np.float64)


def identities(files: Iterable[Path]) -> set[tuple[int, int]]:
    """What tells each file from any other: its inode, and when it was written, since a deleted file's inode is given to the next."""
    return {(status.st_ino, status.st_mtime_ns) for status in map(os.stat, files)}


def run_in(spark: SparkSession, **options: Any) -> Output:
    """A run in a session that stays open."""

    @contextlib.contextmanager
    def session(master: str | None, *, say: Callable[[str], None]) -> Iterator[SparkSession]:
        yield spark

    values: dict[str, Any] = {name: str(value) if isinstance(value, Path) else value for name, value in options.items()}
    job = JobOptions(**values)
    run(job, Reporter(io.StringIO()), session=session)
    return Output(Path(job.output))


def orchard(
    *arguments: object, timeout: float = 300, environ: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own."""
    command = [sys.executable, "-m", "orchard", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, env=environ, cwd=cwd)


def cluster_environ(folder: Path) -> dict[str, str]:
    """Variables for a run with `--master local-cluster[...]`, whose workers write below Spark's home and have a folder of their own."""
    (folder / "spark").mkdir()
    for part in Path(pyspark.__path__[0]).iterdir():
        (folder / "spark" / part.name).symlink_to(part)
    return {**os.environ, "SPARK_HOME": str(folder / "spark"), "PYTHONPATH": str(Path(__file__).resolve().parents[1])}


def link_photos(folder: Path, root: Path, paths: list[str]) -> Path:
    """Links to `paths` below `root`, one sub-folder a variety, in `folder`."""
    for path in paths:
        link = folder / Path(path).parent.name / Path(path).name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to((root / path).resolve())
    return folder
