"""One run, readable top-down: list, featurize, reduce, report. It brings the output up to date with the input."""

from __future__ import annotations

from typing import Any, ClassVar

from orchard.console import Reporter
from orchard.options import JobOptions
from orchard.pca.model import model_files, model_number, write_model
from orchard.pca.projection import Projection
from orchard.plan import Plan, make_plan
from orchard.spark.session import OpenContext, open_context, spark_facts
from orchard.stopwatch import Stopwatch
from orchard.tables.output import MODEL
from orchard.tables.parquet import DataFile
from orchard.update import Update, bring_up_to_date, too_many_rejected


def run(options: JobOptions, reporter: Reporter, *, open_context: OpenContext = open_context) -> dict[str, Any]:
    """Bring the output up to date, in the Spark context that is opened; returns the content of its `report.json`.

    Raises:
        OrchardError: see `orchard.errors`; what was committed until then is kept, and the next call continues with it.
    """
    watch = Stopwatch()
    return bring_up_to_date(Run, make_plan(options), watch, reporter, open_context)


class Run(Update[Plan]):
    """A run whose Spark context is open. Its steps, in order, are those of `finish`."""

    slow_imports: ClassVar = ("orchard.report.writing",)  # Matplotlib, for half a second

    def finish(self) -> dict[str, Any]:
        """Change the tables, fit or keep the model, and write the report."""
        from orchard.report.contents import read_contents
        from orchard.report.writing import make_facts, write_report

        plan, output = self.plan, self.plan.output
        reports = self.change_tables()
        if not output.features.rows:
            raise too_many_rejected(plan, "no photo could be featurized")
        contents = self.background.submit(read_contents, output)
        fitted = self._reduce()
        output.clean()
        there, spark = contents.result(), spark_facts(self.context)
        facts = make_facts(plan, self.found, reports, fitted, there, spark, self.watch.total())
        return write_report(output, facts, there, self.watch)

    def _reduce(self) -> Projection:
        from orchard.pca.job import fit

        plan, output, wanted = self.plan, self.plan.output, self.plan.options
        if plan.kept is not None:
            if output.components.model == model_number(plan.kept):
                self._transform_missing(plan.kept)
            else:
                self._transform_all(plan.kept, model_number(plan.kept))
            return plan.kept
        with self.watch("fit"):
            size = plan.backbone.feature_size
            fitted = fit(self.context, output.store, output.features.files, size, wanted.variance, wanted.components)
        self._transform_all(fitted, model_number(fitted))
        with self.watch("model"):
            write_model(output.store, MODEL, model_files(fitted, spark_version=self.context.version))
        return fitted

    def _transform_all(self, fitted: Projection, number: int) -> None:
        output = self.plan.output
        output.components.replace(self._transform(output.features.files, fitted), number)

    def _transform_missing(self, kept: Projection) -> None:
        """Reduce the photos that have no components yet."""
        output, paths = self.plan.output, self.plan.output.features.paths()
        there = set(output.components.read("path").column("path").to_pylist())
        missing = frozenset(path for found in paths.values() for path in found if path not in there)
        files = [file for file, found in paths.items() if not missing.isdisjoint(found)]
        if files:
            output.components.append(self._transform(files, kept, missing), model=output.components.model)

    def _transform(
        self, files: list[DataFile], fitted: Projection, only: frozenset[str] | None = None
    ) -> list[DataFile]:
        from orchard.pca.job import transform

        with self.watch("transform"):
            return transform(self.context, self.plan.output.store, files, fitted, only)
