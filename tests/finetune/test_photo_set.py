"""What is held out, and photo sets that cannot be tuned on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchard.classifier.labels import Rule, read_rule
from orchard.errors import InputError
from orchard.finetune.options import FinetuneOptions
from orchard.finetune.photo_set import PhotoSet, list_photo_set, make_photo_set
from orchard.photos.photo import Photo
from orchard.photos.source import open_source
from orchard.sample import draw_samples


def photo_set(sizes: dict[str, int], *, rule: str = "folder", **changes: float) -> PhotoSet:
    photos = [Photo(f"{label}/{n}.jpg", label, 1, 1) for label, size in sizes.items() for n in range(size)]
    options = FinetuneOptions(input="nowhere", output="b", **changes)  # type: ignore[arg-type]
    return make_photo_set(options, open_source("nowhere"), photos, Rule(rule))


@given(st.lists(st.integers(3, 60), min_size=2, max_size=6), st.floats(0.05, 0.6))
def test_of_a_class_of_one_label_neighbours_never_are_on_both_sides(sizes: list[int], holdout: float) -> None:
    found = photo_set({f"Fruit {n}": size for n, size in enumerate(sizes)}, holdout=holdout)
    for label, held_out in found.held_out.items():
        assert np.abs(held_out[:, np.newaxis] - found.trained[label]).min() > 1


@given(st.lists(st.integers(2, 6), min_size=2, max_size=4), st.floats(0.05, 0.6))
def test_of_a_class_of_several_labels_whole_ones_are_held_out(labels: list[int], holdout: float) -> None:
    sizes = {f"Class{number} {label}": 5 for number, count in enumerate(labels) for label in range(count)}
    found = photo_set(sizes, rule="first-word", holdout=holdout)
    assert not found.held_out.keys() & found.trained.keys()
    assert {label.split()[0] for label in found.held_out} == {label.split()[0] for label in found.trained}


def test_without_holdout_all_are_trained_on() -> None:
    found = photo_set({"Apple": 1, "Pear": 2}, holdout=0.0)
    assert found.facts() == {
        "trained": 3,
        "held_out": 0,
        "unused": 0,
        "held_out_labels": [],
        "split_labels": ["Apple", "Pear"],
    }
    assert found.class_numbers.tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("sizes", "rule"),
    [({"Apple 1": 9, "Apple 2": 9}, "first-word"), ({"Apple": 9}, "folder"), ({"Apple": 9, "Pear": 2}, "folder")],
)
def test_one_class_or_too_few_photos_of_one(sizes: dict[str, int], rule: str) -> None:
    with pytest.raises(InputError, match="--input nowhere") as raised:
        photo_set(sizes, rule=rule)
    assert len(str(raised.value).splitlines()) == 1


def test_no_photos_and_no_folder(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("none")
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(InputError, match=str(folder)):
            list_photo_set(FinetuneOptions(input=str(folder), output="b"))


def test_labels_of_a_csv_file(tmp_path: Path) -> None:
    draw_samples(tmp_path / "photos", varieties=3, per_variety=4, seed=1)
    (tmp_path / "rule.csv").write_text("label,class\nApple Red,round\nBanana,long\nOrange,round\n")
    rule = str(tmp_path / "rule.csv")
    found = list_photo_set(FinetuneOptions(input=str(tmp_path / "photos"), output="b", labels=rule))
    assert (found.names, read_rule(rule).name) == (("long", "round"), "csv")
