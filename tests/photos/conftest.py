"""Fixtures for photos: S3's, and the inputs of ../shared/odd."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import SHARED
from tests.s3_fixtures import aws, bucket, moto

__all__ = ["aws", "bucket", "moto"]


@pytest.fixture(scope="session")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that ../shared/odd/make_odd.py makes of one real photo."""
    script = SHARED / "odd" / "make_odd.py"
    photos = sorted((SHARED / "fruits-360").rglob("*.jpg"))
    if not script.exists() or not photos:
        pytest.skip("no ../shared/odd beside this clone")
    folder = tmp_path_factory.mktemp("odd")
    subprocess.run([sys.executable, str(script), str(photos[0]), str(folder)], check=True)
    return folder
