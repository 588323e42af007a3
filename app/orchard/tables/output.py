"""The output of a run: three tables, a model and a report, and who may write them.

A run first claims the tables. From then on every commit of an earlier run fails with one line. Nothing is lost: its
commits stay, and the files it had not committed are removed when a run has ended well.
"""

import json
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from orchard.errors import OutputError, UsageError
from orchard.photos.photo import Rejection
from orchard.storage.objects import is_object_uri, split_uri
from orchard.storage.stores import Store, local_path, open_store
from orchard.tables import columns, parquet
from orchard.tables.changes import Known, Stamp
from orchard.tables.columns import COMPONENTS, FEATURES, REJECTED
from orchard.tables.delta import Table

MODEL, REPORT, PAGE = "model", "report.json", "report.html"
_SCHEMAS = {"features": FEATURES, "rejected": REJECTED, "components": COMPONENTS}
# What versions before the tables were Delta tables left beside them.
_FORMER = {"manifest", ".lock", ".partial", ".complete", ".replaced"}
_ESCAPE = re.compile("%[0-9A-Fa-f]{2}")


@dataclass(frozen=True)
class Output:
    """An output, see `open_output`. Methods raise `OutputError` where the storage fails or another run claims it."""

    store: Store
    features: Table
    rejected: Table
    components: Table

    @property
    def tables(self) -> tuple[Table, Table, Table]:
        """All three, in the order in which they are claimed."""
        return self.features, self.rejected, self.components

    def known(self) -> Known:
        """What the tables hold; the features themselves are not fetched."""
        featurized = self.features.read("path", "size", "modified")
        rejected = self.rejected.read("path", "size", "modified", "reason")
        reasons = zip(_by_path(rejected).items(), rejected.column("reason").to_pylist(), strict=True)
        return Known(_by_path(featurized), {path: (stamp, reason) for (path, stamp), reason in reasons})

    def rejections(self) -> list[Rejection]:
        """The rows of rejected/, in order of path."""
        table = self.rejected.read(*REJECTED.names)
        table = table.set_column(3, "modified", table.column("modified").cast(pa.int64()))
        return sorted((Rejection(**row) for row in table.to_pylist()), key=lambda rejection: rejection.path)

    def report(self) -> dict[str, Any] | None:
        """The content of report.json; None where there is none that can be read."""
        try:
            facts = json.loads(self.store.read(REPORT))
        except (FileNotFoundError, ValueError):
            return None
        return facts if isinstance(facts, dict) else None

    def versions(self) -> dict[str, dict[str, int]]:
        """The Delta version of each table, its rows and its files."""
        return {t.name: {"version": t.version, "rows": t.rows, "files": len(t.files)} for t in self.tables}

    def claim(self, settings: Mapping[str, str], *, anew: bool) -> None:
        """Make this run the only writer, see `Table.claim`; with `anew`, remove what a former version left, too."""
        if anew:
            folders = [table.name for table in self.tables if not table.exists] + sorted(_FORMER & self.store.names())
            former = [key for folder in folders for key in self.store.list(f"{folder}/") or [folder]]
            self.store.delete([REPORT, PAGE, *former])
        run = time.time_ns() // 1000
        for table in self.tables:
            table.claim(run, settings, anew=anew)

    def remove(self, features: list[str], rejected: list[str]) -> None:
        """Remove the rows of photos, by path."""
        self.components.remove(features)  # first: a row of it never outlives its row of features
        self.features.remove(features)
        self.rejected.remove(rejected)

    def add_rejections(self, rejections: list[Rejection]) -> None:
        """Commit rows of rejected/."""
        if rejections:
            self.rejected.append([parquet.write(self.store, "rejected", 0, to_table(rejections))])

    def clean(self) -> None:
        """Make the folders hold the live files only, at least one each: for readers that know no Delta."""
        if len(self.rejected.files) > 1:
            merged = self.rejected.read(*REJECTED.names)
            self.rejected.replace([parquet.write(self.store, "rejected", 0, merged)])
        for table in self.tables:
            if not table.files:
                table.append([parquet.write(self.store, table.name, 0, table.schema.empty_table())])
        unused = [key for table in self.tables for key in table.unused()]
        # Looked at after the files were listed: a run that claims the tables from now on has written none of them.
        if all(table.is_newest() for table in self.tables):
            self.store.delete(unused)


def to_table(rejections: list[Rejection]) -> pa.Table:
    """Rows of rejected/ as a table."""
    values = {name: [getattr(rejection, name) for rejection in rejections] for name in REJECTED.names}
    arrays = {name: columns.strings(values[name]) for name in ("path", "label", "reason", "detail")}
    arrays |= {"size": columns.integers(values["size"]), "modified": columns.times(values["modified"])}
    return pa.table([arrays[name] for name in REJECTED.names], schema=REJECTED)


def _by_path(table: pa.Table) -> dict[str, Stamp]:
    modified = table.column("modified").cast(pa.int64()).to_pylist()
    stamps = zip(table.column("size").to_pylist(), modified, strict=True)
    return dict(zip(table.column("path").to_pylist(), stamps, strict=True))


def open_output(uri: str, *, overwrite: bool = False) -> Output:
    """Open a folder or an s3:// prefix, which need not exist; `overwrite` allows what a former version left there.

    Raises:
        UsageError: a URI that cannot be an output.
        OutputError: other files are there, or an output of a former version, or a table that cannot be read.
    """
    if _ESCAPE.search(uri):  # delta-rs would decode it and write elsewhere
        raise UsageError(f"--output {uri}: a name with % and two hexadecimal digits cannot hold a table: rename it")
    store = open_store(uri)
    names = {name for name in store.names() if not name.startswith(".") or name in _FORMER}
    logs = {name for name in names & _SCHEMAS.keys() if store.list(f"{name}/_delta_log/")}
    if names and not names & {*_SCHEMAS, *_FORMER, MODEL, REPORT, PAGE}:
        raise OutputError(f"--output {uri}: holds files, but no output of Orchard: choose an empty or a new folder")
    if (names & _FORMER or names & _SCHEMAS.keys() - logs) and not overwrite:
        advice = "choose another folder, or replace it with --overwrite"
        raise OutputError(f"--output {uri}: is an output of a former version of Orchard: {advice}")
    return Output(store, *(Table(store, *table, overwrite=overwrite) for table in _SCHEMAS.items()))


def check_apart(output: str, photos: str) -> None:
    """Raise `UsageError` where the output's URI is the input's or inside it."""
    inner, outer = _parts(output), _parts(photos)
    if inner[: len(outer)] == outer:
        raise UsageError(f"--output {output}: is inside --input {photos}, which is never written to: choose another")


def _parts(uri: str) -> tuple[str, ...]:
    if not is_object_uri(uri):
        return ("file", *Path(os.path.realpath(local_path(uri))).parts)
    bucket, prefix = split_uri(uri)
    return ("s3", bucket, *filter(None, prefix.split("/")))
