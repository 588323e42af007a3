from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchard.errors import UsageError
from orchard.options import JobOptions, job_options

POSITIVE = st.none() | st.integers(1, 10**6)
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1).filter(
    lambda text: text.strip() and not text.startswith("-")
)


@given(
    st.builds(
        JobOptions,
        input=WORDS,
        output=WORDS,
        varieties=POSITIVE,
        per_variety=POSITIVE,
        partitions=POSITIVE,
        chunk=POSITIVE,
        variance=st.floats(0, 1, exclude_min=True),
        runtime=st.sampled_from(["litert", "tensorflow"]),
        weights=st.none() | WORDS,
        resume=st.booleans(),
        since_last=st.booleans(),
        max_rejected=st.floats(0, 1),
        master=st.none() | WORDS,
    )
)
def test_arguments_give_the_options_back(options: JobOptions) -> None:
    assert job_options(options.to_args()) == options


def test_defaults_are_left_out_of_arguments() -> None:
    assert JobOptions(input="in", output="out").to_args() == ["--input", "in", "--output", "out"]
    assert job_options(["--input", "in", "--output", "out", "--components", "9"]).components == 9
    assert JobOptions(input="in", output="out", since_last=True, refit=True).to_args()[4:] == [
        "--since-last",
        "--refit",
    ]
    assert JobOptions(input="in", output="out", overwrite=True).to_args()[4:] == ["--overwrite"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"partitions": 0}, "--partitions must be at least 1, not 0"),
        ({"per_variety": -1}, "--per-variety must be at least 1"),
        ({"components": 0}, "--components must be at least 1"),
        ({"variance": 0}, "--variance is a share above 0"),
        ({"variance": 90}, "not 90"),
        ({"max_rejected": -0.1}, "--max-rejected is a share"),
        ({"runtime": "torch"}, "litert, tensorflow, not 'torch'"),
        ({"input": " "}, "--input is empty"),
        ({"chunk": 0}, "--chunk must be at least 1"),
        (
            {"overwrite": True, "resume": True},
            "--overwrite starts again and --resume goes on from what is there: give one of the two",
        ),
        ({"overwrite": True, "since_last": True}, "--overwrite starts again and --since-last goes on"),
        ({"refit": True}, "--refit is for --since-last"),
    ],
)
def test_values_out_of_range_name_the_flag(wrong: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        JobOptions(**{"input": "in", "output": "out", **wrong})
