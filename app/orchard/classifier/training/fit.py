"""The fit of one training on Spark, readable top-down: scale and reduce, choose the regularization, fit, calibrate."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pyspark import SparkContext

from orchard.classifier import inputs
from orchard.classifier.model import Model
from orchard.classifier.options import TrainOptions
from orchard.classifier.training import logistic
from orchard.classifier.training.calibration import Threshold, best_temperature, choose_limit, choose_threshold
from orchard.classifier.training.logistic import Head
from orchard.classifier.training.passes import COARSE, Passes
from orchard.classifier.training.rows import FileRows
from orchard.classifier.training.totals import add_up
from orchard.classifier.training.training_set import TrainingSet
from orchard.classifier.training.trials import HeldOut
from orchard.console import Reporter
from orchard.pca import projection
from orchard.pca.projection import Projection
from orchard.report.text import percent

# Cross-validation goes from strong to weak, each fit starting where the one before ended, and stops when the smallest
# loss was so many fits ago. A weaker one must be better by such a share.
REGULARIZATIONS = tuple(10 ** (1 - power / 2) for power in range(15))
MOST_WORSE, SMALLER = 3, 1e-4


@dataclass(frozen=True)
class Fitted:
    """A model, its temperature, and what `classifier.json` says of the fit."""

    model: Model
    temperature: float
    facts: dict[str, Any]


@dataclass(frozen=True)
class Tried:
    """A regularization that was tried, the folds' heads at it, and their mean negative log likelihood."""

    regularization: float
    heads: list[Head]
    loss: float


@dataclass(frozen=True)
class Training:
    """A training whose Spark context is open. Its steps, in order, are those of `finish`."""

    options: TrainOptions
    chosen: TrainingSet
    context: SparkContext
    reporter: Reporter

    def finish(self) -> Fitted:
        """Fit, calibrate, and choose when to answer."""
        reduced, references = self._reduce()
        self.reporter.log(f"{len(reduced.mean):,} features reduced to {reduced.k:,} components")
        with self._passes(reduced) as passes:
            tried = self._try(passes)
            best = choose(tried)
            temperature, held_out = self._calibrate(passes, best, references)
            head = passes.solve([passes.problem(best.regularization)])[0]
            self._warn(tried, best, passes.unfinished)
        limit, threshold = self._decide(held_out)
        model = Model(
            projection=reduced,
            coefficients=head.coefficients / temperature,
            intercepts=head.intercepts / temperature,
            classes=self.chosen.names,
            references=references,
            threshold=threshold.value,
            limit=limit,
            settings=dict(sorted(self.chosen.features.features.settings.items())),
        )
        return Fitted(model, temperature, self._facts(tried, best, threshold))

    def _passes(self, reduced: Projection) -> Passes:
        store, classes, weight = self.chosen.features.store, len(self.chosen.names), self.options.class_weight
        return Passes(self.context, store, self._rows, reduced, classes, class_weight=weight)

    def _calibrate(self, passes: Passes, best: Tried, references: npt.NDArray[np.float32]) -> tuple[float, HeldOut]:
        """The temperature, and what the heads of the folds say at it of photos that they have not seen."""
        heads = passes.solve([passes.problem(best.regularization, fold) for fold in self._folds], best.heads)
        temperature = best_temperature(lambda value: _mean_loss(passes, heads, value))
        return temperature, passes.held_out(heads, references, self.chosen.reference_places, temperature)

    @property
    def _rows(self) -> list[FileRows]:
        """What is known of the rows of each file of features."""
        chosen, start, found = self.chosen, 0, []
        codes = np.where(chosen.split.folds == inputs.BETWEEN_FOLDS, logistic.BETWEEN_FOLDS, -1)
        folds = np.where(chosen.split.folds >= 0, chosen.split.folds, codes).astype(np.int32)
        for file in chosen.photos.files:
            part = slice(start, start + file.rows)
            columns = (chosen.class_numbers, folds, chosen.references, chosen.places)
            found.append(FileRows(file.key, *(column[part] for column in columns)))
            start += file.rows
        return found

    def _reduce(self) -> tuple[Projection, npt.NDArray[np.float32]]:
        """Scaling and PCA, and the references, float32 (references, features), in one pass."""
        chosen, options = self.chosen, self.options
        store, count = chosen.features.store, len(chosen.reference_places)
        total = add_up(self.context, store, self._rows, chosen.feature_size, count)
        reduced = projection.fit(total.moments, variance=options.variance, components=options.components)
        return reduced, np.asarray(total.sums / total.counts[:, np.newaxis], np.float32)

    @property
    def _folds(self) -> range:
        return range(int(self.chosen.split.folds.max()) + 1)

    def _try(self, passes: Passes) -> list[Tried]:
        """Try regularizations by cross-validation, or only the one that was asked for."""
        heads, tried = None, list[Tried]()
        for regularization in [self.options.regularization] if self.options.regularization else REGULARIZATIONS:
            heads = passes.solve([passes.problem(regularization, fold) for fold in self._folds], heads, COARSE)
            tried.append(Tried(regularization, heads, _mean_loss(passes, heads)))
            self.reporter.log(f"cross-validation: regularization {regularization:.2g}: loss {tried[-1].loss:.4f}")
            if len(tried) - tried.index(choose(tried)) > MOST_WORSE:
                break
        return tried

    def _warn(self, tried: list[Tried], best: Tried, unfinished: int) -> None:
        if len(tried) > 1 and best.regularization in (REGULARIZATIONS[0], REGULARIZATIONS[-1]):
            what = f"the best regularization, {best.regularization:.2g}, is the last one tried"
            self.reporter.log(f"warning: {what}: give --regularization, or photos that differ more")
        if unfinished:
            self.reporter.log(f"warning: {unfinished} fits were not finished: give a larger --regularization")

    def _decide(self, held_out: HeldOut) -> tuple[float, Threshold]:
        """The limit of what is familiar, and the threshold of answers, on photos within the limit."""
        wanted, limit = self.options.precision, choose_limit(held_out.distances, self.options.familiar)
        familiar = held_out.distances <= limit
        threshold = choose_threshold(held_out.probabilities[familiar], held_out.right[familiar], wanted)
        if threshold.precision < wanted:
            best = f"best on held-out photos is {percent(threshold.precision)} of right answers"
            self.reporter.log(
                f"warning: --precision {wanted:g} is not reached: {best}, for {percent(threshold.coverage)} of them"
            )
        return limit, threshold

    def _facts(self, tried: list[Tried], best: Tried, threshold: Threshold) -> dict[str, Any]:
        return {
            "regularization": best.regularization,
            "cross_validation": [{"regularization": one.regularization, "loss": one.loss} for one in tried],
            "precision": {
                "wanted": self.options.precision,
                "reached": threshold.precision,
                "coverage": threshold.coverage,
            },
            "familiar": self.options.familiar,
        }


def choose(tried: list[Tried]) -> Tried:
    """The one with the smallest loss; of those that are nearly as good, the first, which is the strongest."""
    least = min(one.loss for one in tried)
    return next(one for one in tried if one.loss <= least * (1 + SMALLER))


def _mean_loss(passes: Passes, heads: list[Head], temperature: float = 1.0) -> float:
    losses, weight = passes.losses(heads, [temperature])
    return float(losses[0] / weight)
