"""Epochs are balanced by class, mixed, and decided by their random generator."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from orchard.finetune.epochs import batches, plan_epoch, random_of, spread

SIZES = st.lists(st.lists(st.integers(1, 40), min_size=1, max_size=4), min_size=2, max_size=5)


def make_rows(sizes: list[list[int]]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    rows, classes, start = {}, {}, 0
    for number, of_class in enumerate(sizes):
        for label, size in enumerate(of_class):
            name = f"{number} {label}"
            rows[name], classes[name], start = np.arange(start, start + size), str(number), start + size
    return rows, classes


@given(SIZES, st.integers(1, 20), st.integers(1, 33), st.integers(0, 9))
def test_every_batch_has_as_many_photos_of_each_class(
    sizes: list[list[int]], per_label: int, size: int, seed: int
) -> None:
    rows, classes = make_rows(sizes)
    class_of = {row: classes[label] for label, of_label in rows.items() for row in of_label.tolist()}
    order = plan_epoch(rows, classes, per_label, random_of(seed, 1))
    for batch in batches(order, size):
        counts = Counter(class_of[row] for row in batch.tolist())
        assert max(counts.values()) - min(counts[name] for name in set(classes.values())) <= 1
    assert len(order) >= sum(min(per_label, len(found)) for found in rows.values())


@given(SIZES, st.integers(1, 20), st.integers(0, 9))
def test_an_epoch_is_decided_by_its_seed(sizes: list[list[int]], per_label: int, seed: int) -> None:
    rows, classes = make_rows(sizes)
    first, again = (plan_epoch(rows, classes, per_label, random_of(seed, 3)) for _ in range(2))
    assert first.tolist() == again.tolist()


def test_epochs_have_other_photos_and_other_orders() -> None:
    rows, classes = make_rows([[60, 60], [60]])
    first, second = (plan_epoch(rows, classes, 10, random_of(0, epoch)) for epoch in (1, 2))
    assert set(first.tolist()) != set(second.tolist())


@given(st.integers(1, 200), st.integers(1, 200), st.floats(0, 1, exclude_max=True))
def test_spread_rows_are_different_and_evenly_apart(length: int, count: int, offset: float) -> None:
    found = spread(np.arange(length), count, offset)
    assert len(found) == min(length, count)
    steps = np.diff(found)
    assert not len(steps) or (steps.min() >= 1 and steps.max() - steps.min() <= 1)


@given(st.integers(1, 100), st.integers(1, 100))
def test_batches_are_the_whole_epoch_in_order(length: int, size: int) -> None:
    assert np.concatenate([*batches(np.arange(length), size)]).tolist() == list(range(length))
