"""Writes the report of a run: the page, and last of all report.json, which says that the run has ended well.

Importing this module takes half a second: of Matplotlib, Jinja2 and compiling the template.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import matplotlib.backends.backend_svg  # noqa: F401  # the first figure would import it

from orchard.errors import OutputError
from orchard.features.task import TaskReport, task_facts
from orchard.network.backbones import BACKBONES
from orchard.pca.projection import Projection
from orchard.photos.photo import Rejection
from orchard.photos.source import open_source
from orchard.plan import Plan, Survey
from orchard.report import figures
from orchard.report.contents import Contents, read_contents, read_points, read_thumbnails
from orchard.report.templates import load
from orchard.stopwatch import Stopwatch
from orchard.tables.output import PAGE, Output, open_output
from orchard.versions import versions_of_features

MAX_REJECTS = 100
# The stages of a run, in their order, by their names in `report.json`.
STAGES = {
    "start": "starting Spark",
    "list": "listing",
    "featurize": "featurizing",
    "fit": "fitting PCA",
    "transform": "transforming",
    "model": "saving the model",
    "report": "reporting",
}


def write_report(output: Output, facts: dict[str, Any], contents: Contents, watch: Stopwatch) -> dict[str, Any]:
    """Write `report.html` and `report.json`, with all the time taken; returns the content of the latter."""
    # The page is drawn before the time it takes is known; `orchard report` draws it again with all of it.
    with watch("report"):
        _write_page(output, facts, contents)
    facts = facts | {"seconds": _rounded(watch.total())}
    output.write_report(facts)
    return facts


def rewrite_report(uri: str) -> dict[str, Any]:
    """Draw the page of a finished output again; returns the content of its `report.json`. `OutputError` without one."""
    output = open_output(uri, flag="OUTPUT")
    facts = output.report()
    if facts is None or not output.features.exists:
        raise OutputError(f"{uri}: not a finished output of `orchard run`: name the folder that holds report.json")
    _write_page(output, facts, read_contents(output))
    return facts


def _write_page(output: Output, facts: dict[str, Any], contents: Contents) -> None:
    sheet = read_thumbnails(open_source(facts["input"]["uri"], patient=False), contents.examples)
    output.store.write(PAGE, fill(facts, read_points(output), sheet, output.rejections()).encode())


def make_facts(
    plan: Plan,
    found: Survey,
    reports: Sequence[TaskReport],
    fitted: Projection,
    contents: Contents,
    spark: Mapping[str, Any],
    seconds: Mapping[str, float],
) -> dict[str, Any]:
    """The content of `report.json`; `seconds` are wall-clock times by stage, and `total`."""
    options, network, ratio = plan.options, plan.backbone, fitted.explained_variance_ratio
    featurized, rejected = plan.output.features.rows, sum(contents.reasons.values())
    return {
        "schema_version": 2,
        "created": plan.created,
        "input": {
            "uri": options.input,
            "varieties": len(contents.labels),
            "per_variety": options.per_variety,
            "labels": contents.labels,
            "skipped": dict(found.skipped),
        },
        "counts": {"listed": featurized + rejected, "featurized": featurized, "rejected": rejected},
        "rejected_by_reason": contents.reasons,
        "update": found.changes.counts(),
        "copies": asdict(contents.copies),
        "tables": plan.output.versions(),
        "settings": dict(plan.settings),
        "backbone": {
            "name": network.name,
            "feature_size": network.feature_size,
            "fingerprint": plan.settings["fingerprint"],
            # Of fine-tuned weights: where they come from, as their baked folder says.
            **({"lineage": dict(plan.weights.lineage)} if plan.weights.lineage else {}),
        },
        "runtime": options.runtime,
        "pca": {
            "k": fitted.k,
            "variance_target": None if options.components else options.variance,
            "explained_variance_ratio": ratio.tolist(),
            "cumulative": ratio.cumsum().tolist(),
        },
        "spark": dict(spark),
        "versions": versions_of_features(options.runtime),
        "image": os.environ.get("ORCHARD_IMAGE"),
        "seconds": _rounded(seconds),
        **task_facts(reports, seconds.get("featurize")),
    }


def _rounded(seconds: Mapping[str, float]) -> dict[str, float]:
    # Listing overlaps the start of Spark, so the stages add up to a little more than the total.
    return {stage: round(seconds[stage], 3) for stage in (*STAGES, "total") if stage in seconds}


def fill(
    facts: Mapping[str, Any],
    points: figures.Points,
    sheet: Mapping[str, Mapping[str, bytes]],
    rejects: Sequence[Rejection],
) -> str:
    """The page's HTML, of the content of `report.json`, JPEGs by path by label, and rows of `rejected/`."""
    labels, xy = points
    groups, stages, pca = figures.group(labels), stage_times(facts["seconds"]), facts["pca"]
    shares = pca["explained_variance_ratio"][: min(2, pca["k"])]
    return _TEMPLATE.render(
        facts=facts,
        backbone=BACKBONES.get(facts["backbone"]["name"]),
        variance=figures.picture(figures.variance, pca),
        shown=len(labels),
        groups=groups,
        scatter=groups and figures.picture(figures.scatter, groups, xy, shares),
        shares=shares,
        sheet=sheet,
        partitions=facts["partitions"] and figures.picture(figures.partitions, facts["partitions"]),
        stages=stages,
        seconds=stages and figures.picture(figures.seconds, stages, height=20 + 27 * len(stages)),
        rejects=rejects[:MAX_REJECTS],
    )


def stage_times(seconds: Mapping[str, float]) -> dict[str, float]:
    """Seconds by the stage's name on the page; "other" is what no stage accounts for, if it matters."""
    stages = {STAGES.get(name, "other"): value for name, value in seconds.items() if name != "total"}
    rest = seconds.get("total", 0) - sum(stages.values())
    return stages | {"other": rest} if rest > 0.02 * seconds.get("total", 0) else stages


_TEMPLATE = load("report/page.html")
