from __future__ import annotations

import subprocess
import sys

from orchard.versions import versions, versions_of_features


def test_versions_of_each_runtime() -> None:
    names = {"orchard", "python", "ai-edge-litert", "numpy", "pillow", "pyarrow"}
    assert set(versions_of_features("litert")) == names
    assert set(versions_of_features("tensorflow")) == names | {"tensorflow"}


def test_versions_of_what_is_not_installed() -> None:
    assert set(versions("numpy", "no-such-package")) == {"orchard", "python", "numpy"}


def test_a_prediction_imports_no_matplotlib() -> None:
    code = "import sys, orchard.classifier.prediction.table, orchard.update; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "matplotlib" not in modules
    assert "orchard.versions" in modules
