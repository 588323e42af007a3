"""Which photos are held out: whole labels, or blocks of frames, and never neighbours on both sides."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchard.classifier.inputs import ALWAYS, BETWEEN_FOLDS, HELD_OUT, UNUSED
from orchard.classifier.training.splits import (
    MOST_BLOCKS,
    fewest_photos,
    order_rows,
    reference_blocks,
    split,
    split_randomly,
)

Case = tuple[list[str], list[str], dict[str, str]]


@st.composite
def photos(draw: st.DrawFn) -> Case:
    """Paths in any order, their labels, and the class of each label."""
    sizes = draw(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 3)), min_size=1, max_size=12))
    labels = {f"label {number}": f"class {kind}" for number, (_, kind) in enumerate(sizes)}
    found = [(f"label {n}/{frame}.jpg", f"label {n}") for n, (size, _) in enumerate(sizes) for frame in range(size)]
    mixed = draw(st.permutations(found))
    return [path for path, _ in mixed], [label for _, label in mixed], labels


@given(photos(), st.sampled_from([0.0, 0.1, 0.2, 0.5, 0.9]), st.integers(2, 6))
def test_split_neighbours(case: Case, held_out: float, folds: int) -> None:
    paths, labels, classes = case
    rows = order_rows(paths, labels)
    found = split(rows, classes, held_out=held_out, folds=folds)
    for label, frames in rows.items():
        sides = found.folds[frames].tolist()
        if label not in found.blocks:
            assert len(set(sides)) == 1
        for one, other in pairwise(sides):
            assert one == other or {one, other} & {UNUSED, BETWEEN_FOLDS}


@given(photos(), st.sampled_from([0.0, 0.2, 0.5]), st.integers(2, 6))
def test_split_class_in_every_fold(case: Case, held_out: float, folds: int) -> None:
    paths, labels, classes = case
    found = split(order_rows(paths, labels), classes, held_out=held_out, folds=folds).folds
    assert set(found.tolist()) <= {HELD_OUT, UNUSED, ALWAYS, BETWEEN_FOLDS, *range(folds)}
    names = np.array([classes[label] for label in labels])
    for name in set(names.tolist()):
        of_class = found[names == name]
        for fold in range(folds):
            assert (((of_class >= 0) & (of_class != fold)) | (of_class == ALWAYS)).any()
    assert held_out or HELD_OUT not in found


@given(photos(), st.sampled_from([0.1, 0.2, 0.5]))
def test_split_labels(case: Case, held_out: float) -> None:
    paths, labels, classes = case
    rows = order_rows(paths, labels)
    found = split(rows, classes, held_out=held_out, folds=5).folds
    for name in set(classes.values()):
        of_class = [label for label in classes if classes[label] == name]
        whole = [label for label in of_class if (found[rows[label]] == HELD_OUT).all()]
        if len(of_class) > 1:
            assert len(whole) == min(max(1, round(held_out * len(of_class))), len(of_class) - 1)
        else:
            assert not whole
            assert (found[rows[of_class[0]]] == HELD_OUT).any() == (len(rows[of_class[0]]) >= 3)


@given(photos(), st.sampled_from([0.2, 0.5]))
def test_split_randomly(case: Case, held_out: float) -> None:
    paths, labels, classes = case
    rows = order_rows(paths, labels)
    first, second = (split_randomly(rows, classes, held_out=held_out, folds=3).folds for _ in range(2))
    assert np.array_equal(first, second)
    names = np.array([classes[label] for label in labels])
    for name in set(names.tolist()):
        of_class = first[names == name]
        assert len(of_class) < 2 or ((of_class == HELD_OUT).any() and (of_class != HELD_OUT).any())


def test_split_frames() -> None:
    rows = order_rows([f"a/{number}.jpg" for number in (10, 2, 1, *range(3, 10))], ["a"] * 10)
    assert rows["a"].tolist() == [2, 1, 3, 4, 5, 6, 7, 8, 9, 0]
    found = split(rows, {"a": "A"}, held_out=0.2, folds=3)
    between = BETWEEN_FOLDS
    assert found.folds[rows["a"]].tolist() == [0, 0, between, 1, 1, between, 2, UNUSED, HELD_OUT, HELD_OUT]
    assert found.blocks == ["a"]


@given(photos())
def test_reference_blocks(case: Case) -> None:
    paths, labels, classes = case
    rows = order_rows(paths, labels)
    found = split(rows, classes, held_out=0.2, folds=5).folds
    blocks = reference_blocks(rows, found)
    assert len(blocks) == len(rows)
    used = [row for label in blocks for block in label for row in block.tolist()]
    assert sorted(used) == np.flatnonzero((found != HELD_OUT) & (found != UNUSED)).tolist()
    assert all(len(label) <= MOST_BLOCKS and all(len(block) for block in label) for label in blocks)


@pytest.mark.parametrize(
    ("random", "held_out", "fewest"),
    [(False, 0.0, 3), (False, 0.2, 5), (False, 0.5, 8), (False, 0.96, None), (True, 0.2, 3), (True, 0.5, 4)],
)
def test_fewest_photos(random: bool, held_out: float, fewest: int | None) -> None:
    divide = split_randomly if random else split
    assert fewest_photos(divide, held_out=held_out, folds=5) == fewest
    for count in [fewest - 1, fewest] if fewest else [300]:
        rows = {label: np.arange(count) + start for label, start in (("Apple", 0), ("Plum", count))}
        folds = divide(rows, {label: label for label in rows}, held_out=held_out, folds=5).folds
        assert (folds >= 0).any() == (count == fewest)
