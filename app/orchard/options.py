"""The job's options: the only definition of its flags, for the command line and for launchers that build one.

Standard library only, so that a launcher can import it without Spark, NumPy or a model.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NoReturn

from orchard.errors import UsageError

RUNTIMES = ("litert", "tensorflow")


@dataclass(frozen=True, kw_only=True)
class JobOptions:
    """What one run does; see `add_job_arguments` for the meaning of each field.

    Raises:
        UsageError: a value outside its range, or options that exclude each other.
    """

    input: str
    output: str
    varieties: int | None = None
    per_variety: int | None = None
    partitions: int | None = None
    chunk: int | None = None
    variance: float = 0.90
    components: int | None = None
    backbone: str = "mobilenet_v2"
    runtime: str = "litert"
    weights: str | None = None
    overwrite: bool = False
    resume: bool = False
    since_last: bool = False
    refit: bool = False
    max_rejected: float = 1.0
    master: str | None = None

    def __post_init__(self) -> None:
        for name in ("varieties", "per_variety", "partitions", "chunk", "components"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{flag(name)} must be at least 1, not {value}")
        if not 0 < self.variance <= 1:
            raise UsageError(f"--variance is a share above 0 and up to 1, not {self.variance:g}")
        if not 0 <= self.max_rejected <= 1:
            raise UsageError(f"--max-rejected is a share from 0 to 1, not {self.max_rejected:g}")
        if self.runtime not in RUNTIMES:
            raise UsageError(f"--runtime is one of {', '.join(RUNTIMES)}, not {self.runtime!r}")
        if self.overwrite and (self.resume or self.since_last):
            other = "--resume" if self.resume else "--since-last"
            raise UsageError(f"--overwrite starts again and {other} goes on from what is there: give one of the two")
        if self.refit and not self.since_last:
            raise UsageError("--refit is for --since-last: any other run fits a model of its own")
        for name in ("input", "output"):
            if not getattr(self, name).strip():
                raise UsageError(f"{flag(name)} is empty")

    def to_args(self) -> list[str]:
        """The command-line arguments that give these options back; defaults are left out."""
        args: list[str] = []
        for field in fields(self):
            value = getattr(self, field.name)
            if value is True:
                args.append(flag(field.name))
            elif value is not False and value != field.default:
                args += [flag(field.name), str(value)]
        return args


def flag(name: str) -> str:
    """`per_variety` -> `--per-variety`."""
    return "--" + name.replace("_", "-")


def add_job_arguments(parser: argparse.ArgumentParser) -> None:
    """Give `parser` every flag of a run."""
    default = {field.name: field.default for field in fields(JobOptions)}
    parser.add_argument("--input", required=True, metavar="URI", help="folder of photos, one sub-folder a variety")
    parser.add_argument("--output", required=True, metavar="URI", help="where the tables, the model and the report go")
    parser.add_argument("--varieties", type=int, metavar="N", help="only the first N varieties, by name")
    parser.add_argument("--per-variety", type=int, metavar="M", help="only the first M photos of each variety")
    parser.add_argument(
        "--partitions",
        type=int,
        metavar="P",
        help="tasks to cut the work into (default 4; above 8,192 photos a multiple of 8)",
    )
    parser.add_argument(
        "--chunk",
        type=int,
        metavar="PHOTOS",
        help="photos after which work is kept for --resume (default: about a minute's work)",
    )
    kept = parser.add_mutually_exclusive_group()
    kept.add_argument(
        "--variance",
        type=float,
        default=default["variance"],
        metavar="SHARE",
        help="keep this share of the variance (default %(default)s)",
    )
    kept.add_argument("--components", type=int, metavar="K", help="keep exactly K components instead")
    parser.add_argument(
        "--backbone", default=default["backbone"], metavar="NAME", help="network to use (default %(default)s)"
    )
    parser.add_argument(
        "--runtime", choices=RUNTIMES, default=default["runtime"], help="what runs the network (default %(default)s)"
    )
    parser.add_argument(
        "--weights", metavar="DIR", help="baked weights (default: $ORCHARD_WEIGHTS, else what `orchard weights` made)"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace an earlier output once the new one is complete"
    )
    parser.add_argument("--resume", action="store_true", help="go on with a run that was cut off; without one, begin")
    parser.add_argument(
        "--since-last",
        action="store_true",
        help="extend the output by the photos that are new or changed since; without one, begin",
    )
    parser.add_argument("--refit", action="store_true", help="with --since-last: fit the model again, over all photos")
    parser.add_argument(
        "--max-rejected",
        type=float,
        default=default["max_rejected"],
        metavar="SHARE",
        help="fail when a greater share of the photos is rejected (default %(default)s: never)",
    )
    parser.add_argument("--master", metavar="URL", help="Spark master (default: spark-submit's own, else local[*])")


def parse_job_options(namespace: argparse.Namespace) -> JobOptions:
    """The options in a parsed command line."""
    return JobOptions(**{field.name: getattr(namespace, field.name) for field in fields(JobOptions)})


def job_options(args: Sequence[str]) -> JobOptions:
    """Parse the arguments of `orchard run`; the inverse of `JobOptions.to_args`.

    Raises:
        UsageError: an argument that is none of the job's, or a value it refuses.
    """
    parser = _RaisingParser(prog="orchard run", add_help=False, allow_abbrev=False)
    add_job_arguments(parser)
    return parse_job_options(parser.parse_args(args))


class _RaisingParser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message)
