"""The options of train, evaluate, predict and export: the only definition of their flags.

Standard library only, so that a launcher can import it without Spark, NumPy or a model.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from orchard.errors import UsageError
from orchard.options import JobOptions, Options, RaisingParser, add_job_arguments, check_texts, flag

# Values of --labels that name no CSV file.
LABEL_RULES = FOLDER, FIRST_WORD = "folder", "first-word"
CLASS_WEIGHTS, QUANTIZATIONS = ("balanced", "none"), ("none", "float16", "int8")


def parse_words(parser: argparse.ArgumentParser, words: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse a command line, the process's own if None; flags may stand before and between the photos of `predict`.

    argparse itself ends a list of arguments at the first flag.
    """
    found, rest = parser.parse_known_args(words)
    end = rest.index("--") if "--" in rest else len(rest)
    photos = getattr(found, "photos", None)  # of export, a folder
    if rest and (not isinstance(photos, list) or any(word[:1] == "-" for word in rest[:end])):
        advice = " (photos whose names begin with - go after --)" if isinstance(photos, list) else ""
        parser.error(f"unrecognized arguments: {' '.join(rest)}{advice}")
    if isinstance(photos, list):
        found.photos = [*photos, *rest[:end], *rest[end + 1 :]]
    return found


def _check_share(name: str, value: float, *, zero: bool = False, one: bool = False) -> None:
    if not (0 < value < 1 or (zero and value == 0) or (one and value == 1)):
        limits = f"from {0 if zero else 'above 0'} {'up to' if one else 'to below'} 1"
        raise UsageError(f"{flag(name)} is a fraction {limits}, not {value:g}")


@dataclass(frozen=True, kw_only=True)
class TrainOptions(Options):
    """What one training does, see `add_train_arguments`; a `UsageError` for values that cannot work."""

    features: str
    output: str
    labels: str = FOLDER
    test: str | None = None
    holdout: float | None = None
    random_split: bool = False
    class_weight: str = "balanced"
    regularization: float | None = None
    folds: int = 5
    variance: float = 0.90
    components: int | None = None
    precision: float = 0.99
    familiar: float = 0.8
    master: str | None = None

    def __post_init__(self) -> None:
        for name in ("variance", "precision"):
            _check_share(name, getattr(self, name), one=True)
        _check_share("familiar", self.familiar, one=True)
        if self.holdout is not None:
            _check_share("holdout", self.holdout, zero=True)
        if self.test is not None and (self.holdout or self.random_split):
            raise UsageError("--test is what the classifier is evaluated on: it excludes --holdout and --random-split")
        if self.random_split and self.held_out == 0:
            raise UsageError("--random-split says how to hold out: it excludes --holdout 0")
        if self.regularization is not None and not 0 < self.regularization < float("inf"):
            raise UsageError(f"--regularization must be above 0, not {self.regularization:g}")
        if self.folds < 2:
            raise UsageError(f"--folds must be at least 2, not {self.folds}")
        if self.components is not None and self.components < 1:
            raise UsageError(f"--components must be at least 1, not {self.components}")
        check_texts(self)

    @property
    def held_out(self) -> float:
        """The fraction of the photos that is held out to evaluate on."""
        return 0.0 if self.test is not None else 0.2 if self.holdout is None else self.holdout


def add_train_arguments(parser: argparse.ArgumentParser) -> None:
    """Give `parser` every flag of a training."""
    add, default = parser.add_argument, TrainOptions
    add("--features", required=True, metavar="URI", help="output of `orchard run`: what to train on")
    add("--output", required=True, metavar="URI", help="where the classifier goes; one that is there is replaced")
    text = "classes: `folder` (each label), `first-word` (of the label), or a CSV file of label,class (default folder)"
    add("--labels", default=default.labels, metavar="RULE", help=text)
    tested = parser.add_mutually_exclusive_group()
    tested.add_argument("--test", metavar="URI", help="another output of `orchard run`: what to evaluate on")
    text = "fraction to hold out and to evaluate on, whole labels where a class has several (default 0.2; 0: none)"
    tested.add_argument("--holdout", type=float, metavar="FRACTION", help=text)
    text = "hold out photos at random; neighbouring frames get on both sides, and the accuracy means little"
    add("--random-split", action="store_true", help=text)
    text = "`balanced` gives every class the same weight, `none` every photo (default %(default)s)"
    add("--class-weight", choices=CLASS_WEIGHTS, default=default.class_weight, help=text)
    text = "of the coefficients, as pyspark.ml's regParam (default: by cross-validation)"
    add("--regularization", type=float, metavar="LAMBDA", help=text)
    add("--folds", type=int, default=default.folds, metavar="N", help="of cross-validation (default %(default)s)")
    kept = parser.add_mutually_exclusive_group()
    text = "fraction of the variance to retain (default %(default)s)"
    kept.add_argument("--variance", type=float, default=default.variance, metavar="FRACTION", help=text)
    kept.add_argument("--components", type=int, metavar="K", help="keep exactly K components instead")
    text = "wanted share of right answers: less probable ones become `unsure` (default %(default)s)"
    add("--precision", type=float, default=default.precision, metavar="FRACTION", help=text)
    text = "share of photos of labels it was not trained on that should count as familiar (default %(default)s)"
    add("--familiar", type=float, default=default.familiar, metavar="FRACTION", help=text)
    add("--master", metavar="URL", help="Spark master (default: spark-submit's own, else local[*])")


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(Options):
    """What one evaluation does, see `add_evaluate_arguments`; a `UsageError` for values that cannot work."""

    classifier: str
    features: str
    output: str
    labels: str | None = None
    unfamiliar: str | None = None

    def __post_init__(self) -> None:
        check_texts(self)


def add_evaluate_arguments(parser: argparse.ArgumentParser) -> None:
    """Give `parser` every flag of an evaluation."""
    add = parser.add_argument
    add("classifier", metavar="CLASSIFIER", help="output of `orchard train`")
    add("--features", required=True, metavar="URI", help="output of `orchard run`: what to evaluate on")
    add("--output", required=True, metavar="URI", help="where evaluation.json and evaluation.html go")
    add("--labels", metavar="RULE", help="classes, as of `orchard train` (default: the classifier's own rule)")
    text = "output of `orchard run` on photos of none of the classes: how many are flagged as unfamiliar"
    add("--unfamiliar", metavar="URI", help=text)


@dataclass(frozen=True, kw_only=True)
class PredictOptions(Options):
    """What one prediction does, see `add_predict_arguments`; a `UsageError` for flags that do not go together."""

    positional: ClassVar[Mapping[str, str]] = {**Options.positional, "photos": "PHOTO"}
    classifier: str
    photos: tuple[str, ...] = ()
    input: str | None = None
    output: str | None = None
    backbone: str | None = None
    weights: str | None = None
    partitions: int | None = None
    overwrite: bool = False
    keep_removed: bool = False
    max_rejected: float = 1.0
    master: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "photos", tuple(self.photos))
        if bool(self.photos) == (self.input is not None) or (self.input is None) != (self.output is None):
            raise UsageError("give photos, or --input and --output")
        spark = "partitions", "master", "overwrite", "keep_removed", "max_rejected"
        if self.photos and (wrong := [flag(name) for name in spark if name in self.given()]):
            raise UsageError(f"{', '.join(wrong)}: with --input and --output only, not with photos")
        if self.partitions is not None and self.partitions < 1:
            raise UsageError(f"--partitions must be at least 1, not {self.partitions}")
        _check_share("max_rejected", self.max_rejected, zero=True, one=True)
        check_texts(self)


def add_predict_arguments(parser: argparse.ArgumentParser) -> None:
    """Give `parser` every flag of a prediction."""
    add = parser.add_argument
    add("classifier", metavar="CLASSIFIER", help="output of `orchard train`")
    add("photos", nargs="*", default=[], metavar="PHOTO", help="photos to classify here and now, without Spark")
    add("--input", metavar="URI", help="folder of photos to classify on Spark")
    add("--output", metavar="URI", help="where the table predictions/ goes; it is brought up to date with the input")
    _add_backbone_argument(parser)
    add("--weights", metavar="DIR", help="baked weights (default: $ORCHARD_WEIGHTS, else what `orchard weights` made)")
    add("--partitions", type=int, metavar="P", help="Spark partitions (default: a few hundred photos each, at least 4)")
    add("--overwrite", action="store_true", help="start anew: replace the output instead of updating it")
    add("--keep-removed", action="store_true", help="keep the rows of photos that are no longer in the input")
    text = "fail when a greater fraction of the photos is rejected (default %(default)s: never)"
    add("--max-rejected", type=float, default=PredictOptions.max_rejected, metavar="FRACTION", help=text)
    add("--master", metavar="URL", help="Spark master (default: spark-submit's own, else local[*])")


@dataclass(frozen=True, kw_only=True)
class ExportOptions(Options):
    """What one export does, see `add_export_arguments`; a `UsageError` for values that cannot work."""

    classifier: str
    output: str
    quantize: str = "none"
    photos: str | None = None
    backbone: str | None = None
    weights: str | None = None

    def __post_init__(self) -> None:
        check_texts(self)


def add_export_arguments(parser: argparse.ArgumentParser) -> None:
    """Give `parser` every flag of an export."""
    add, default = parser.add_argument, ExportOptions
    add("classifier", metavar="CLASSIFIER", help="output of `orchard train`")
    add("--output", required=True, metavar="FILE", help="the LiteRT file, fruit.tflite for one")
    text = "store weights in 16 bits, or compute in 8 bits (default %(default)s: float32)"
    add("--quantize", choices=QUANTIZATIONS, default=default.quantize, help=text)
    text = "folder of photos to calibrate with and to measure on (default: where the classifier's photos were)"
    add("--photos", metavar="URI", help=text)
    _add_backbone_argument(parser)
    add("--weights", metavar="DIR", help="baked weights (default: $ORCHARD_WEIGHTS, else what `orchard weights` made)")


def _add_backbone_argument(parser: argparse.ArgumentParser) -> None:
    text = "the network of the classifier's features: a name, or the path of a baked folder (default: by the name)"
    parser.add_argument("--backbone", metavar="NAME", help=text)


# What a launcher can start: the options of each command, and what gives a parser their flags.
COMMANDS: Mapping[str, tuple[type[Options], Callable[[argparse.ArgumentParser], None]]] = {
    "run": (JobOptions, add_job_arguments),
    "train": (TrainOptions, add_train_arguments),
    "evaluate": (EvaluateOptions, add_evaluate_arguments),
    "predict": (PredictOptions, add_predict_arguments),
    "export": (ExportOptions, add_export_arguments),
}


def parse_options(command: str, words: Sequence[str]) -> Options:
    """The options in the arguments of a command, or `UsageError`; the inverse of `Options.to_args`."""
    options, add_arguments = COMMANDS[command]
    parser = RaisingParser(add_help=False, allow_abbrev=False)
    add_arguments(parser)
    return options.of(parse_words(parser, words))
