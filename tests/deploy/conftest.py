"""Fixtures of the launchers' tests: the project's own specification, and a small tree to tag."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.spec import SPEC_FILE, Spec, load_spec

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def spec() -> Spec:
    """The specification at the top of the repository."""
    return load_spec(ROOT / SPEC_FILE)
