"""Orchard's job: list photos, featurize them on Spark, standardise, reduce, report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchard.features.udf import featurize_udf as featurize_udf

__version__ = "0.1.0"
__all__ = ["__version__", "featurize_udf"]


def __getattr__(name: str) -> Any:
    # Imported when asked for: a launcher that only wants the options needs no NumPy.
    if name == "featurize_udf":
        from orchard.features.udf import featurize_udf

        return featurize_udf
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
