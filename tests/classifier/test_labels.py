"""From labels to classes."""

from pathlib import Path

import pytest
from orchard.classifier.labels import CSV, first_word, read_rule
from orchard.errors import InputError
from orchard.storage.stores import open_store


@pytest.mark.parametrize(
    ("label", "word"),
    [("Apple Golden 1", "Apple"), ("apple_crimson_snow_1", "apple"), ("Pear-2", "Pear"), (" x", "x"), ("_", "_")],
)
def test_first_word(label: str, word: str) -> None:
    assert first_word(label) == word


def test_folder_and_first_word() -> None:
    labels = ["Apple 2", "Apple 1", "Plum", "Plum"]
    assert read_rule("folder").classes(labels) == {"Apple 1": "Apple 1", "Apple 2": "Apple 2", "Plum": "Plum"}
    assert read_rule("first-word").classes(labels) == {"Apple 1": "Apple", "Apple 2": "Apple", "Plum": "Plum"}


def test_csv(tmp_path: Path) -> None:
    path = tmp_path / "classes.csv"
    # With a mark of the byte order, as Excel writes it, another column, and a decomposed letter.
    path.write_bytes('label,note,class\r\nApple 1,,fruit\r\n"Pa\u0301prika, red",x,vegetable\r\n'.encode("utf-8-sig"))
    rule = read_rule(str(path))
    assert rule.name == CSV
    assert rule.classes(["P\u00e1prika, red", "Apple 1"]) == {"Apple 1": "fruit", "P\u00e1prika, red": "vegetable"}
    with pytest.raises(InputError, match="'Plum'"):
        rule.classes(["Apple 1", "Plum"])


def test_csv_in_a_bucket(bucket: str) -> None:
    open_store(bucket).write("lists/classes.csv", b"label,class\nApple 1,fruit\n")
    assert read_rule(f"{bucket}/lists/classes.csv").classes(["Apple 1"]) == {"Apple 1": "fruit"}
    with pytest.raises(InputError, match=r"none\.csv"):
        read_rule(f"{bucket}/lists/none.csv")


@pytest.mark.parametrize(
    "content",
    [b"", b"label,class\n", b"a,b\nc,d\n", b"label,class\nx,\n", b"label,class\nx,A\nx,B\n", b"label,class\n\xff,A\n"],
)
def test_bad_csv(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "classes.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"classes\.csv"):
        read_rule(str(path))


def test_missing_csv(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.csv"):
        read_rule(str(tmp_path / "none.csv"))
    with pytest.raises(InputError):
        read_rule(str(tmp_path))
