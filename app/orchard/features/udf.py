"""The features as a pandas UDF, for any DataFrame with a column of encoded photos."""

from collections.abc import Callable, Iterator
from typing import Any

from orchard.errors import PhotoError
from orchard.features.task import Network
from orchard.network.backbones import MOBILENET_V2, Backbone
from orchard.network.choice import choose_backbone
from orchard.network.runtimes import Predict
from orchard.photos.decoding import decode


def featurize_udf(
    backbone: str = MOBILENET_V2.name, *, runtime: str = "litert", weights: str | None = None, on_error: str = "null"
) -> Callable[..., Any]:
    """A pandas UDF from a `binary` column of encoded photos to `array<float>` features, for any DataFrame.

    Needs the baked weights at the same path on every worker, and `spark.python.worker.reuse` (Spark's default).

    Args:
        backbone: a name from `orchard.network.backbones.BACKBONES`, or the path of a baked folder.
        runtime: "litert" or "tensorflow".
        weights: a baked folder; by default `$ORCHARD_WEIGHTS`, else what `orchard weights` made.
        on_error: "null" gives null for a photo that cannot be decoded, "raise" fails the query with its reason.

    Raises:
        WeightsError: no usable weights on the driver.
        UsageError: an unknown backbone.

    Example:
        >>> frame = spark.read.format("binaryFile").load("photos")          # doctest: +SKIP
        >>> frame.select("path", featurize_udf()("content").alias("features"))  # doctest: +SKIP
    """
    import pandas as pd
    from pyspark.sql.pandas.functions import pandas_udf

    if on_error not in ("null", "raise"):
        raise ValueError(f'on_error is "null" or "raise", not {on_error!r}')
    known, baked = choose_backbone(backbone, weights)
    network = Network(known, runtime, baked)

    def featurize_series(contents: Iterator[pd.Series]) -> Iterator[pd.Series]:
        predict = network.load()
        for series in contents:
            yield pd.Series([_features_or_null(content, known, predict, on_error) for content in series], dtype=object)

    return pandas_udf(featurize_series, "array<float>")  # type: ignore[call-overload, no-any-return]


def _features_or_null(content: bytes | None, backbone: Backbone, predict: Predict, on_error: str) -> Any:
    try:
        return predict(decode(content or b"", backbone.input_size)[None])[0]
    except PhotoError:
        if on_error == "raise":
            raise
        return None
