"""Versions of what decides the numbers, for the reports."""

import contextlib
import platform
from importlib import metadata

import orchard


def versions(*packages: str) -> dict[str, str]:
    """Versions of Orchard, Python and these packages, of those that are installed."""
    found = {"orchard": orchard.__version__, "python": platform.python_version()}
    for name in packages:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def versions_of_features(runtime: str) -> dict[str, str]:
    """What decides the features that a network gives; TensorFlow is installed under either name."""
    tensorflow = ("tensorflow", "tensorflow-cpu") if runtime == "tensorflow" else ()
    found = versions("ai-edge-litert", "numpy", "pillow", "pyarrow", *tensorflow)
    return {name.removesuffix("-cpu"): version for name, version in found.items()}
