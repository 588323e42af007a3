"""Drawn photos, and a tiny network to tune on them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
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


@pytest.fixture(scope="module")
def known() -> Iterator[None]:
    """The tiny network is known by its name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BACKBONES, TINY.name, TINY)
        yield


@pytest.fixture(scope="module")
def options(tiny: Path, turned: Path, known: None, tmp_path_factory: pytest.TempPathFactory) -> Options:
    """Makes options of a small tuning of the tiny network, each with an output of its own."""
    small: dict[str, Any] = {"blocks": 1, "epochs": 2, "batch": 8, "per_label": 4, "rate": 1e-3}

    def make(**changes: object) -> FinetuneOptions:
        output = tmp_path_factory.mktemp("output") / "tuned"
        places: dict[str, Any] = {"input": str(turned), "output": str(output), "weights": str(tiny)}
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
