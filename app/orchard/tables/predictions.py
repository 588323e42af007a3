"""The output of `orchard predict`: two tables and a report."""

from dataclasses import dataclass
from typing import ClassVar

from orchard.tables.columns import PREDICTIONS, REJECTED
from orchard.tables.photo_tables import PhotoTables


@dataclass(frozen=True)
class PredictionTables(PhotoTables):
    """predictions/ and rejected/."""

    kind = "predictions of Orchard"
    schemas: ClassVar = {"predictions": PREDICTIONS, "rejected": REJECTED}
    files = ("predictions.json",)
    marks = frozenset({"predictions", "predictions.json"})
