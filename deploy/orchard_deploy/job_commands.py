"""The commands of the job that a specification can name: their flags, and which of them are locations. Pure."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from orchard.classifier import options as classifier
from orchard.classifier.options import EvaluateOptions, ExportOptions, PredictOptions, TrainOptions
from orchard.network.choice import is_folder
from orchard.options import JobOptions, RaisingParser, add_job_arguments, flag, parse_job_options

Options = JobOptions | TrainOptions | EvaluateOptions | PredictOptions | ExportOptions
RUN = "run"


@dataclass(frozen=True)
class Command:
    """What the launchers know of one command.

    Attributes:
        add_arguments, options: give a parser its flags, and the options of what it parsed.
        input: the option that the specification's input is given to; None where the command has none.
        further: options that name what else it reads; `files` are those that name one file, not a folder.
        report: name in the output of what counts the photos that it featurized; None for commands that take none.
    """

    add_arguments: Callable[[argparse.ArgumentParser], None]
    options: Callable[[argparse.Namespace], Options]
    input: str | None
    further: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    report: str | None = None

    @property
    def photos(self) -> bool:
        """Whether the input is photos, each of which it may have to featurize."""
        return self.report is not None


COMMANDS: Mapping[str, Command] = {
    RUN: Command(add_job_arguments, parse_job_options, "input", report="report.json"),
    "train": Command(
        classifier.add_train_arguments, TrainOptions.of, "features", further=("test", "labels"), files=("labels",)
    ),
    "evaluate": Command(
        classifier.add_evaluate_arguments,
        EvaluateOptions.of,
        "features",
        further=("classifier", "unfamiliar", "labels"),
        files=("labels",),
    ),
    "predict": Command(
        classifier.add_predict_arguments,
        PredictOptions.of,
        "input",
        further=("classifier", "photos"),
        files=("photos",),
        report="predictions.json",
    ),
    "export": Command(
        classifier.add_export_arguments, ExportOptions.of, None, further=("classifier", "photos"), files=("output",)
    ),
}


def parse(name: str, words: Sequence[str], *, input: str | None = None, output: str | None = None) -> Options:
    """The options of a command; `input` and `output` win over those in `words`.

    Raises:
        UsageError: a flag that the command does not know, or a value that it refuses.
    """
    command = COMMANDS[name]
    named = ((command.input, input), ("output", output))
    places: dict[str, Any] = {option: place for option, place in named if option and place}
    parser = RaisingParser(prog=f"orchard {name}", add_help=False, allow_abbrev=False)
    command.add_arguments(parser)
    flags = [word for option, place in places.items() for word in (flag(option), place)]
    return replace(command.options(classifier.parse_words(parser, [*flags, *words])), **places)


def join(name: str, arguments: Sequence[str], extra: Sequence[str]) -> list[str]:
    """The specification's arguments and further ones, which win.

    A classifier, the first argument of the commands that read one, takes the place of the specification's.
    """
    named = [words[:1] and not words[0].startswith("-") for words in (arguments, extra)]
    return [*(arguments[1:] if "classifier" in COMMANDS[name].further and all(named) else arguments), *extra]


def to_words(name: str, options: Options) -> list[str]:
    """What follows `orchard` on the command line that gives these options back; `run` itself is left out."""
    if isinstance(options, JobOptions):
        return options.to_args()
    values = classifier.given(options)
    named = [values.pop(option, ()) for option in positional(options)]
    words = [name, *(word for value in named for word in ([value] if isinstance(value, str) else value))]
    for option, value in values.items():
        words += [flag(option)] if value is True else [flag(option), str(value)]
    return words


def positional(options: Options) -> tuple[str, ...]:
    """The options that are given without a flag."""
    if isinstance(options, JobOptions | TrainOptions):
        return ()
    return ("classifier", "photos") if isinstance(options, PredictOptions) else ("classifier",)


def shown(options: Options, option: str) -> str:
    """An option as the help of its command has it."""
    return {"photos": "PHOTO"}.get(option, option.upper()) if option in positional(options) else flag(option)


def own_backbone(options: Options) -> Iterator[tuple[str, str]]:
    """Option and folder of weights of the user's own, if the options name one, on the machine that runs the job."""
    named = getattr(options, "backbone", None)
    if named and is_folder(named):
        yield "backbone", named


def further_places(name: str, options: Options) -> Iterator[tuple[str, str]]:
    """Option and location of all that a command reads beside its input."""
    for option in COMMANDS[name].further:
        value = getattr(options, option)
        for place in (value,) if isinstance(value, str) else value or ():
            if option != "labels" or place not in classifier.LABEL_RULES:
                yield option, place
