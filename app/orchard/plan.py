"""What a run is asked to do, and what is to do for it: checked, listed and compared before anything is started."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from orchard.errors import InputError, OutputError
from orchard.network.backbones import Backbone, get_backbone
from orchard.network.weights import BakedWeights, find_weights
from orchard.options import JobOptions
from orchard.pca.model import model_number, read_model
from orchard.pca.projection import Projection, check_enough
from orchard.photos.decoding import DECODING_VERSION
from orchard.photos.photo import PHOTO_SUFFIXES, arrange, partition_bounds
from orchard.photos.source import PhotoSource, open_source
from orchard.tables.changes import Changes, Known, find_changes
from orchard.tables.output import MODEL, Output, check_apart, open_output

# Photos of one task: two to four seconds of work, so that progress is told and slots end at nearly the same time.
TASK_PHOTOS, LEAST_TASKS = 320, 4


@dataclass(frozen=True)
class Plan:
    """What a run was asked to do and what it found to do it with.

    `created` is the ISO 8601 time of its start, UTC. The rows depend on `settings`. With `anew` the output is emptied
    first. `kept` is the model that --keep-model transforms with.
    """

    created: str
    options: JobOptions
    source: PhotoSource
    backbone: Backbone
    weights: BakedWeights
    output: Output
    settings: Mapping[str, str]
    anew: bool
    kept: Projection | None


@dataclass(frozen=True)
class Survey:
    """The listing of the input, compared with the tables: how many photos, and which files were left out of it."""

    photos: int
    skipped: Mapping[str, int]
    changes: Changes


def make_plan(options: JobOptions) -> Plan:
    """Look up and check what the options name.

    Raises:
        OrchardError: something is missing, or the output holds rows that were made in another way.
    """
    created = datetime.now(UTC).isoformat(timespec="seconds")
    backbone, source = get_backbone(options.backbone), open_source(options.input)
    weights = find_weights(backbone, options.weights)
    check_apart(options.output, options.input)
    output = open_output(options.output, overwrite=options.overwrite)
    settings = {
        "backbone": backbone.name,
        "fingerprint": weights.fingerprint,
        "runtime": options.runtime,
        "decoding": str(DECODING_VERSION),
    }
    # --overwrite continues what it began itself: an output with these settings and no report yet.
    interrupted = output.features.settings == settings and output.report() is None
    anew = options.overwrite and not interrupted
    if output.features.exists and not anew:
        _check_settings(options, output.features.settings, settings)
    kept = read_model(output.store, MODEL, backbone.feature_size) if options.keep_model else None
    return Plan(created, options, source, backbone, weights, output, settings, anew, kept)


def _check_settings(options: JobOptions, before: Mapping[str, str], settings: Mapping[str, str]) -> None:
    for name, now in settings.items():
        if before.get(name) != now:
            raise OutputError(
                f"--output {options.output}: its rows were made with {name} {before.get(name)}, this run has {now}: "
                "give it the same, or start anew with --overwrite"
            )


def survey(plan: Plan) -> Survey:
    """List the input and compare it with the tables.

    Raises:
        InputError: no photos, or too few.
        OutputError: the output holds another input's photos.
    """
    options, listing = plan.options, plan.source.list()
    photos = arrange(listing.photos, varieties=options.varieties, per_variety=options.per_variety)
    if not photos:
        suffixes = " ".join(PHOTO_SUFFIXES)
        raise InputError(f"--input {options.input}: no photos in it (looked for {suffixes}, in sub-folders too)")
    known = Known({}, {}) if plan.anew else plan.output.known()
    check_enough(len(photos), options.components, min(len(photos) - 1, plan.backbone.feature_size))
    changes = find_changes(photos, known, keep_removed=options.keep_removed)
    if changes.removed and changes.new == len(photos):
        raise OutputError(
            f"--output {options.output}: none of its {changes.removed:,} photos is in --input {options.input}: "
            "choose another --output, or start anew with --overwrite"
        )
    return Survey(len(photos), listing.skipped, changes)


def default_partitions(photos: int, slots: int) -> int:
    """Tasks for so many photos: `TASK_PHOTOS` each, at least `LEAST_TASKS`, and the same number for every slot."""
    return max(LEAST_TASKS, -(-photos // TASK_PHOTOS // slots) * slots)


def describe(options: JobOptions) -> dict[str, Any]:
    """What a run would do, without starting Spark or writing anything."""
    plan = make_plan(options)
    found = survey(plan)
    todo = found.changes.todo
    count = options.partitions or default_partitions(len(todo), os.cpu_count() or 1)
    bounds = partition_bounds(len(todo), count)
    return {
        "input": options.input,
        "photos": found.photos,
        "skipped": dict(found.skipped),
        "to featurize": len(todo),
        "bytes": sum(photo.size for photo in todo),
        "update": found.changes.counts(),
        "partitions": [[index, stop - start] for index, (start, stop) in enumerate(bounds)],
        **plan.settings,
        "weights": plan.weights.folder,
        "output": options.output,
    }


def up_to_date(plan: Plan, found: Survey) -> dict[str, Any] | None:
    """The report of the run before, where this one would change nothing."""
    facts = None if plan.anew or not found.changes.nothing else plan.output.report()
    if facts is None or facts.get("tables") != plan.output.versions():
        return None
    options, pca = plan.options, facts["pca"]
    wanted = (None, options.components) if options.components else (options.variance, pca["k"])
    same = "fit" in facts["seconds"] and wanted == (pca["variance_target"], pca["k"])  # a kept model is of fewer photos
    if plan.kept is not None:
        same = plan.output.components.model == model_number(plan.kept)
    if not same or MODEL not in plan.output.store.names():
        return None
    return {**facts, "update": found.changes.counts()}
