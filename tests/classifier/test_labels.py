"""From labels to classes."""

from pathlib import Path

import pytest
from orchard.classifier.labels import CSV, first_word, read_rule, rule_of, what_is_wrong
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
    ("content", "named"),
    [
        (b"", "label,class"),
        (b"label,class\n", "label,class"),
        (b"a,b\nc,d\n", "label,class"),
        (b"label,class\nx,\n", "row 2"),
        (b"label,class\n ,A\n", "row 2"),
        (b"label,class\nx,A\nx,B\n", "row 3"),
        (b"label,class\n\xff,A\n", "UTF-8"),
        (b"label,class\nx,A\n\ny,A,B\n", "row 4.*'y'"),
        (b"label,class\nx,A\ny\n", "row 3.*'y'"),
        (b"label,class,note\nx,A\n", "row 2"),
        (b"label,class\nx,unsure\n", "row 2"),
        (b"label,class\nx,Rejected\n", "row 2"),
        (b'label,class\nx,"A\nB"\n', "row 3"),
    ],
)
def test_bad_csv(tmp_path: Path, content: bytes, named: str) -> None:
    path = tmp_path / "classes.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"classes\.csv.*{named}") as raised:
        read_rule(str(path))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "name", ["unsure", "Unsure", "rejected", "", " ", "A\nB", "A\tB", "A\x1b[31m", "A\u2028", "\x85"]
)
def test_what_is_wrong(name: str) -> None:
    assert what_is_wrong(name)
    with pytest.raises(InputError, match="--labels folder") as raised:
        read_rule("folder").classes(["Apple", name])
    assert raised.value.args[0].isprintable()


def test_what_is_wrong_with_none() -> None:
    assert not any(
        map(what_is_wrong, ["Apple", "unsure apples", "\u0633\u06cc\u0628", "\U0001f34e", "\u00c4pfel", "_"])
    )


def test_csv_spaces(tmp_path: Path) -> None:
    """A label is looked up as it is; where only its spaces differ from one in the file, the error names that."""
    path = tmp_path / "classes.csv"
    path.write_text("label,class\n Plum,one \nPlum,two\nPear ,three\n")
    rule = read_rule(str(path))
    assert rule.classes([" Plum", "Plum", "Pear "]) == {" Plum": "one", "Plum": "two", "Pear ": "three"}
    with pytest.raises(InputError, match=r"'Pear'.*'Pear '"):
        rule.classes(["Pear"])


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["apple 1", "Apple 2", "Apple 3", "Plum"], {"Apple", "Plum"}),
        (["apple 1"] * 3 + ["Apple 2", "APPLE"], {"apple"}),
        (["apple 1", "Apple 2"], {"Apple"}),
        (["Stra\u00dfe 1", "STRASSE 2", "STRASSE"], {"STRASSE"}),
    ],
)
def test_spelled_as(labels: list[str], expected: set[str]) -> None:
    rule = read_rule("first-word").spelled_as(labels)
    classes = rule.classes(labels)
    assert set(classes.values()) == expected
    saved = rule_of({"training": rule.facts(classes)}, "classifier")
    assert {saved.class_of(f"{labels[0].split()[0].upper()} 9")} <= expected
    assert saved.class_of("Other 1") == "Other"
    assert read_rule("folder").spelled_as(labels).class_of("apple 1") == "apple 1"


def test_rule_facts_csv(tmp_path: Path) -> None:
    """All labels of the file, in order of label, so that a classifier can be evaluated on those that did not occur."""
    path = tmp_path / "classes.csv"
    path.write_text("label,class\nPlum,B\nPear,A\n")
    rule = read_rule(str(path))
    facts = rule.facts(rule.classes(["Plum"]))
    assert (facts["rule"], [*facts["mapping"].items()]) == (CSV, [("Pear", "A"), ("Plum", "B")])
    assert rule_of({"training": facts}, "classifier").class_of("Pear") == "A"


def test_missing_csv(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.csv"):
        read_rule(str(tmp_path / "none.csv"))


@pytest.mark.parametrize(
    "uri", ["FOLDER", "s3://", "s3://bucket", "s3://bucket/", "s3:///x.csv", "s3://bucket/folder/"]
)
def test_folder_in_place_of_a_csv(tmp_path: Path, aws: None, uri: str) -> None:
    with pytest.raises(InputError, match=r"--labels|bucket") as caught:
        read_rule(uri.replace("FOLDER", str(tmp_path)))
    assert "space" not in str(caught.value)
