"""The head, the state, the estimates, the curve: each by itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from orchard.errors import MachineError
from orchard.finetune.curve import draw
from orchard.finetune.head import fit_head
from orchard.finetune.machine import check_machine, disk_needed, memory_needed
from orchard.finetune.options import FinetuneOptions
from orchard.finetune.state import State, load_state, save_state, state_name
from orchard.finetune.training import averaged, best_epoch, is_finished, measure
from orchard.storage.stores import LocalStore
from sklearn.linear_model import LogisticRegression

CURVE = [
    {
        "epoch": epoch,
        "rate": 0.1,
        "training_loss": 0.5 if epoch else None,
        "held_out_loss": loss,
        "held_out_accuracy": 1,
    }
    for epoch, loss in enumerate([0.1, 0.5, 0.3, 0.4])
]


def test_fit_head_is_the_regression_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    classes = random.integers(0, 3, 90).astype(np.int32)
    features = (random.normal(size=(90, 6)) + classes[:, np.newaxis]).astype(np.float32)
    head = fit_head(features, classes, 3)
    scaled = (features - head.mean) / head.scale
    expected = LogisticRegression(C=1 / (0.01 * 90), tol=1e-8).fit(scaled, classes).predict_proba(scaled)
    logits = scaled @ head.coefficients + head.intercepts
    found = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_measure_counts_classes_alike() -> None:
    probabilities = np.array([[0.8, 0.2], [0.4, 0.6], [0.5, 0.5], [0.1, 0.9]], np.float32)
    found = measure(probabilities, np.array([0, 0, 0, 1], np.int32))
    assert found["held_out_accuracy"] == pytest.approx((2 / 3 + 1) / 2)
    expected = (-np.log([0.8, 0.4, 0.5]).mean() - np.log(0.9)) / 2
    assert found["held_out_loss"] == pytest.approx(expected, rel=1e-6)


def test_the_best_epoch_is_a_tuned_one() -> None:
    assert best_epoch(CURVE) == 2
    assert best_epoch(CURVE[:1]) == 0
    assert best_epoch([{"epoch": n} for n in range(4)]) == 3  # nothing is held out


def test_training_ends_after_its_epochs_or_its_patience() -> None:
    options = FinetuneOptions(input="a", output="b", epochs=9, patience=2)
    assert not is_finished(CURVE, options)
    assert is_finished(CURVE, replace(options, epochs=3))
    assert is_finished(CURVE, replace(options, patience=1))


def test_averaged_weights_are_between_both() -> None:
    tuned = {"weight 0": np.full(2, 3.0, np.float32), "mean": np.ones(1, np.float32)}
    parent = {"weight 0": np.ones(2, np.float32)}
    found = averaged(tuned, parent, 0.25)
    assert found["weight 0"].tolist() == [2.5, 2.5]
    assert found["mean"].tolist() == [1.0]
    assert averaged(tuned, parent, 0.0)["weight 0"].tobytes() == tuned["weight 0"].tobytes()


def test_state_comes_back_as_it_was(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path / "state"))
    assert load_state(store, "key") is None
    state = State(CURVE, {"weight 0": np.arange(3.0)}, {"weight 0": np.ones(2, np.float32)})
    save_state(store, "key", state)
    found = load_state(store, "key")
    assert found is not None
    assert found.curve == CURVE
    assert found.arrays["weight 0"].tolist() == [0, 1, 2]
    assert found.best["weight 0"].dtype == np.float32


def test_a_state_of_something_else_or_damaged_is_none(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path))
    save_state(store, "key", State(CURVE, {}, {}))
    assert load_state(store, "another") is None
    save_state(store, "another", State(CURVE[:1], {}, {}))
    assert [len(found.curve) for key in ("key", "another") if (found := load_state(store, key))] == [len(CURVE), 1]
    path = tmp_path / state_name("key")
    for content in (path.read_bytes()[:-30], b"", b"no archive"):
        path.write_bytes(content)
        assert load_state(store, "key") is None


def test_check_machine(tmp_path: Path) -> None:
    check_machine(100, 1, tmp_path / "new" / "folder", 100)
    check_machine(10**15, 1, tmp_path, None)
    with pytest.raises(MachineError, match="--batch"):
        check_machine(101, 1, tmp_path, 100)
    with pytest.raises(MachineError, match="--output"):
        check_machine(100, 10**15, tmp_path, 100)


def test_needs_grow_with_the_batch_and_the_blocks() -> None:
    sizes = {"tuned": 10**6, "activations": 10**6, "batch": 32, "part": 7840, "held_out": 200}
    more = [memory_needed(**{**sizes, name: value * 2}) for name, value in sizes.items()]
    assert min(more) > memory_needed(**sizes)
    assert disk_needed(tuned=2 * 10**6, baked=1) > disk_needed(tuned=10**6, baked=1)


def test_the_curve_is_an_svg() -> None:
    assert draw(CURVE, 2).startswith(b"<?xml")
    assert draw([{"epoch": n, "rate": 0, "training_loss": 0.1 if n else None} for n in range(3)], 2).count(b"<svg") == 1
