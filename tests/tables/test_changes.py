"""What a listing asks for, against a set computation of what must be true of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from orchard.photos.photo import REASONS, STORAGE_REASONS, Photo
from orchard.tables.changes import Known, find_changes

STAMPS = st.tuples(st.integers(1, 3), st.integers(1, 3))
PATHS = st.sampled_from([f"a/{number}.jpg" for number in range(8)])
LISTINGS = st.dictionaries(PATHS, STAMPS)
FEATURIZED = st.dictionaries(PATHS, STAMPS)
REJECTED = st.dictionaries(PATHS, st.tuples(STAMPS, st.sampled_from(sorted(REASONS))))


@given(LISTINGS, FEATURIZED, REJECTED, st.booleans())
def test_find_changes_accounts_for_every_photo(listed: dict, featurized: dict, rejected: dict, keep: bool) -> None:
    rejected = {path: value for path, value in rejected.items() if path not in featurized}
    photos = [Photo(path, "a", *stamp) for path, stamp in listed.items()]
    changes = find_changes(photos, Known(featurized, rejected), keep_removed=keep)
    todo = {photo.path for photo in changes.todo}
    assert changes.new + changes.changed + changes.retried == len(todo)
    assert changes.kept + len(todo) == len(listed)
    # What the tables hold afterwards is the listing, and what was kept on purpose.
    left = (featurized.keys() - set(changes.stale_features)) | (rejected.keys() - set(changes.stale_rejected))
    gone = (featurized.keys() | rejected.keys()) - listed.keys()
    assert left | todo == listed.keys() | (gone if keep else set())
    assert left.isdisjoint(todo)
    assert changes.removed == (0 if keep else len(gone))
    assert [photo.path for photo in changes.todo] == [path for path in listed if path in todo]


@given(LISTINGS, FEATURIZED, REJECTED)
def test_find_changes_decides_by_stamp_and_reason(listed: dict, featurized: dict, rejected: dict) -> None:
    rejected = {path: value for path, value in rejected.items() if path not in featurized}
    photos = [Photo(path, "a", *stamp) for path, stamp in listed.items()]
    todo = {photo.path for photo in find_changes(photos, Known(featurized, rejected)).todo}
    for path, stamp in listed.items():
        if path in featurized:
            assert (path in todo) == (featurized[path] != stamp)
        elif path in rejected:
            before, reason = rejected[path]
            assert (path in todo) == (before != stamp or reason in STORAGE_REASONS | {"changed"})
        else:
            assert path in todo


def test_find_changes_leaves_dangling_links() -> None:
    known = Known({}, {"a/link.jpg": ((0, 0), "gone")})
    assert find_changes([Photo("a/link.jpg", "a", 0, 0)], known).nothing
    assert find_changes([Photo("a/link.jpg", "a", 5, 7)], known).changed == 1
