"""The steps for each backbone, and what is refused."""

from __future__ import annotations

import pytest
from orchard.compare.options import CompareOptions
from orchard.compare.plan import check_classes, check_output, count_classes, make_candidates
from orchard.errors import InputError, OrchardError, OutputError, UsageError

from tests.compare.examples import options


def test_steps_are_chained() -> None:
    asked = options(
        output="s3://fruit/report/",
        labels="first-word",
        weights="w",
        master="local[2]",
        overwrite=True,
        backbones=["net"],
    )
    (found,) = make_candidates(asked)
    assert (found.train.input, found.train.output) == ("photos", "s3://fruit/report/net/train")
    assert (found.test.input, found.test.output) == ("others", "s3://fruit/report/net/test")
    assert {found.train.backbone, found.test.backbone} == {"net"}
    assert found.train.overwrite
    assert (found.training.features, found.training.test) == (found.train.output, found.test.output)
    assert (found.training.labels, found.training.master) == ("first-word", "local[2]")
    assert found.export.classifier == found.training.output
    assert found.export.output == "s3://fruit/report/net/classifier.tflite"
    assert (found.train.weights, found.export.weights, found.export.backbone) == ("w", "w", "net")


def test_a_folder_has_its_own_weights() -> None:
    known, found = make_candidates(options(backbones=["net", "some/tuned/"], weights="w"))
    assert (known.name, found.name) == ("net", "tuned")
    assert (found.train.backbone, found.train.weights) == ("some/tuned/", None)
    assert (found.export.backbone, found.export.weights) == ("some/tuned/", None)
    with pytest.raises(UsageError, match="net"):
        make_candidates(options(backbones=["net", "some/net"]))


@pytest.mark.parametrize("backbones", [(), ("a", ""), ("a", "b", "a")])
def test_backbones_that_cannot_be(backbones: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="--backbones"):
        options(backbones=backbones)


@pytest.mark.parametrize("name", ["input", "test", "output"])
def test_empty_places(name: str) -> None:
    with pytest.raises(UsageError, match=f"--{name}"):
        options(**{name: " "})


@pytest.mark.parametrize(
    ("trained", "tested", "named"),
    [
        ({"Apple": 9}, {"Apple"}, "--input"),
        ({"Apple": 9, "Pear": 1}, {"Apple"}, "Pear"),
        ({"Apple": 9, "Pear": 2}, {"Apple", "Fig"}, "Fig"),
    ],
)
def test_classes_that_cannot_be(trained: dict[str, int], tested: set[str], named: str) -> None:
    with pytest.raises(InputError, match=named) as raised:
        check_classes(options(), trained, tested)
    assert "\n" not in str(raised.value)


def test_classes_that_can_be() -> None:
    counts = count_classes(
        {"Apple 1": 5, "Apple 2": 4, "Pear": 2}, {"Apple 1": "Apple", "Apple 2": "Apple", "Pear": "P"}
    )
    assert counts == {"Apple": 9, "P": 2}
    check_classes(options(), counts, {"Apple"})


@pytest.mark.parametrize(
    ("names", "fits"),
    [
        (set(), True),
        ({"a", ".hidden"}, True),
        ({"a", "compare.json", "compare.html", "my-notes"}, True),
        ({"a", "features"}, False),
        ({"compare.html", "thesis.doc"}, False),
    ],
)
def test_outputs(names: set[str], fits: bool) -> None:
    found: OrchardError | None = None
    try:
        check_output("report", names, {"a", "b"})
    except OutputError as error:
        found = error
    assert (found is None) == fits


def test_spaces_around_names_do_not_matter() -> None:
    assert CompareOptions(input="a", test="b", backbones=["x", " y "], output="c").backbones == ("x", "y")  # type: ignore[arg-type]
