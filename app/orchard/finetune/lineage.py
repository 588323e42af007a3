"""Where a tuned backbone comes from: parent, photos and options; and the photos themselves, all of them read once."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchard.classifier.labels import read_rule
from orchard.console import Reporter
from orchard.errors import InputError, PhotoError
from orchard.finetune.options import FinetuneOptions
from orchard.finetune.photo_set import PhotoSet, list_photo_set, make_photo_set
from orchard.finetune.views import read_hashes
from orchard.network.backbone import Backbone
from orchard.network.weights import BakedWeights
from orchard.photos.photo import Photo


@dataclass(frozen=True)
class Lineage:
    """What decides a tuned backbone, as its manifest says it."""

    facts: Mapping[str, Any]

    @property
    def key(self) -> str:
        """A SHA-256 of it, the same for the same photos in another place."""
        data = {**self.facts["data"], "uri": None}
        return hashlib.sha256(json.dumps({**self.facts, "data": data}, sort_keys=True).encode()).hexdigest()


def read_lineage(
    options: FinetuneOptions, backbone: Backbone, parent: BakedWeights, reporter: Reporter
) -> tuple[PhotoSet, Lineage]:
    """The photos that can be read, and the lineage of what is made of them; errors as of `list_photo_set`."""
    photos, data = _read(options, backbone, reporter)
    data = {"uri": options.input, **data, "classes": dict(photos.classes)}
    return photos, Lineage({**asked(options, backbone, parent), "data": data})


def asked(options: FinetuneOptions, backbone: Backbone, parent: BakedWeights) -> dict[str, Any]:
    """What of a lineage is known before a photo is read."""
    return {
        "parent": {"backbone": backbone.name, "fingerprint": parent.fingerprint},
        "options": {**options.recorded(), "labels": read_rule(options.labels).name},
    }


def _read(options: FinetuneOptions, backbone: Backbone, reporter: Reporter) -> tuple[PhotoSet, dict[str, Any]]:
    listed = list_photo_set(options)
    reporter.log(f"reading {len(listed.photos):,} photos")
    found = read_hashes(listed.source, listed.photos, backbone.input_size)
    rejected = Counter(error.reason for error in found if isinstance(error, PhotoError))
    if rejected:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(rejected.items()))
        reporter.log(f"warning: {rejected.total():,} photos cannot be used and are left out: {reasons}")
    if rejected.total() == len(found):
        raise InputError(f"--input {options.input}: none of its {len(found):,} photos can be used: name other photos")
    good = [(photo, digest) for photo, digest in zip(listed.photos, found, strict=True) if isinstance(digest, str)]
    photos = make_photo_set(options, listed.source, [photo for photo, _ in good], read_rule(options.labels))
    facts = photos.facts()
    digest = hash_of([photo for photo, _ in good], [digest for _, digest in good])
    return photos, {"photos": len(good), "sha256": digest, "rejected": dict(rejected), **facts}


def hash_of(photos: Sequence[Photo], hashes: Sequence[str]) -> str:
    """One SHA-256 for all photos: that of the lines that `sha256sum` would print of them, in order."""
    lines = (f"{digest}  {photo.path}\n" for photo, digest in zip(photos, hashes, strict=True))
    return hashlib.sha256("".join(lines).encode()).hexdigest()
