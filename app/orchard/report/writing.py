"""Writes the report of a run: the page, and last of all report.json, which says that the run has ended well.

Importing this module takes half a second: of Matplotlib, Jinja2 and compiling the template.
"""

import base64
import contextlib
import json
import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import metadata, resources
from typing import Any

import jinja2
import matplotlib.backends.backend_svg  # noqa: F401  # the first figure would import it
from markupsafe import Markup

import orchard
from orchard.errors import OutputError
from orchard.features.task import TaskReport
from orchard.network.backbones import BACKBONES
from orchard.pca.projection import Projection
from orchard.photos.photo import REASONS, Rejection, hint
from orchard.photos.source import open_source
from orchard.plan import Plan, Survey
from orchard.report import figures
from orchard.report.contents import Contents, read_contents, read_points, read_thumbnails
from orchard.report.text import count, duration, percent, rate, when
from orchard.stopwatch import Stopwatch
from orchard.tables.output import PAGE, REPORT, Output, open_output

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
    output.store.write(REPORT, (json.dumps(facts, indent=1, ensure_ascii=False) + "\n").encode())
    return facts


def rewrite_report(uri: str) -> dict[str, Any]:
    """Draw the page of a finished output again; returns the content of its `report.json`. `OutputError` without one."""
    output = open_output(uri)
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
    fingerprint, kinds = plan.settings["fingerprint"], ("waiting", "decoding", "predicting")
    photos, featurizing = sum(report.photos for report in reports), seconds.get("featurize")
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
        "backbone": {"name": network.name, "feature_size": network.feature_size, "fingerprint": fingerprint},
        "runtime": options.runtime,
        "pca": {
            "k": fitted.k,
            "variance_target": None if options.components else options.variance,
            "explained_variance_ratio": ratio.tolist(),
            "cumulative": ratio.cumsum().tolist(),
        },
        "spark": dict(spark),
        "versions": versions(options.runtime),
        "image": os.environ.get("ORCHARD_IMAGE"),
        "seconds": _rounded(seconds),
        "partitions": sorted([report.partition, report.photos] for report in reports),
        "read_retries": sum(report.retries for report in reports),
        "task_retries": sum(report.attempt for report in reports),
        "task_seconds": {kind: round(sum(getattr(report, kind) for report in reports), 3) for kind in kinds},
        "images_per_second": round(photos / featurizing, 2) if featurizing else 0.0,
    }


def _rounded(seconds: Mapping[str, float]) -> dict[str, float]:
    # Listing overlaps the start of Spark, so the stages add up to a little more than the total.
    return {stage: round(seconds[stage], 3) for stage in (*STAGES, "total") if stage in seconds}


def versions(runtime: str) -> dict[str, str]:
    """Versions of what decides the numbers; TensorFlow is installed under either name."""
    found = {"orchard": orchard.__version__, "python": platform.python_version()}
    tensorflow = ("tensorflow", "tensorflow-cpu") if runtime == "tensorflow" else ()
    for name in ("ai-edge-litert", "numpy", "pillow", "pyarrow", *tensorflow):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name.removesuffix("-cpu")] = metadata.version(name)
    return found


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


def printable(value: object) -> object:
    """A value without what neither HTML nor UTF-8 can hold: control characters and lone surrogates."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return re.sub("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]", "\N{REPLACEMENT CHARACTER}", value)


_ENVIRONMENT = jinja2.Environment(
    autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=printable
)
_FUNCTIONS = {function.__name__: function for function in (count, duration, hint, percent, rate, when)}
_ENVIRONMENT.globals |= {"REASONS": REASONS, **_FUNCTIONS}
_ENVIRONMENT.filters["base64"] = lambda content: base64.b64encode(content).decode()
_TEMPLATE = _ENVIRONMENT.from_string(resources.files(__package__).joinpath("page.html").read_text("utf-8"))
