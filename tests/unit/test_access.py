"""Whether photos can be had at all: told by a few of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchard.errors import InputError, PhotoError
from orchard.photos.access import REASONS, SILENCES, TRIES, WITNESSES, check_access, find_witnesses
from orchard.photos.decoding import REASONS as ALL
from orchard.photos.source import Photo, PhotoReader, ignore


class Place(PhotoReader):
    """Photos by number, each of which can be read or fails for a reason."""

    uri = "place"
    readers = 1

    def __init__(self, reasons: list[str]) -> None:
        self.reasons, self.tried = reasons, list[int]()

    @property
    def photos(self) -> list[Photo]:
        return [Photo(str(number), "a", 1, 0) for number in range(len(self.reasons))]

    def read(
        self, path: str, *, listed: Photo | None = None, on_retry: Callable[[], None] = ignore, patient: bool = True
    ) -> bytes:
        self.tried.append(int(path))
        if reason := self.reasons[int(path)]:
            raise PhotoError(reason, "made up")
        return b"x"


@given(st.lists(st.sampled_from(["", "", *ALL]), max_size=60))
def test_witnesses_can_be_read_and_without_any_it_is_said_why(reasons: list[str]) -> None:
    place = Place(reasons)
    try:
        witnesses = find_witnesses(place, place.photos)
    except InputError:
        failed = [reasons[number] for number in place.tried]
        assert failed
        assert set(failed) <= REASONS
    else:
        assert len(witnesses) <= WITNESSES
        assert not any(reasons[int(photo.path)] for photo in witnesses)
        if len(reasons) <= TRIES and reasons.count("unavailable") < SILENCES:
            assert len(witnesses) == min(WITNESSES, reasons.count(""))
    assert len(place.tried) == len(set(place.tried)) <= TRIES


@given(st.integers(1, 5000))
def test_those_that_are_tried_are_from_all_over_the_listing(count: int) -> None:
    place = Place(["gone"] * count)
    with pytest.raises(InputError, match="listed, but not read"):
        find_witnesses(place, place.photos)
    assert len(place.tried) == min(TRIES, count)
    assert place.tried[0] == 0
    assert place.tried[-1] >= count - count / TRIES - 1


def test_one_photo_that_the_storage_does_not_give_is_only_that() -> None:
    place = Place(["unavailable", *[""] * 99])
    witnesses = find_witnesses(place, place.photos)
    assert len(witnesses) == WITNESSES
    place.reasons[int(witnesses[0].path)] = "unavailable"
    check_access(place, witnesses)


def test_where_the_storage_does_not_answer_not_everything_is_waited_for() -> None:
    place = Place(["unavailable"] * 50)
    with pytest.raises(InputError, match="call again when the storage answers"):
        find_witnesses(place, place.photos)
    with pytest.raises(InputError, match="cannot be any more"):
        check_access(place, place.photos)
    assert len(place.tried) == 2 * SILENCES


@given(st.lists(st.sampled_from(["", *ALL]), max_size=3))
def test_one_witness_that_can_be_had_is_enough(reasons: list[str]) -> None:
    place = Place(reasons)
    lost = bool(reasons) and set(reasons) <= REASONS
    if reasons[:2].count("unavailable") == SILENCES:  # whoever comes behind them is not asked
        lost = True
    try:
        check_access(place, place.photos)
        assert not lost
    except InputError:
        assert lost


def test_nobody_is_asked_where_there_is_nobody() -> None:
    assert find_witnesses(Place([]), []) == ()
    check_access(Place([]), [])
