"""Orchard's job: list photos, featurize them on Spark, standardise, reduce, report; and classify."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchard.classifier.prediction.classifier import Classifier as Classifier
    from orchard.features.udf import featurize_udf as featurize_udf

__version__ = "0.1.0"
__all__ = ["Classifier", "__version__", "featurize_udf"]

_MODULES = {"Classifier": "orchard.classifier.prediction.classifier", "featurize_udf": "orchard.features.udf"}


def __getattr__(name: str) -> Any:
    # Imported when asked for: a launcher that only wants the options needs no NumPy.
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
