"""The flags of `orchard finetune`."""

import argparse
import contextlib
import io
from dataclasses import fields

import pytest
from orchard.cli import command_line
from orchard.errors import UsageError
from orchard.finetune.options import FinetuneOptions, add_arguments


def parse(*words: str) -> FinetuneOptions:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return FinetuneOptions.of(parser.parse_args(["--input", "a", "--output", "b", *words]))


def test_flags_and_options_have_the_same_defaults() -> None:
    assert parse() == FinetuneOptions(input="a", output="b")


@pytest.mark.parametrize(
    "words",
    [
        ("--blocks", "0"),
        ("--epochs", "0"),
        ("--batch", "-1"),
        ("--per-label", "0"),
        ("--patience", "0"),
        ("--seed", "-1"),
        ("--rate", "0"),
        ("--rate", "nan"),
        ("--holdout", "1"),
        ("--keep", "1"),
        ("--keep", "-0.1"),
        ("--output", " "),
    ],
)
def test_values_that_cannot_work(words: tuple[str, str]) -> None:
    with pytest.raises(UsageError, match=words[0]):
        parse(*words)


def test_recorded_leaves_out_where_things_are() -> None:
    names = {field.name for field in fields(FinetuneOptions)}
    assert names - parse().recorded().keys() == {"input", "output", "backbone", "weights", "overwrite"}


def test_the_command_line_has_all_commands() -> None:
    """Each package adds its own."""
    parser = command_line()
    for words in (["finetune", "--input", "a", "--output", "b"], ["compare", "--help"]):
        with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()) as printed:
            assert parser.parse_args(words).command
        assert "--help" not in words or "--backbones" in printed.getvalue()
