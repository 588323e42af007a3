"""Which features a classifier may be given: made as those of its training were, and all of them numbers."""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from orchard.errors import InputError

# The runtime is not among them: only rounding depends on it.
DECISIVE = "backbone", "fingerprint", "decoding", "preprocessing"


def check_same(settings: Mapping[str, str], others: Mapping[str, str], what: str, than: str) -> None:
    """Raise `InputError`, "`what`: … is …, but `than` …", where features of one could not do for those of the other."""
    for name in DECISIVE:
        if (now := settings.get(name)) != (other := others.get(name)):
            raise InputError(f"{what}: {name} is {now}, but {than} {other}: use the same, or train again")


def check_finite(features: npt.NDArray[np.floating], where: str, path_of: Callable[[int], str]) -> None:
    """Raise `InputError`, which names the first such photo, where features (n, size) hold NaN or infinity.

    `where` names what has them, `path_of` gives the path of the photo in a row.
    """
    if not (finite := np.isfinite(features)).all():
        row = int(np.argmin(finite.all(axis=1)))
        what = f"features of {path_of(row)!r} are NaN or infinite"
        raise InputError(f"{where}: {what}: make them again with `orchard run --overwrite`")
