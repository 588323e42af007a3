"""What a listing asks for that the tables do not hold yet: what is new, changed, gone. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from orchard.photos.photo import STORAGE_REASONS, Photo

# Size in bytes, and modification time in microseconds since 1970, as the storage listed them.
Stamp = tuple[int, int]
# Rejected for what may be over by now: the storage failed, or the photo was being written.
_RETRIED = STORAGE_REASONS | {"changed"}
# A link that leads nowhere is listed so: it was not the storage's failure, and asking again would change nothing.
_DANGLING: Stamp = (0, 0)


@dataclass(frozen=True)
class Known:
    """What features/ and rejected/ hold: the stamp of each photo, by path, and the reason of a rejected one."""

    featurized: Mapping[str, Stamp]
    rejected: Mapping[str, tuple[Stamp, str]]


@dataclass(frozen=True)
class Changes:
    """What brings the tables up to date.

    `todo`, in order of the listing, are `new` photos, `changed` ones, and rejected ones that are `retried`. The rows of
    the other listed ones are `kept`; those of the `removed` and the `stale` paths leave the tables.
    """

    todo: list[Photo]
    new: int
    changed: int
    retried: int
    kept: int
    removed: int
    stale_features: list[str]
    stale_rejected: list[str]

    @property
    def nothing(self) -> bool:
        """Whether the tables hold what the listing asks for."""
        return not (self.todo or self.stale_features or self.stale_rejected)

    def counts(self) -> dict[str, int]:
        """What a run does to the tables, in photos."""
        return {name: getattr(self, name) for name in ("new", "changed", "removed", "kept", "retried")}


def find_changes(listing: Iterable[Photo], known: Known, *, keep_removed: bool = False) -> Changes:
    """Compare a listing with what the tables hold, by path, size and time; `keep_removed` keeps unlisted photos."""
    counts, todo, listed = Counter[str](), list[Photo](), set[str]()
    for photo in listing:
        listed.add(photo.path)
        kind = _kind(photo, known)
        counts[kind] += 1
        if kind != "kept":
            todo.append(photo)
    again = {photo.path for photo in todo}
    gone = {path for table in (known.featurized, known.rejected) for path in table if path not in listed}
    stale = again if keep_removed else again | gone
    return Changes(
        todo=todo,
        new=counts["new"],
        changed=counts["changed"],
        retried=counts["retried"],
        kept=counts["kept"],
        removed=0 if keep_removed else len(gone),
        stale_features=[path for path in known.featurized if path in stale],
        stale_rejected=[path for path in known.rejected if path in stale],
    )


def _kind(photo: Photo, known: Known) -> str:
    stamp = photo.size, photo.modified
    if photo.path in known.featurized:
        return "kept" if known.featurized[photo.path] == stamp else "changed"
    if photo.path not in known.rejected:
        return "new"
    before, reason = known.rejected[photo.path]
    if before != stamp:
        return "changed"
    return "retried" if reason in _RETRIED and stamp != _DANGLING else "kept"
