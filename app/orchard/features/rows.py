"""What a task makes of the features of its photos: rows of a table."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from orchard.network.runtimes import Features
from orchard.photos.photo import Photo
from orchard.tables import columns
from orchard.tables.columns import FEATURES

# A photo that decoded, and the SHA-256 of its bytes in hexadecimal.
Kept = tuple[Photo, str]


@dataclass(frozen=True)
class Rows:
    """`make` gives rows of the table `folder` from n photos and their features (n, size); pickled with the task."""

    folder: str
    make: Callable[[Sequence[Kept], Features], pa.Table]


def photo_columns(kept: Sequence[Kept]) -> list[pa.Array]:
    """The first columns of every such table: path, label, sha256, size and modified."""
    photos = [photo for photo, _ in kept]
    return [
        columns.strings([photo.path for photo in photos]),
        columns.strings([photo.label for photo in photos]),
        columns.strings([sha256 for _, sha256 in kept]),
        columns.integers([photo.size for photo in photos]),
        columns.times([photo.modified for photo in photos]),
    ]


def _features(kept: Sequence[Kept], features: Features) -> pa.Table:
    return pa.table([*photo_columns(kept), columns.float_lists(features)], schema=FEATURES)


FEATURE_ROWS = Rows("features", _features)
