"""Drawn photos, and a tiny network to tune on them."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from orchard.console import Reporter
from orchard.finetune.options import FinetuneOptions
from orchard.network.backbones import BACKBONES
from orchard.sample import draw_samples

from tests.finetune.tiny import TINY, bake_tiny

Options = Callable[..., FinetuneOptions]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The baked folder of the tiny network."""
    return bake_tiny(tmp_path_factory.mktemp("tiny") / "weights")


@pytest.fixture(scope="session")
def turned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn photos: 4 varieties of 12 frames."""
    folder = tmp_path_factory.mktemp("turned") / "photos"
    draw_samples(folder, varieties=4, per_variety=12, seed=5)
    return folder


@pytest.fixture
def options(tiny: Path, turned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Options:
    """Makes options of a small tuning of the tiny network."""
    monkeypatch.setitem(BACKBONES, TINY.name, TINY)
    small: dict[str, Any] = {"blocks": 1, "epochs": 2, "batch": 8, "per_label": 4, "rate": 1e-3}

    def make(**changes: object) -> FinetuneOptions:
        places: dict[str, Any] = {"input": str(turned), "output": str(tmp_path / "tuned"), "weights": str(tiny)}
        return FinetuneOptions(**{**places, "backbone": TINY.name, **small, **changes})

    return make


@pytest.fixture
def lines() -> io.StringIO:
    """What a reporter wrote."""
    return io.StringIO()


@pytest.fixture
def reporter(lines: io.StringIO) -> Reporter:
    """Writes to `lines`."""
    return Reporter(lines)
