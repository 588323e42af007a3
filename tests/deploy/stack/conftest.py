"""Fixtures of the stack's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from orchard_deploy.site import Account, Site
from orchard_deploy.spec import Spec

from tests.deploy.cloud import Cloud, open_cloud

DIGEST = "sha256:" + "a" * 64


@pytest.fixture(scope="session")
def site(spec: Spec) -> Site:
    """The project's own specification in an account."""
    return Site(spec, Account(id="123456789012", region="us-east-1"))


@pytest.fixture
def cloud(tree: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """An account with nothing in it."""
    with open_cloud(tree, monkeypatch) as opened:
        yield opened
