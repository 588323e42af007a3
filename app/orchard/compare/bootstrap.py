"""Intervals of accuracies by the bootstrap over labels. Pure NumPy.

Photos of one label are frames of one fruit and are right or wrong together: they are resampled together. So the
intervals say what other varieties would give, not other photos of these. The intervals are percentiles of the
resamples: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13; resampling whole clusters:
Davison and Hinkley, Bootstrap Methods and their Application (1997), section 3.8.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

RESAMPLES, SEED, LEVEL = 10_000, 0, 0.95
Numbers = npt.NDArray[np.float64]


class Interval(NamedTuple):
    """A value, and the limits of its interval at `LEVEL`; None where there is one label only."""

    value: float
    low: float | None
    high: float | None


def resample(labels: int, resamples: int = RESAMPLES, seed: int = SEED) -> Numbers:
    """How often each label is drawn in each resample, float64 (resamples, labels): `labels` of them, repeats allowed.

    The same for all backbones, so that their differences can be resampled, too.
    """
    drawn = np.random.default_rng(seed).integers(0, labels, (resamples, labels))
    flat = (drawn + labels * np.arange(resamples)[:, np.newaxis]).ravel()
    return np.bincount(flat, minlength=resamples * labels).reshape(resamples, labels).astype(np.float64)


def accuracies(draws: Numbers, photos: Numbers, right: Numbers) -> Numbers:
    """Accuracy of each resample (resamples,), of photos and right answers by label, (labels,) each."""
    return np.asarray((draws @ right) / (draws @ photos))


def balanced_accuracies(draws: Numbers, photos: Numbers, right: Numbers, classes: npt.NDArray[np.intp]) -> Numbers:
    """Mean recall of the classes that occur in each resample (resamples,); `classes` are numbers from 0 by label."""
    of_class = np.eye(classes.max() + 1)[classes]
    occur = draws @ (photos[:, np.newaxis] * of_class)
    recall = np.divide(draws @ (right[:, np.newaxis] * of_class), occur, out=np.zeros_like(occur), where=occur > 0)
    return np.asarray(recall.sum(axis=1) / (occur > 0).sum(axis=1))


def interval(value: float, resampled: Numbers, labels: int) -> Interval:
    """The percentile interval of a value, of the same of each resample."""
    if labels < 2:
        return Interval(value, None, None)
    low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(value, float(low), float(high))
