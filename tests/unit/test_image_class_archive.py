"""Two dumps of the same classes to one archive: what differs without a meaning goes, anything else is an error."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image.class_archive import HEADER_BYTES, MAX_WORDS, UnstableArchiveError, settle

RECORDS = 600
BODY = HEADER_BYTES + 8 * RECORDS


def dumped(seed: int, places: set[int], *, size: int = BODY) -> bytes:
    """An archive as Java dumps it: the same but for checksums in the header, and seven bytes after the first of some records."""
    common, own = random.Random(0), random.Random(seed)
    content = bytearray(common.randbytes(size))
    content[4:8], content[16:20] = own.randbytes(4), own.randbytes(4)
    left_over = own.randbytes(4) + b"\x7f\0\0"
    for place in places:
        content[HEADER_BYTES + 8 * place + 1 : HEADER_BYTES + 8 * place + 8] = left_over
    return bytes(content)


@given(
    places=st.sets(st.integers(0, RECORDS - 1), max_size=40),
    seeds=st.lists(st.integers(1, 1 << 30), min_size=4, max_size=4, unique=True),
)
def test_any_two_dumps_settle_to_the_same_archive(places: set[int], seeds: list[int]) -> None:
    first, second, third, fourth = (dumped(seed, places) for seed in seeds)
    settled = settle(first, second)
    assert settled == settle(third, fourth)
    assert len(settled) == BODY


def test_only_what_differs_is_cleared() -> None:
    first, second = dumped(1, {3, 70}), dumped(2, {3, 70})
    settled = settle(first, second)
    same = [at for at in range(BODY) if first[at] == second[at]]
    cleared = {HEADER_BYTES + 8 * place + offset for place in (3, 70) for offset in range(1, 8)}
    assert all(settled[at] == first[at] for at in same if at not in cleared)
    assert all(settled[at] == 0 for at in cleared)
    assert settled[:4] == first[:4]
    assert settled[4:8] == settled[16:20] == bytes(4)


def test_equal_dumps_stay_as_they_are() -> None:
    assert settle(dumped(1, {5}), dumped(1, {5})) == dumped(1, {5})


def test_a_record_that_differs_in_its_meaning_is_refused() -> None:
    first = dumped(1, set())
    second = bytearray(first)
    second[HEADER_BYTES + 80] ^= 1
    with pytest.raises(UnstableArchiveError, match=f"byte {HEADER_BYTES + 80} differs"):
        settle(first, bytes(second))


def test_another_order_of_names_is_refused() -> None:
    first, second = dumped(1, set(range(MAX_WORDS + 1))), dumped(2, set(range(MAX_WORDS + 1)))
    with pytest.raises(UnstableArchiveError, match=f"more than {MAX_WORDS} places"):
        settle(first, second)


def test_dumps_of_different_sizes_are_refused() -> None:
    with pytest.raises(UnstableArchiveError, match="bytes"):
        settle(dumped(1, set()), dumped(1, set(), size=BODY + 8))
