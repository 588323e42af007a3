"""Temperature, threshold and limit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchard.classifier.model import softmax
from orchard.classifier.training.calibration import LEAST_COVERAGE, best_temperature, choose_limit, choose_threshold

Answers = list[tuple[float, bool]]
answers = st.lists(st.tuples(st.sampled_from([0.3, 0.5, 0.6, 0.8, 0.9, 0.99]), st.booleans()), min_size=1, max_size=60)


@pytest.mark.parametrize("true", [0.2, 1.0, 3.0, 9.0])
def test_best_temperature(true: float) -> None:
    random = np.random.default_rng(0)
    logits = random.normal(0, 4, (40_000, 3))
    drawn = (softmax(logits / true).cumsum(axis=1) > random.uniform(size=(len(logits), 1))).argmax(axis=1)

    def loss(temperature: float) -> float:
        return float(-np.log(softmax(logits / temperature)[np.arange(len(drawn)), drawn] + 1e-300).mean())

    found = best_temperature(loss)
    assert found == pytest.approx(true, rel=0.05)
    assert loss(found) <= min(loss(found * 1.0001), loss(found / 1.0001)) + 1e-12


@given(answers, st.sampled_from([0.5, 0.8, 0.99, 1.0]))
def test_choose_threshold(found: Answers, wanted: float) -> None:
    probabilities, right = np.array([p for p, _ in found]), np.array([ok for _, ok in found])
    chosen = choose_threshold(probabilities, right, wanted)
    answered = probabilities >= chosen.value
    assert chosen.precision == pytest.approx(right[answered].mean())
    assert chosen.coverage == pytest.approx(answered.mean())
    precisions = {p: right[probabilities >= p].mean() for p in probabilities.tolist()}
    wide = {p: value for p, value in precisions.items() if (probabilities >= p).mean() >= LEAST_COVERAGE}
    assert chosen.coverage >= LEAST_COVERAGE
    if max(wide.values()) >= wanted:
        assert chosen.precision >= wanted
        assert not any(p < probabilities[answered].min() and precision >= wanted for p, precision in wide.items())
    else:
        assert chosen.precision == pytest.approx(max(wide.values()))


def test_choose_limit() -> None:
    assert choose_limit(np.array([4.0, 1, 3, 2, np.inf, 5]), 0.75) == 4
    assert choose_limit(np.array([4.0, 1, 3]), 1.0) == 4
