"""When to trust an answer, from photos that the classifier was not trained on. Pure NumPy."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orchard.pca.moments import Matrix

# Share of the photos that are answered at least: the precision of fewer answers would be one of chance.
LEAST_COVERAGE = 0.1
TEMPERATURES = (0.05, 20.0)


@dataclass(frozen=True)
class Threshold:
    """The smallest probability of an answer, and what it gives on the photos that it was chosen on.

    `precision` is the share of right answers among all answers, `coverage` the share of photos that are answered.
    """

    value: float
    precision: float
    coverage: float


def best_temperature(loss: Callable[[float], float]) -> float:
    """The temperature with the smallest mean negative log likelihood `loss`, within `TEMPERATURES`, to 1e-6.

    Dividing logits by it keeps the answers and corrects their probabilities: Guo et al., "On Calibration of Modern
    Neural Networks" (2017).
    """
    import scipy.optimize  # type: ignore[import-untyped]

    lowest, highest = np.log(TEMPERATURES)
    # The loss is convex in 1 / temperature, so there is one minimum.
    found = scipy.optimize.minimize_scalar(
        lambda power: loss(float(np.exp(power))), bounds=(lowest, highest), method="bounded", options={"xatol": 1e-7}
    )
    return float(np.exp(found.x))


def choose_threshold(probabilities: Matrix, right: npt.NDArray[np.bool_], precision: float) -> Threshold:
    """The smallest threshold at which at least `precision` of the answers are right, else the one with the most.

    At least `LEAST_COVERAGE` are answered. `probabilities` (n,) are those of the most probable classes, `right` (n,)
    says which of these are true; n >= 1.
    """
    order = np.argsort(-probabilities, kind="stable")
    falling, answered = probabilities[order], np.arange(1, len(order) + 1)
    reached = np.cumsum(right[order]) / answered
    # Equal probabilities are answered together.
    possible = np.flatnonzero(np.append(falling[1:] < falling[:-1], True))
    wide = possible[answered[possible] >= LEAST_COVERAGE * len(order)]
    enough = wide[reached[wide] >= precision]
    last = int(enough[-1] if len(enough) else wide[np.argmax(reached[wide])])
    # Half-way to the next one: rounding in another run-time does not change an answer.
    value = float((falling[last] + falling[last + 1]) / 2) if last + 1 < len(order) else 0.0
    return Threshold(value, float(reached[last]), float(answered[last] / len(order)))


def choose_limit(distances: Matrix, familiar: float) -> float:
    """The distance within which a share `familiar` of photos (n,) are; infinite ones have no reference at all."""
    return float(np.quantile(distances[np.isfinite(distances)], familiar))
