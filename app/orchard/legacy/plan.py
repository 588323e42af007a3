"""What a run was asked to do, looked up and checked before anything is started. Cheap to import and to make."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from orchard.errors import InputError
from orchard.network.backbones import Backbone, get_backbone
from orchard.network.weights import BakedWeights, find_weights
from orchard.options import JobOptions
from orchard.photos.source import PHOTO_SUFFIXES, Photo, PhotoSource, open_source


@dataclass(frozen=True)
class Plan:
    """What a run was asked to do and what it found to do it with, checked before anything is started."""

    created: str
    options: JobOptions
    source: PhotoSource
    backbone: Backbone
    weights: BakedWeights


def make_plan(options: JobOptions) -> Plan:
    """Look up and check what the options name; `OrchardError` when something is missing."""
    created = datetime.now(UTC).isoformat(timespec="seconds")
    backbone = get_backbone(options.backbone)
    return Plan(created, options, open_source(options.input), backbone, find_weights(backbone, options.weights))


def list_photos(plan: Plan) -> list[Photo]:
    """The photos of a run, in order; `InputError` when there are none."""
    from orchard.photos import manifest

    photos = manifest.arrange(
        plan.source.photos(), varieties=plan.options.varieties, per_variety=plan.options.per_variety
    )
    if not photos:
        raise InputError(
            f"--input {plan.options.input}: no photos in it (looked for {' '.join(PHOTO_SUFFIXES)}, in sub-folders too)"
        )
    return photos
