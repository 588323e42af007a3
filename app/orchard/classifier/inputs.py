"""The photos that a classifier is trained or evaluated on: those of a run's output; and what each was for."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orchard.classifier.settings import DECISIVE
from orchard.errors import InputError
from orchard.storage.stores import LOG, open_store
from orchard.tables import parquet
from orchard.tables.output import Output, open_output
from orchard.tables.parquet import DataFile

# What a photo is for, besides the number of a fold of cross-validation: held out for the evaluation; not used, as it is
# near those; trained on in every fold; trained on in the final fit only, as it is near another fold. They are in the
# column `fold` of training.parquet.
HELD_OUT, UNUSED, ALWAYS, BETWEEN_FOLDS = -1, -2, -3, -4


def is_trained_on(folds: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
    """Whether photos are part of the final fit, by what they are for, (n,)."""
    return np.asarray((folds != HELD_OUT) & (folds != UNUSED))


@dataclass(frozen=True)
class Photos:
    """The photos of features/, row by row in the order of its files: their paths, labels and SHA-256."""

    files: list[DataFile]
    paths: list[str]
    labels: list[str]
    hashes: list[str]


def open_features(flag: str, uri: str) -> Output:
    """The output of a run at `uri`; `InputError`, which names the flag, where there is none or it is empty.

    So it is where a former version made the features, of which not all is known that they depend on.
    """
    store = open_store(uri, flag)
    output = open_output(uri, flag=flag) if store.list(f"features/{LOG}/") else None
    if output is None or not output.features.rows:
        raise InputError(f"{flag} {uri}: no features there: name the output of an `orchard run` that ended well")
    if missing := [name for name in DECISIVE if name not in output.features.settings]:
        what = f"features of a former version ({missing[0]} is not known)"
        raise InputError(f"{flag} {uri}: {what}: make them again with `orchard run --overwrite`")
    return output


def photos_uri(output: Output) -> str | None:
    """Where the photos of an output were, by its run's report; None where that is not known."""
    source = (output.report() or {}).get("input")
    uri = source.get("uri") if isinstance(source, dict) else None
    return uri if isinstance(uri, str) else None


def read_photos(output: Output) -> Photos:
    """Paths, labels and hashes of an output's features."""
    photos = Photos(output.features.files, [], [], [])
    for file in photos.files:
        table = parquet.read(output.store, file.key, ["path", "label", "sha256"])
        for found, column in zip((photos.paths, photos.labels, photos.hashes), table.columns, strict=True):
            found += column.to_pylist()
    return photos
