"""Tables with one row for each photo of an input: of what was computed of it, or of why it was rejected.

Whoever brings them up to date first claims them. From then on every commit of an earlier run fails with one line.
Nothing is lost: its commits stay, and the files it had not committed are removed when a run has ended well.
"""

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import pyarrow as pa

from orchard.errors import OutputError, UsageError
from orchard.photos.photo import Rejection
from orchard.storage.stores import LOG, Store, check_outside, open_store
from orchard.tables import columns, parquet
from orchard.tables.changes import Known, Stamp
from orchard.tables.columns import REJECTED
from orchard.tables.delta import Table

_ESCAPE = re.compile("%[0-9A-Fa-f]{2}")


@dataclass(frozen=True)
class PhotoTables:
    """The tables in one folder, see `open_tables`. Methods raise `OutputError` where the storage fails or others claim.

    `results` has a row for each photo that is not in `rejected`.

    A subclass is a kind of output: `kind` is its name in errors, `schemas` has its tables in the order of its fields,
    `files` are written beside them, the first of which is the report. A folder with any of `marks` is such an output;
    `former` is what versions before the tables were Delta tables left there.
    """

    kind: ClassVar[str]
    schemas: ClassVar[Mapping[str, pa.Schema]]
    files: ClassVar[tuple[str, ...]]
    marks: ClassVar[frozenset[str]]
    former: ClassVar[frozenset[str]] = frozenset()

    store: Store
    results: Table
    rejected: Table

    @property
    def tables(self) -> tuple[Table, ...]:
        """All of them, in the order in which they are claimed."""
        return self.results, self.rejected

    def known(self) -> Known:
        """What the tables hold; the results themselves are not fetched."""
        featurized = self.results.read("path", "size", "modified")
        rejected = self.rejected.read("path", "size", "modified", "reason")
        reasons = zip(_by_path(rejected).items(), rejected.column("reason").to_pylist(), strict=True)
        return Known(_by_path(featurized), {path: (stamp, reason) for (path, stamp), reason in reasons})

    def rejections(self) -> list[Rejection]:
        """The rows of rejected/, in order of path."""
        table = self.rejected.read(*REJECTED.names)
        table = table.set_column(3, "modified", table.column("modified").cast(pa.int64()))
        return sorted((Rejection(**row) for row in table.to_pylist()), key=lambda rejection: rejection.path)

    def report(self) -> dict[str, Any] | None:
        """The content of the report; None where there is none that can be read."""
        try:
            facts = json.loads(self.store.read(self.files[0]))
        except (FileNotFoundError, ValueError):
            return None
        return facts if isinstance(facts, dict) else None

    def write_report(self, facts: Mapping[str, Any]) -> None:
        """Write the report, which says that a run has ended well."""
        text = json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        self.store.write(self.files[0], text.encode())

    def versions(self) -> dict[str, dict[str, int]]:
        """The Delta version of each table, its rows and its files."""
        return {t.name: {"version": t.version, "rows": t.rows, "files": len(t.files)} for t in self.tables}

    def claim(self, settings: Mapping[str, str], *, anew: bool) -> None:
        """Make this run the only writer, see `Table.claim`; with `anew`, remove what a former version left, too."""
        if anew:
            folders = [table.name for table in self.tables if not table.exists]
            folders += sorted(self.former & self.store.names())
            former = [key for folder in folders for key in self.store.list(f"{folder}/") or [folder]]
            self.store.delete([*self.files, *former])
        run = time.time_ns() // 1000
        for table in self.tables:
            table.claim(run, settings, anew=anew)

    def remove(self, results: list[str], rejected: list[str]) -> None:
        """Remove the rows of photos, by path."""
        self.results.remove(results)
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


Tables = TypeVar("Tables", bound=PhotoTables)


def open_tables(kind: type[Tables], uri: str, *, overwrite: bool = False, flag: str = "--output") -> Tables:
    """Open a folder or an s3:// prefix, which need not exist; `overwrite` allows what a former version left there.

    Errors call it by `flag`: another one than --output names tables that are only read.

    Raises:
        UsageError: a URI that cannot be an output, or is inside of a table.
        OutputError: other files are there, or an output of a former version, or a table that cannot be read.
    """
    if _ESCAPE.search(uri):  # delta-rs would decode it and write elsewhere
        raise UsageError(f"{flag} {uri}: a name with % and two hexadecimal digits cannot hold a table: rename it")
    store = open_store(uri, flag)
    names = {name for name in store.names() if not name.startswith(".") or name in kind.former}
    if flag == "--output":
        check_outside(store)
    bare = {name for name in names & kind.schemas.keys() if not store.list(f"{name}/{LOG}/")}
    # A table without a log was written by a former version; where there was none, by somebody else.
    if names and not (names if kind.former else names - bare) & kind.marks:
        raise OutputError(f"{flag} {uri}: holds files, but no {kind.kind}: choose an empty or a new folder")
    if (names & kind.former or bare) and not overwrite:
        advice = "choose another folder" + (", or replace it with --overwrite" if flag == "--output" else "")
        raise OutputError(f"{flag} {uri}: is an output of a former version of Orchard, or damaged: {advice}")
    return kind(store, *(Table(store, *table, overwrite=overwrite) for table in kind.schemas.items()))


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
