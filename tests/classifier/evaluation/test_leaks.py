from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from orchard.classifier.evaluation.leaks import Leaks
from orchard.photos.copies import MAX_FOLDERS, MAX_PAIRS
from orchard.tables import columns

from tests.classifier.evaluation.example import sha256, training

TRAINED, HELD_OUT, UNUSED, ALWAYS = 0, -1, -2, -3


def found(photos: list[tuple[str, str]], trained: list[tuple[str, str, int]], split: str = "labels") -> dict:
    leaks = Leaks(training(trained))
    leaks.add([path for path, _ in photos], [sha256(content) for _, content in photos])
    return leaks.facts({path.split("/")[0] for path, _ in photos}, split)


def test_leaks_pairs_of_folders_most_first() -> None:
    trained = [("Rotten/0", "a", TRAINED), ("Rotten/1", "b", ALWAYS), ("Red/0", "c", 4), ("Blank/0", "a", 1)]
    facts = found([("21/7", "a"), ("21/8", "b"), ("22/0", "new"), ("Red/0", "c")], trained)
    assert (facts["shared_photos"], facts["shared_under_same_path"], facts["shared_under_other_path"]) == (3, 1, 2)
    assert facts["shared_folders"] == [
        {"training": "Rotten", "evaluated": "21", "photos": 2},
        {"training": "Blank", "evaluated": "21", "photos": 1},
        {"training": "Red", "evaluated": "Red", "photos": 1},
    ]
    assert facts["shared_folder_pairs"] == 3
    assert facts["labels_in_both"] == ["Red"]
    assert facts["held_out_photos"] == 0


def test_leaks_not_trained_on() -> None:
    trained = [("A/0", "a", HELD_OUT), ("A/1", "b", UNUSED), ("B/0", "c", TRAINED)]
    facts = found([("A/0", "a"), ("A/1", "b")], trained)
    assert (facts["shared_photos"], facts["shared_folders"], facts["labels_in_both"]) == (0, [], [])
    assert facts["held_out_photos"] == 1


def test_leaks_random_split() -> None:
    trained = [("A/0", "a", HELD_OUT), ("A/1", "b", TRAINED)]
    assert found([("A/0", "a")], trained, "random")["random_split"]
    assert not found([("A/0", "a")], trained, "labels")["random_split"]
    assert not found([("A/9", "other")], trained, "random")["random_split"]


def test_leaks_without_any_photo_trained_on() -> None:
    assert found([("A/0", "a")], [("A/0", "a", HELD_OUT)])["shared_photos"] == 0


def test_leaks_blank_photo() -> None:
    facts = found([("new/0", "blank")], [(f"folder {number}/0", "blank", TRAINED) for number in range(200)])
    assert (facts["shared_photos"], len(facts["shared_folders"])) == (1, MAX_PAIRS)
    assert facts["shared_folder_pairs"] == MAX_FOLDERS


def test_leaks_same_path() -> None:
    trained = [(f"folder {number}/0", "blank", TRAINED) for number in range(200)]
    facts = found([("folder 199/0", "blank"), ("folder 200/0", "blank")], trained)
    assert (facts["shared_under_same_path"], facts["shared_under_other_path"]) == (1, 1)


photos = st.lists(st.tuples(st.sampled_from("AB"), st.integers(0, 4), st.sampled_from("abcdef")), max_size=12)


@given(photos, photos, st.integers(1, 4))
def test_leaks_brute_force(trained: list, evaluated: list, size: int) -> None:
    leaks = Leaks(training([(f"{folder}/{name}", content, TRAINED) for folder, name, content in trained]))
    rows = [(f"{folder}/{name}", sha256(content)) for folder, name, content in evaluated]
    shared = list[bool]()
    for first in range(0, len(rows), size):
        shared += leaks.add(*(list(column) for column in zip(*rows[first : first + size], strict=True))).tolist()
    assert shared == [any(content == other for *_, other in trained) for *_, content in evaluated]
    facts = leaks.facts(set(), "none")
    assert facts["shared_under_same_path"] == sum(photo in trained for photo in evaluated)
    pairs = {(other[0], photo[0]) for photo in evaluated for other in trained if photo[2] == other[2]}
    assert {(row["training"], row["evaluated"]) for row in facts["shared_folders"]} == pairs


def test_leaks_of_the_shared_photos(shared: Path) -> None:
    def hashed(split: str) -> tuple[list[str], list[str]]:
        root = shared / "fruits-360" / split
        paths = sorted(str(path.relative_to(root)) for path in root.rglob("*.jpg"))
        return paths, [hashlib.sha256((root / path).read_bytes()).hexdigest() for path in paths]

    paths, hashes = hashed("Training")
    texts = paths, [path.split("/")[0] for path in paths], hashes
    table = pa.table(
        [*map(columns.strings, texts), columns.integers([0] * len(paths))], ["path", "label", "sha256", "fold"]
    )
    leaks = Leaks(table)
    assert leaks.add(*hashed("Test")).sum() == 120
    assert leaks.facts(set(), "test")["shared_folders"] == [
        {"training": "Apple Rotten 1", "evaluated": "Apple 21", "photos": 60},
        {"training": "Apple worm 1", "evaluated": "Apple 22", "photos": 60},
    ]
