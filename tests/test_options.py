from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchard.classifier.options import parse_options
from orchard.errors import UsageError
from orchard.options import JobOptions

POSITIVE = st.none() | st.integers(1, 10**6)
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1).filter(
    lambda text: text.strip() and not text.startswith("-")
)

MASTERS = [
    "local",
    "local[2]",
    "local[*]",
    "local[2,1]",
    "local[*, 3]",
    "local-cluster[2,1,1024]",
    "spark://a:7077,b:1",
]
MASTERS += ["spark://[::1]:7077", "yarn", "k8s://https://h:443", "k8s://h"]

WRONG_MASTERS = [
    "",
    " ",
    "bogus",
    "local[x]",
    "local[0]",
    "local[]",
    "spark://",
    "spark://host",
    "yarn-client",
    "k8s://",
]


@given(
    st.builds(
        JobOptions,
        input=WORDS,
        output=WORDS,
        varieties=POSITIVE,
        per_variety=POSITIVE,
        partitions=POSITIVE,
        variance=st.floats(0, 1, exclude_min=True),
        runtime=st.sampled_from(["litert", "tensorflow"]),
        weights=st.none() | WORDS,
        keep_model=st.booleans(),
        keep_removed=st.booleans(),
        max_rejected=st.floats(0, 1),
        master=st.none() | st.sampled_from(MASTERS),
    )
)
def test_arguments_give_the_options_back(options: JobOptions) -> None:
    assert parse_options("run", options.to_args()) == options


def test_defaults_are_left_out_of_arguments() -> None:
    assert JobOptions(input="in", output="out").to_args() == ["--input", "in", "--output", "out"]
    found = parse_options("run", ["--input", "in", "--output", "out", "--components", "9"])
    assert found == JobOptions(input="in", output="out", components=9)
    assert JobOptions(input="in", output="out", overwrite=True).to_args()[4:] == ["--overwrite"]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"partitions": 0}, "--partitions"),
        ({"per_variety": -1}, "--per-variety"),
        ({"components": 0}, "--components"),
        ({"variance": 0}, "--variance"),
        ({"variance": 90}, "90"),
        ({"max_rejected": -0.1}, "--max-rejected"),
        ({"input": " "}, "--input"),
        ({"weights": ""}, "--weights"),
        *(({"master": master}, "--master") for master in WRONG_MASTERS),
        ({"overwrite": True, "keep_model": True}, "--keep-model"),
        ({"overwrite": True, "keep_removed": True}, "--keep-removed"),
    ],
)
def test_job_options_refused_name_the_flag(wrong: dict, named: str) -> None:
    with pytest.raises(UsageError, match=named):
        JobOptions(**{"input": "in", "output": "out", **wrong})


@pytest.mark.parametrize("gone", ["--resume", "--since-last", "--refit", "--chunk"])
def test_job_options_of_former_versions_are_unknown(gone: str) -> None:
    with pytest.raises(UsageError, match=gone):
        parse_options("run", ["--input", "in", "--output", "out", gone])
