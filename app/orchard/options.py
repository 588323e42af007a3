"""What the options of all commands share, and those of `run`: the only definition of its flags, for launchers, too.

Standard library only, so that a launcher can import it without Spark, NumPy or a model.
"""

import argparse
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, NoReturn, Self

from orchard.errors import UsageError

RUNTIMES = ("litert", "tensorflow")
# Spark would say of another one that its JVM is gone, or nothing for a minute.
_MASTER = re.compile(
    r"local(\[([1-9]\d*|\*)(\s*,\s*\d+)?\])?|local-cluster\[\s*\d+\s*,\s*\d+\s*,\s*\d+\s*\]"
    r"|spark://[^/\s]+:\d+|yarn|(k8s|mesos)://\S+"
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the options of every command can do; `positional` are those without a flag, with their names in the help."""

    positional: ClassVar[Mapping[str, str]] = {"classifier": "CLASSIFIER"}

    @classmethod
    def of(cls, namespace: argparse.Namespace) -> Self:
        """The options in a parsed command line."""
        return cls(**{field.name: getattr(namespace, field.name) for field in fields(cls)})

    def given(self) -> dict[str, Any]:
        """The options that are not the defaults, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {field.name: values[field.name] for field in fields(self) if values[field.name] != field.default}

    def to_args(self) -> list[str]:
        """The command-line arguments that give these options back; defaults are left out."""
        words: list[str] = []
        for option, value in self.given().items():
            values = [] if value is True else list(value) if isinstance(value, tuple) else [str(value)]
            words += values if option in self.positional else [flag(option), *values]
        return words

    def shown(self, option: str) -> str:
        """An option as the help of its command has it: its flag, or the name of what needs none."""
        return self.positional.get(option, flag(option))


@dataclass(frozen=True, kw_only=True)
class JobOptions(Options):
    """What one run does, see `add_job_arguments`; a `UsageError` for values that cannot work."""

    input: str
    output: str
    varieties: int | None = None
    per_variety: int | None = None
    partitions: int | None = None
    variance: float = 0.90
    components: int | None = None
    backbone: str = "mobilenet_v2"
    runtime: str = "litert"
    weights: str | None = None
    overwrite: bool = False
    keep_model: bool = False
    keep_removed: bool = False
    max_rejected: float = 1.0
    master: str | None = None

    def __post_init__(self) -> None:
        for name in ("varieties", "per_variety", "partitions", "components"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{flag(name)} must be at least 1, not {value}")
        if not 0 < self.variance <= 1:
            raise UsageError(f"--variance is a fraction above 0 and up to 1, not {self.variance:g}")
        if not 0 <= self.max_rejected <= 1:
            raise UsageError(f"--max-rejected is a fraction from 0 to 1, not {self.max_rejected:g}")
        if self.overwrite and (self.keep_model or self.keep_removed):
            raise UsageError("--overwrite starts anew: it excludes --keep-model and --keep-removed")
        check_texts(self)


def check_texts(options: Options) -> None:
    """Raise `UsageError` for a text of any option that is empty, or a master that Spark does not know."""
    for field in fields(options):
        value = getattr(options, field.name)
        texts = value if isinstance(value, tuple) else (value,)
        if any(isinstance(text, str) and not text.strip() for text in texts):
            raise UsageError(f"{options.shown(field.name)} is empty: give a value, or leave it out")
    master = getattr(options, "master", None)
    if master is not None and not _MASTER.fullmatch(master):
        raise UsageError(f"--master {master}: give local[N], local[*], spark://HOST:PORT, yarn or k8s://URL")


def flag(name: str) -> str:
    """`per_variety` -> `--per-variety`."""
    return "--" + name.replace("_", "-")


def add_job_arguments(parser: argparse.ArgumentParser) -> None:
    """Give `parser` every flag of a run."""
    add, default = parser.add_argument, JobOptions
    add("--input", required=True, metavar="URI", help="folder of photos, one sub-folder a variety")
    add("--output", required=True, metavar="URI", help="where the tables, the model and the report go")
    add("--varieties", type=int, metavar="N", help="only the first N varieties, by name")
    add("--per-variety", type=int, metavar="M", help="only the first M photos of each variety")
    add("--partitions", type=int, metavar="P", help="Spark partitions (default: a few hundred photos each, at least 4)")
    kept = parser.add_mutually_exclusive_group()
    text = "fraction of the variance to retain (default %(default)s)"
    kept.add_argument("--variance", type=float, default=default.variance, metavar="FRACTION", help=text)
    kept.add_argument("--components", type=int, metavar="K", help="keep exactly K components instead")
    text = "network to use: a name, or the path of a baked folder (default %(default)s)"
    add("--backbone", default=default.backbone, metavar="NAME", help=text)
    add("--runtime", choices=RUNTIMES, default=default.runtime, help="what runs the network (default %(default)s)")
    text = "baked weights (default: $ORCHARD_WEIGHTS, else what `orchard weights` made)"
    add("--weights", metavar="DIR", help=text)
    add("--overwrite", action="store_true", help="start anew: replace the output instead of updating it")
    add("--keep-model", action="store_true", help="transform with the output's model instead of fitting it again")
    add("--keep-removed", action="store_true", help="keep the rows of photos that are no longer in the input")
    text = "fail when a greater fraction of the photos is rejected (default %(default)s: never)"
    add("--max-rejected", type=float, default=default.max_rejected, metavar="FRACTION", help=text)
    add("--master", metavar="URL", help="Spark master (default: spark-submit's own, else local[*])")


class RaisingParser(argparse.ArgumentParser):
    """A parser that never ends the process."""

    def error(self, message: str) -> NoReturn:
        """Raise `UsageError`."""
        raise UsageError(message)
