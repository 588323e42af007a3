"""The output of a run: three tables, a model and a report."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from orchard.errors import UsageError
from orchard.storage.objects import is_object_uri, split_uri
from orchard.storage.stores import local_path
from orchard.tables.columns import COMPONENTS, FEATURES, REJECTED
from orchard.tables.delta import Table
from orchard.tables.photo_tables import PhotoTables, open_tables

MODEL, REPORT, PAGE = "model", "report.json", "report.html"
_FORMER = frozenset({"manifest", ".lock", ".partial", ".complete", ".replaced"})


@dataclass(frozen=True)
class Output(PhotoTables):
    """An output of a run, see `open_output`: features/, rejected/ and components/."""

    kind = "output of Orchard"
    schemas: ClassVar = {"features": FEATURES, "rejected": REJECTED, "components": COMPONENTS}
    files = REPORT, PAGE
    marks = _FORMER | {"features", "components", MODEL, REPORT, PAGE}
    former = _FORMER

    components: Table

    @property
    def features(self) -> Table:
        """The results of featurizing."""
        return self.results

    @property
    def tables(self) -> tuple[Table, ...]:
        """All three, in the order in which they are claimed."""
        return self.features, self.rejected, self.components

    def remove(self, results: list[str], rejected: list[str]) -> None:
        """Remove the rows of photos, by path."""
        self.components.remove(results)  # first: a row of it never outlives its row of features
        super().remove(results, rejected)


def open_output(uri: str, *, overwrite: bool = False, flag: str = "--output") -> Output:
    """Open the output of a run, or the folder for one, see `open_tables`."""
    return open_tables(Output, uri, overwrite=overwrite, flag=flag)


def check_apart(output: str, other: str, what: str = "--input") -> None:
    """Raise `UsageError` where the output's URI is the input's or inside it; or another's, and `what` says whose."""
    inner, outer = _parts(output), _parts(other)
    if inner[: len(outer)] == outer:
        raise UsageError(f"--output {output}: is inside {what} {other}, which is never written to: choose another")


def _parts(uri: str) -> tuple[str, ...]:
    if not is_object_uri(uri):
        return ("file", *Path(os.path.realpath(local_path(uri))).parts)
    bucket, prefix = split_uri(uri)
    return ("s3", bucket, *filter(None, prefix.split("/")))
