"""Rows of predictions/: made in the tasks, which import no more than this, and counted on the driver."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from orchard.classifier.model import Model
from orchard.features.rows import Kept, photo_columns
from orchard.network.runtimes import Features
from orchard.tables import columns
from orchard.tables.columns import PREDICTIONS

# Rows of 1280 features in float64: 10 MB at a time.
BLOCK = 1024


def predictions_table(model: Model, kept: Sequence[Kept], features: Features) -> pa.Table:
    """Rows of predictions/ of n photos and their features (n, size)."""
    parts = [model.predict(features[start : start + BLOCK]) for start in range(0, len(features), BLOCK)]
    probabilities = np.concatenate([part.probabilities for part in parts])
    best = np.concatenate([part.best for part in parts])
    arrays = [
        *photo_columns(kept),
        columns.strings([model.classes[index] for index in best]),
        columns.floats(probabilities[np.arange(len(best)), best]),
        columns.booleans(np.concatenate([part.unsure for part in parts])),
        columns.floats(np.concatenate([part.unfamiliarity for part in parts])),
        columns.float_lists(probabilities.astype(np.float32)),
    ]
    return pa.table(arrays, schema=PREDICTIONS)


def count_answers(table: pa.Table, model: Model) -> dict[str, Any]:
    """Photos by class in order of the classes, without the unsure ones; those; and those above the model's limit.

    Args:
        table: columns class, unsure and unfamiliarity.
        model: the classifier.
    """
    unsure = table.column("unsure").to_pylist()
    names = zip(table.column("class").to_pylist(), unsure, strict=True)
    answers = Counter(name for name, doubtful in names if not doubtful)
    # The table has it in float32: a photo that is sure is not unfamiliar, however it was rounded.
    limit = float(np.float32(model.limit))
    far = zip(table.column("unfamiliarity").to_pylist(), unsure, strict=True)
    unfamiliar = sum(doubtful and distance > limit for distance, doubtful in far)
    return {"answers": {name: answers[name] for name in model.classes}, "unsure": sum(unsure), "unfamiliar": unfamiliar}
