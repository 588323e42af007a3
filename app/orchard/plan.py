"""What a run is asked to do, and what is to do for it: checked, listed and compared before anything is started."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic

from orchard.errors import OutputError
from orchard.features.task import BLOCK, Network
from orchard.network.backbones import MOBILENET_V2, Backbone
from orchard.network.choice import choose_backbone
from orchard.network.weights import BakedWeights
from orchard.options import JobOptions
from orchard.pca.model import model_number, read_model
from orchard.pca.projection import Projection, check_enough
from orchard.photos.photo import arrange, partition_bounds
from orchard.photos.source import PhotoSource, list_photos, open_source
from orchard.tables.changes import Changes, Known, find_changes
from orchard.tables.output import MODEL, Output, check_apart
from orchard.tables.photo_tables import Tables, open_tables

# Photos of one task of MobileNetV2: two to four seconds of work, so that progress is told and slots end at nearly the
# same time.
TASK_PHOTOS, LEAST_TASKS = 320, 4


@dataclass(frozen=True)
class Survey:
    """The listing of the input, compared with the tables: how many photos, and which files were left out of it."""

    photos: int
    skipped: Mapping[str, int]
    changes: Changes


@dataclass(frozen=True)
class UpdatePlan(Generic[Tables]):
    """Tables to bring up to date with an input, and what to do it with.

    `created` is the ISO 8601 time of its start, UTC. The rows depend on `settings`. With `anew` the output is emptied
    first.
    """

    created: str
    options: JobOptions
    source: PhotoSource
    backbone: Backbone
    weights: BakedWeights
    output: Tables
    settings: Mapping[str, str]
    anew: bool

    def survey(self) -> Survey:
        """List the input and compare it with the tables.

        Raises:
            InputError: no photos.
            OutputError: the output holds another input's photos.
        """
        options, listing = self.options, list_photos(self.source)
        photos = arrange(listing.photos, varieties=options.varieties, per_variety=options.per_variety)
        known = Known({}, {}) if self.anew else self.output.known()
        changes = find_changes(photos, known, keep_removed=options.keep_removed)
        if changes.removed and changes.new == len(photos):
            raise OutputError(
                f"--output {options.output}: none of its {changes.removed:,} photos is in --input {options.input}: "
                "choose another --output, or start anew with --overwrite"
            )
        return Survey(len(photos), listing.skipped, changes)

    def up_to_date(self, found: Survey) -> dict[str, Any] | None:
        """The report of the run before, where this one would change nothing."""
        facts = None if self.anew or not found.changes.nothing else self.output.report()
        if facts is None or facts.get("tables") != self.output.versions():
            return None
        return {**facts, "update": found.changes.counts()}

    def describe(self) -> dict[str, Any]:
        """What a run would do, without starting Spark or writing anything."""
        options, found = self.options, self.survey()
        todo = found.changes.todo
        count = options.partitions or default_partitions(len(todo), os.cpu_count() or 1, task_photos(self.backbone))
        bounds = partition_bounds(len(todo), count)
        return {
            "input": options.input,
            "photos": found.photos,
            "skipped": dict(found.skipped),
            "to featurize": len(todo),
            "bytes": sum(photo.size for photo in todo),
            "update": found.changes.counts(),
            "partitions": [[index, stop - start] for index, (start, stop) in enumerate(bounds)],
            **self.settings,
            "weights": self.weights.folder,
            "output": options.output,
        }


@dataclass(frozen=True)
class Plan(UpdatePlan[Output]):
    """The plan of a run; `kept` is the model that --keep-model transforms with."""

    kept: Projection | None

    def survey(self) -> Survey:
        """List the input and compare it with the tables; an `InputError`, too, for photos too few for PCA."""
        found = super().survey()
        check_enough(found.photos, self.options.components, min(found.photos - 1, self.backbone.feature_size))
        return found

    def up_to_date(self, found: Survey) -> dict[str, Any] | None:
        """The report of the run before, where this one would change nothing, and fit or keep the same model."""
        facts = super().up_to_date(found)
        if facts is None:
            return None
        options, pca = self.options, facts["pca"]
        wanted = (None, options.components) if options.components else (options.variance, pca["k"])
        same = "fit" in facts["seconds"] and wanted == (pca["variance_target"], pca["k"])  # kept: of fewer photos
        if self.kept is not None:
            same = self.output.components.model == model_number(self.kept)
        return facts if same and MODEL in self.output.store.names() else None


def make_plan(options: JobOptions) -> Plan:
    """Look up and check what the options of a run name.

    Raises:
        OrchardError: something is missing, or the output holds rows that were made in another way.
    """
    plan = plan_update(options, Output)
    kept = read_model(plan.output.store, MODEL, plan.backbone.feature_size) if options.keep_model else None
    return Plan(**vars(plan), kept=kept)


def plan_update(
    options: JobOptions, kind: type[Tables], settings: Mapping[str, str] | None = None
) -> UpdatePlan[Tables]:
    """Look up and check what the options name; the rows depend on `settings`, too.

    Raises:
        OrchardError: something is missing, or the output holds rows that were made in another way.
    """
    created = datetime.now(UTC).isoformat(timespec="seconds")
    source = open_source(options.input)
    backbone, weights = choose_backbone(options.backbone, options.weights)
    check_apart(options.output, options.input)
    output = open_tables(kind, options.output, overwrite=options.overwrite)
    settings = {**Network(backbone, options.runtime, weights).settings, **(settings or {})}
    # --overwrite continues what it began itself: an output with these settings and no report yet.
    interrupted = output.results.settings == settings and output.report() is None
    anew = options.overwrite and not interrupted
    if output.results.exists and not anew:
        _check_settings(options, output.results.settings, settings)
    return UpdatePlan(created, options, source, backbone, weights, output, settings, anew)


def _check_settings(options: JobOptions, before: Mapping[str, str], settings: Mapping[str, str]) -> None:
    for name, now in settings.items():
        if before.get(name) != now:
            raise OutputError(
                f"--output {options.output}: its rows were made with {name} {before.get(name)}, this run has {now}: "
                "give it the same, or start anew with --overwrite"
            )


def default_partitions(photos: int, slots: int, each: int = TASK_PHOTOS) -> int:
    """Tasks for so many photos: `each` in one, at least `LEAST_TASKS`, and the same number for every slot."""
    return max(LEAST_TASKS, -(-photos // each // slots) * slots)


def task_photos(backbone: Backbone) -> int:
    """Photos of one task: as many as take a backbone the time that `TASK_PHOTOS` take MobileNetV2, or one block."""
    return max(BLOCK, min(TASK_PHOTOS, TASK_PHOTOS * MOBILENET_V2.multiply_adds // backbone.multiply_adds))


def describe(options: JobOptions) -> dict[str, Any]:
    """What a run would do, without starting Spark or writing anything."""
    return make_plan(options).describe()
