"""The commands of the job that a specification can name: what each is given, and what it reads. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from orchard.classifier.options import LABEL_RULES, parse_options
from orchard.network.choice import is_folder
from orchard.options import Options, flag

RUN = "run"


@dataclass(frozen=True)
class Command:
    """What the launchers know of one command."""

    input: str | None  # the option that the specification's input is given to
    further: tuple[str, ...] = ()  # options that name what else it reads
    files: tuple[str, ...] = ()  # options that name one file, not a folder
    report: str | None = None  # what counts in the output how many photos it featurized, if it takes photos

    @property
    def photos(self) -> bool:
        """Whether the input is photos, each of which it may have to featurize."""
        return self.report is not None


COMMANDS = {
    RUN: Command("input", report="report.json"),
    "train": Command("features", ("labels", "test"), ("labels",)),
    "evaluate": Command("features", ("classifier", "labels", "unfamiliar"), ("labels",)),
    "predict": Command("input", ("classifier", "photos"), ("photos",), "predictions.json"),
    "export": Command(None, ("classifier", "photos"), ("output",)),
}


def parse(name: str, arguments: Sequence[str], *extra: str, input: str | None, output: str | None) -> Options:
    """The options of a command, or `UsageError`; `extra` arguments win, and `input` and `output` over all of them."""
    command = COMMANDS[name]
    if "classifier" in command.further and all(words and words[0][:1] != "-" for words in (arguments, extra)):
        arguments = arguments[1:]  # another classifier replaces it
    named = ((command.input, input), ("output", output))
    places = {option: place for option, place in named if option and place}
    flags = [word for option, place in places.items() for word in (flag(option), place)]
    return replace(parse_options(name, [*flags, *arguments, *extra]), **places)


def to_words(name: str, options: Options) -> list[str]:
    """What follows `orchard` on the command line that gives these options back; `run` itself is left out."""
    return [*([] if name == RUN else [name]), *options.to_args()]


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
            if option != "labels" or place not in LABEL_RULES:
                yield option, place
