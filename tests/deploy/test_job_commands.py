"""The job's commands as the launchers know them: arguments to options and back, and what they read."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchard.classifier.options import EvaluateOptions, ExportOptions, PredictOptions, TrainOptions
from orchard.errors import UsageError
from orchard.options import JobOptions, Options
from orchard_deploy.job_commands import further_places, parse, to_words

WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1).filter(
    lambda text: text.strip() and not text.startswith("-")
)
MAYBE, NUMBERS = st.none() | WORDS, st.none() | st.integers(1, 10**6)
MASTERS = st.none() | st.sampled_from(["local[4]", "local[*]", "spark://host:7077", "yarn", "k8s://https://host:443"])
SHARES = st.floats(0, 1, exclude_min=True)
TRAIN = {
    "features": WORDS,
    "output": WORDS,
    "labels": WORDS,
    "class_weight": st.sampled_from(["balanced", "none"]),
    "regularization": st.none() | st.floats(0, 1e9, exclude_min=True),
    "folds": st.integers(2, 50),
    "precision": SHARES,
    "familiar": SHARES,
    "master": MASTERS,
}
HELD_OUT = st.none() | st.floats(0, 1, exclude_min=True, exclude_max=True)
OPTIONS = {
    "run": st.builds(JobOptions, input=WORDS, output=WORDS, varieties=NUMBERS, overwrite=st.booleans()),
    "train": st.one_of(
        st.builds(TrainOptions, **TRAIN, holdout=HELD_OUT, random_split=st.booleans(), variance=SHARES),
        st.builds(TrainOptions, **TRAIN, test=WORDS, components=NUMBERS),
    ),
    "evaluate": st.builds(
        EvaluateOptions, classifier=WORDS, features=WORDS, output=WORDS, labels=MAYBE, unfamiliar=MAYBE
    ),
    "predict": st.one_of(
        st.builds(PredictOptions, classifier=WORDS, photos=st.lists(WORDS, min_size=1), weights=MAYBE),
        st.builds(
            PredictOptions,
            classifier=WORDS,
            input=WORDS,
            output=WORDS,
            partitions=NUMBERS,
            overwrite=st.booleans(),
            keep_removed=st.booleans(),
            max_rejected=st.floats(0, 1),
            master=MASTERS,
        ),
    ),
    "export": st.builds(
        ExportOptions,
        classifier=WORDS,
        output=WORDS,
        quantize=st.sampled_from(["none", "float16", "int8"]),
        photos=MAYBE,
        weights=MAYBE,
    ),
}


@given(st.sampled_from(list(OPTIONS)).flatmap(lambda name: st.tuples(st.just(name), OPTIONS[name])))
def test_parse_of_to_words_gives_the_options_back(case: tuple[str, Options]) -> None:
    name, options = case
    words = to_words(name, options)
    named = words[:1] == [name] and name != "run"
    assert named == (name != "run")
    assert parse(name, words[named:], input=None, output=None) == options


@pytest.mark.parametrize(
    ("name", "words", "expected"),
    [
        ("run", ["--varieties", "5"], ["--input", "in", "--output", "out", "--varieties", "5"]),
        ("train", ["--folds", "3"], ["train", "--features", "in", "--output", "out", "--folds", "3"]),
        ("evaluate", ["c"], ["evaluate", "c", "--features", "in", "--output", "out"]),
        ("predict", ["c", "--overwrite"], ["predict", "c", "--input", "in", "--output", "out", "--overwrite"]),
        ("export", ["c"], ["export", "c", "--output", "out"]),
    ],
)
def test_parse_puts_input_and_output_where_the_command_wants_them(
    name: str, words: list[str], expected: list[str]
) -> None:
    assert to_words(name, parse(name, words, input="in", output="out")) == expected


@pytest.mark.parametrize(
    ("name", "arguments", "extra", "expected"),
    [
        ("run", ["--varieties", "5"], ["--varieties", "6"], ["--input", "in", "--output", "out", "--varieties", "6"]),
        ("export", ["c", "--quantize", "int8"], ["d"], ["export", "d", "--output", "out", "--quantize", "int8"]),
        ("export", ["c"], ["--quantize", "int8"], ["export", "c", "--output", "out", "--quantize", "int8"]),
        ("export", [], ["d"], ["export", "d", "--output", "out"]),
        ("export", ["c"], [], ["export", "c", "--output", "out"]),
    ],
)
def test_parse_lets_extra_arguments_win(name: str, arguments: list[str], extra: list[str], expected: list[str]) -> None:
    assert to_words(name, parse(name, arguments, *extra, input="in", output="out")) == expected


@pytest.mark.parametrize(
    ("name", "words", "named"),
    [
        ("run", ["--holdout", "0.2"], "--holdout"),
        ("train", ["--runtime", "litert"], "--runtime"),
        ("train", ["--test", "t", "--holdout", "0.2"], "--holdout"),
        ("train", ["--test", "t", "--random-split"], "--random-split"),
        ("train", ["--variance", "0.9", "--components", "9"], "--components"),
        ("train", ["c"], "c"),
        ("train", ["c", "d"], "c d"),
        ("evaluate", [], "CLASSIFIER"),
        ("evaluate", ["c", "d"], "d"),
        ("predict", ["c", "photo.jpg"], "photos"),
        ("predict", ["c", "--nope", "x"], "--nope"),
        ("export", ["c", "--quantize", "int4"], "--quantize"),
        ("export", ["c", "--features", "in"], "--features"),
    ],
)
def test_parse_refuses_in_one_line(name: str, words: list[str], named: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(name, words, input="in", output="out")
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "words", "expected"),
    [
        ("run", [], {}),
        ("train", [], {}),
        ("train", ["--labels", "first-word"], {}),
        ("train", ["--labels", "a.csv", "--test", "t"], {"--labels": "a.csv", "--test": "t"}),
        ("evaluate", ["c", "--unfamiliar", "u"], {"CLASSIFIER": "c", "--unfamiliar": "u"}),
        ("predict", ["c"], {"CLASSIFIER": "c"}),
        ("export", ["c", "--photos", "p"], {"CLASSIFIER": "c", "--photos": "p"}),
    ],
)
def test_further_places(name: str, words: list[str], expected: dict[str, Any]) -> None:
    options = parse(name, words, input="in", output="out")
    assert {options.shown(option): place for option, place in further_places(name, options)} == expected


def test_further_places_of_predict_are_its_photos_too() -> None:
    options = parse("predict", ["c", "a.jpg", "b.jpg"], input=None, output=None)
    places = [("classifier", "c"), ("photos", "a.jpg"), ("photos", "b.jpg")]
    assert list(further_places("predict", options)) == places
    options = parse("predict", ["c", "a.jpg", "--weights", "w", "b.jpg"], input=None, output=None)
    assert options == PredictOptions(classifier="c", photos=("a.jpg", "b.jpg"), weights="w")


def test_parse_needs_no_numpy() -> None:
    code = "import sys, orchard_deploy.job_commands, orchard_deploy.__main__; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "scipy", "pyarrow", "pyspark", "tensorflow"} & set(modules)
