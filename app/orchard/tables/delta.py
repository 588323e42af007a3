"""One Delta table of an output: its live files, and the commits that change them.

Tasks write the data files; the driver commits them. Every commit carries the application transaction `orchard` with the
number of the run. delta-rs refuses a commit when another one with that transaction has come since the table was read:
of two runs into one output, the one that claimed the tables last continues, and the other fails at its next commit.
"""

import contextlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
from deltalake import ColumnProperties, CommitProperties, DeltaTable, Schema, Transaction, WriterProperties
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction

from orchard.errors import OutputError
from orchard.storage.objects import is_object_uri, storage_options
from orchard.storage.stores import Store
from orchard.tables import columns, parquet
from orchard.tables.parquet import DataFile

_RUN, _MODEL = "orchard", "orchard-model"


class Table:
    """A Delta table in one folder of a store, as it was when it was last read or committed to.

    Raises:
        OutputError: (every method, too) the storage fails, the table is damaged, or another run has claimed it.
    """

    def __init__(self, store: Store, name: str, schema: pa.Schema, *, overwrite: bool = False) -> None:
        self.store, self.name, self.schema = store, name, schema
        self.uri, self._run, self._table = f"{store.uri}/{name}", 0, None
        with contextlib.suppress(OutputError) if overwrite else contextlib.nullcontext():  # a damaged one is replaced
            self._table = self._load()

    @property
    def version(self) -> int:
        """The Delta version; -1 where there is no table."""
        return self._table.version() if self._table else -1

    @property
    def exists(self) -> bool:
        """Whether there is such a table."""
        return self._table is not None

    @property
    def settings(self) -> dict[str, str]:
        """What the rows depend on, as given to `claim`."""
        configuration = self._table.metadata().configuration if self._table else {}
        return {name[len(_RUN) + 1 :]: value for name, value in configuration.items() if name.startswith(f"{_RUN}.")}

    @property
    def model(self) -> int:
        """The number of the model that made the rows, as given to `append` and `replace`; 0 where there is none."""
        return (self._table.transaction_version(_MODEL) or 0) if self._table else 0

    @property
    def files(self) -> list[DataFile]:
        """The live files, in order of name."""
        if not self._table:
            return []
        actions = self._table.get_add_actions(flatten=True)
        names, sizes, rows = (actions.column(name).to_pylist() for name in ("path", "size_bytes", "num_records"))
        return sorted(DataFile(f"{self.name}/{name}", *facts) for name, *facts in zip(names, sizes, rows, strict=True))

    @property
    def rows(self) -> int:
        """How many rows the live files have."""
        return sum(file.rows for file in self.files)

    def read(self, *names: str) -> pa.Table:
        """Some columns of all rows; others are not fetched."""
        schema = pa.schema([self.schema.field(name) for name in names])
        with self._explained():
            tables = [parquet.read(self.store, file.key, names).cast(schema) for file in self.files]
        return pa.concat_tables(tables) if tables else schema.empty_table()

    def paths(self) -> dict[DataFile, list[str]]:
        """The paths of the photos in each live file."""
        return {file: parquet.read(self.store, file.key, ["path"]).column(0).to_pylist() for file in self.files}

    def claim(self, run: int, settings: Mapping[str, str], *, anew: bool = False) -> None:
        """Make a run, by a number that no other has, the table's only writer; make the table if there is none.

        With `anew` it is emptied. What its rows depend on, `settings`, become properties of a new or emptied table.
        """
        self._run = run
        if self._table and not anew:
            self._commit([], "append")
            return
        with self._explained():
            DeltaTable.create(
                self.uri,
                Schema.from_arrow(self.schema),
                mode="overwrite" if anew else "error",
                configuration={f"{_RUN}.{name}": value for name, value in settings.items()},
                raise_if_key_not_exists=False,
                storage_options=self._options(),
                commit_properties=self._properties(),
            )
        self._reload()

    def append(self, files: Sequence[DataFile], model: int = 0) -> None:
        """Commit files in addition to those that are there; for `model` see the property, 0 leaves it."""
        self._commit(files, "append", model)

    def replace(self, files: Sequence[DataFile], model: int = 0) -> None:
        """Commit files in place of those that are there."""
        self._commit(files, "overwrite", model)

    def remove(self, paths: Sequence[str]) -> None:
        """Remove the rows of photos; files that have any are rewritten without them."""
        if not paths or not self._table:
            return
        plain = WriterProperties(
            max_row_group_size=parquet.ROW_GROUP, default_column_properties=ColumnProperties(dictionary_enabled=False)
        )
        with self._explained():
            self._current().merge(
                pa.table({"path": columns.strings(paths)}),
                "gone.path = kept.path",
                source_alias="gone",
                target_alias="kept",
                writer_properties=plain,
                commit_properties=self._properties(),
            ).when_matched_delete().execute()
        self._reload()

    def unused(self) -> list[str]:
        """The keys of files in the table's folder that are not live: removed ones, and those never committed."""
        with self._explained():
            # full: of files that the log does not know, too; the caller makes sure that no other run is writing.
            names = self._current().vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=True, full=True)
        return [f"{self.name}/{name}" for name in names]

    def is_newest(self) -> bool:
        """Whether no commit has come since this run's last."""
        latest = self._load()
        return latest is not None and latest.version() == self.version

    def _commit(self, files: Sequence[DataFile], mode: str, model: int = 0) -> None:
        now, adds = time.time_ns() // 1_000_000, list[AddAction | RemoveAction]()
        for file in files:
            statistics = json.dumps({"numRecords": file.rows})
            adds.append(AddAction(file.key.removeprefix(f"{self.name}/"), file.size, {}, now, True, statistics))
        with self._explained():
            schema = Schema.from_arrow(self.schema)
            self._current().create_write_transaction(adds, mode, schema, commit_properties=self._properties(model))
        self._reload()

    def _properties(self, model: int = 0) -> CommitProperties:
        models = [Transaction(_MODEL, model)] if model else []
        return CommitProperties(app_transactions=[Transaction(_RUN, self._run), *models])

    def _current(self) -> DeltaTable:
        """The table at the version last seen; on S3 opened again, with credentials that are valid now."""
        if self._table and is_object_uri(self.uri):
            self._table = self._load(self._table.version())
        assert self._table
        return self._table

    def _reload(self) -> None:
        self._table = self._load()
        if not self._table or self._table.transaction_version(_RUN) != self._run:
            raise self._claimed()

    def _load(self, version: int | None = None) -> DeltaTable | None:
        with self._explained(), contextlib.suppress(TableNotFoundError):
            return DeltaTable(self.uri, version=version, storage_options=self._options())
        return None

    def _options(self) -> dict[str, str] | None:
        return storage_options(self.uri) if is_object_uri(self.uri) else None

    def _claimed(self) -> OutputError:
        return OutputError(
            f"--output {self.store.uri}: another run writes to it: wait for it, or choose another --output"
        )

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except CommitFailedError as exc:
            raise self._claimed() from exc
        except (DeltaError, OSError, pa.ArrowException) as exc:
            reason = str(exc).split("\n", 1)[0]
            if "already exists" in reason:  # made by another run since it was looked for
                raise self._claimed() from exc
            raise OutputError(f"{self.store.flag} {self.uri}: {reason}: {self._advice()}") from exc

    def _advice(self) -> str:
        if self.store.flag == "--output":
            return "check access, free space and credentials there, or start anew with --overwrite"
        return "check access and credentials there, or make it again"  # a table that is only read
