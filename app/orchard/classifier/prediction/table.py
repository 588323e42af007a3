"""`orchard predict` on Spark: a table of predictions, brought up to date with the photos as a run's tables are."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from orchard.classifier.model import Model
from orchard.classifier.options import PredictOptions
from orchard.classifier.prediction.rows import count_answers, predictions_table
from orchard.classifier.saved import Saved, check_settings
from orchard.console import Reporter
from orchard.features.rows import Rows
from orchard.features.task import TaskReport, task_facts
from orchard.options import JobOptions
from orchard.plan import UpdatePlan, plan_update
from orchard.spark.session import OpenContext, open_context, spark_facts
from orchard.stopwatch import Stopwatch
from orchard.tables.predictions import PredictionTables
from orchard.update import Update, bring_up_to_date
from orchard.versions import versions_of_features

# Classes in the summary; all of them are in predictions.json.
MOST_ANSWERS = 8
STAGES = ("start", "list", "featurize", "report", "total")


def predict_table(
    saved: Saved, options: PredictOptions, reporter: Reporter, *, open_context: OpenContext = open_context
) -> dict[str, Any]:
    """Bring `predictions/` and `rejected/` in the output up to date; returns the content of `predictions.json`.

    Raises:
        OrchardError: see `orchard.errors`; what was committed until then is kept, and the next call continues with it.
    """
    watch = Stopwatch()
    return bring_up_to_date(PredictionUpdate, make_plan(saved, options), watch, reporter, open_context)


def describe(saved: Saved, options: PredictOptions) -> dict[str, Any]:
    """What a prediction would do, without starting Spark or writing anything."""
    return make_plan(saved, options).describe()


@dataclass(frozen=True)
class PredictionPlan(UpdatePlan[PredictionTables]):
    """The plan of a prediction, `classifier` being its URI as the user named it."""

    classifier: str
    saved: Saved


def make_plan(saved: Saved, options: PredictOptions) -> PredictionPlan:
    """Look up and check what the options name.

    Raises:
        OrchardError: something is missing, the classifier is of other features than this version of Orchard computes
            with these weights, or the output holds the predictions of another one.
    """
    model = saved.model
    # Of the same folder, as it says nothing of when to be unsure.
    decisive = {"classifier": saved.facts["folder"], "threshold": str(model.threshold), "limit": str(model.limit)}
    plan = plan_update(job_options(options, model), PredictionTables, decisive)
    check_settings(saved, plan.settings, f"--weights {plan.weights.folder}")
    return PredictionPlan(**vars(plan), classifier=options.classifier, saved=saved)


def job_options(options: PredictOptions, model: Model) -> JobOptions:
    """The options of the run that a prediction is: on the backbone and runtime that the classifier was trained with."""
    return JobOptions(
        input=options.input or "",
        output=options.output or "",
        partitions=options.partitions,
        backbone=options.backbone or model.settings["backbone"],
        runtime=model.settings["runtime"],
        weights=options.weights,
        overwrite=options.overwrite,
        keep_removed=options.keep_removed,
        max_rejected=options.max_rejected,
        master=options.master,
    )


class PredictionUpdate(Update[PredictionPlan]):
    """A prediction whose Spark context is open."""

    def finish(self) -> dict[str, Any]:
        """Change the tables and write predictions.json."""
        output = self.plan.output
        reports = self.change_tables(Rows("predictions", partial(predictions_table, self.plan.saved.model)))
        output.clean()
        with self.watch("report"):
            facts = self._facts(reports)
        seconds = self.watch.total()
        facts["seconds"] = {stage: round(seconds[stage], 3) for stage in STAGES if stage in seconds}
        output.write_report(facts)
        return facts

    def _facts(self, reports: Sequence[TaskReport]) -> dict[str, Any]:
        plan, model, output = self.plan, self.plan.saved.model, self.plan.output
        predicted, rejected = output.results.rows, output.rejected.rows
        reasons = Counter(output.rejected.read("reason").column("reason").to_pylist())
        return {
            "schema_version": 1,
            "created": plan.created,
            "classifier": {
                "uri": plan.classifier,
                "folder": plan.settings["classifier"],
                "classes": list(model.classes),
                "threshold": model.threshold,
                "limit": model.limit,
            },
            "input": {"uri": plan.options.input, "skipped": dict(self.found.skipped)},
            "counts": {"listed": predicted + rejected, "predicted": predicted, "rejected": rejected},
            **count_answers(output.results.read("class", "unsure", "unfamiliarity"), model),
            "rejected_by_reason": dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
            "update": self.found.changes.counts(),
            "tables": output.versions(),
            "settings": dict(plan.settings),
            "spark": spark_facts(self.context),
            "versions": versions_of_features(plan.options.runtime),
            "image": os.environ.get("ORCHARD_IMAGE"),
            "seconds": {},
            **task_facts(reports, self.watch.seconds.get("featurize")),
        }


def summary(facts: Mapping[str, Any], output: str) -> list[tuple[str, str]]:
    """Names and values of the lines that end a prediction, from the content of `predictions.json`."""
    from orchard.photos.photo import hint
    from orchard.report.text import rate

    counts, seconds, skipped, master = facts["counts"], facts["seconds"], facts["input"]["skipped"], facts["spark"]
    tasks, stages = facts["partitions"], (f"{name} {seconds[name]:.1f}" for name in STAGES[:-1] if name in seconds)
    rows = {
        "photos": f"{counts['listed']:,} = {counts['predicted']:,} classified + {counts['rejected']:,} rejected",
        "rejected": _numbers(facts["rejected_by_reason"]),
        "skipped": _numbers(skipped),
        "hint": hint(skipped),
        "answers": _numbers(_most(facts["answers"])),
        "unsure": f"{facts['unsure']:,}, of which {facts['unfamiliar']:,} unfamiliar" if facts["unsure"] else "",
        "classifier": f"{facts['classifier']['uri']} ({facts['classifier']['folder']})",
        "speed": f"{rate(facts['images_per_second'])} photos/s on {master['master']}" if tasks else "",
        "update": _numbers(facts["update"]) or "nothing to do",
        "seconds": f"{seconds['total']:.1f} ({', '.join(stages)})",
        "predictions": f"{output.rstrip('/')}/predictions",
    }
    return [(name, value) for name, value in rows.items() if value]


def _most(answers: Mapping[str, int]) -> dict[str, int]:
    """The most frequent answers, and all others as one."""
    ranked = Counter(answers).most_common()
    rest = sum(number for _, number in ranked[MOST_ANSWERS:])
    return dict(ranked[:MOST_ANSWERS]) | ({"others": rest} if rest else {})


def _numbers(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in numbers.items() if number)
