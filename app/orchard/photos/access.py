"""Whether photos can be had at all: what tells a place that is lost from photos that are.

A few photos that could be read when the run began bear witness: wherever several in a row, or a task's last ones, cannot be had, they
are read again, by the process that met it and with its own credentials. Where they fail too, no further photo would fare better.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from orchard.errors import InputError, PhotoError
from orchard.photos.source import Photo, PhotoReader

# Reasons that lie with the place, or with the way to it, and not with what is in the photo.
REASONS = frozenset({"gone", "forbidden", "unavailable", "unreadable"})
# Photos that are tried before a place counts as one that cannot be read, and those that will bear witness.
TRIES = 16
WITNESSES = 3
# So many that no storage answered for, each asked for half a minute, and the others are not waited for.
SILENCES = 2
_ADVICE = {
    "forbidden": "whoever runs the job must be allowed to read them (s3:GetObject in a bucket)",
    "unavailable": "call again when the storage answers",
}


def find_witnesses(source: PhotoReader, photos: Sequence[Photo]) -> tuple[Photo, ...]:
    """Up to `WITNESSES` photos that can be read: the first of `TRIES` that are evenly spread over the listing.

    Raises:
        InputError: none of those that were tried can be had, for reasons that are not their own.
    """
    count = min(TRIES, len(photos))
    witnesses, errors = [], []
    for photo in (photos[place * len(photos) // count] for place in range(count)):
        error = _error(source, photo)
        if error is None:
            witnesses.append(photo)
        else:
            errors.append(error)
        if len(witnesses) == WITNESSES or _silences(errors) == SILENCES:
            break
    if errors and not witnesses and all(error.reason in REASONS for error in errors):
        raise InputError(
            f"--input {source.uri}: its photos can be listed, but not read ({errors[-1]}): {_advice(errors[-1])}"
        )
    return tuple(witnesses)


def check_access(source: PhotoReader, witnesses: Iterable[Photo]) -> None:
    """Raise `InputError` if none of the photos that could be read when the run began can be had any more."""
    errors: list[PhotoError] = []
    for photo in witnesses:
        error = _error(source, photo)
        if error is None or error.reason not in REASONS:
            return
        errors.append(error)
        if _silences(errors) == SILENCES:
            break
    if errors:
        what = "what could be read when the run began cannot be any more"
        raise InputError(f"--input {source.uri}: {what} ({errors[-1]}): {_advice(errors[-1])}")


def _silences(errors: Sequence[PhotoError]) -> int:
    return sum(error.reason == "unavailable" for error in errors)


def _error(source: PhotoReader, photo: Photo) -> PhotoError | None:
    try:
        source.read(photo.path, listed=photo)
    except PhotoError as error:
        return error
    return None


def _advice(error: PhotoError) -> str:
    return _ADVICE.get(error.reason, "check that the place is there, mounted and whole")
