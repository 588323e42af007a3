"""The fit as a saved `pyspark.ml.PipelineModel`: stock StandardScalerModel and PCAModel, written in Spark's own format.

See `orchard.pca.ml_format` for that format.
"""

import hashlib
from collections.abc import Callable, Mapping

import numpy as np

from orchard.errors import OutputError
from orchard.pca import ml_format
from orchard.pca.ml_format import PIPELINE_METADATA, Row, Stage
from orchard.pca.projection import Projection
from orchard.storage.stores import Store

INPUT, SCALED, OUTPUT = "features", "scaled", "components"
_UIDS = ("orchard_scaler", "orchard_pca")


def model_files(fitted: Projection, *, spark_version: str) -> dict[str, bytes]:
    """A PipelineModel from vector column `features` over `scaled` to `components`: its files' content by path."""
    return ml_format.pipeline_model_files(projection_stages(fitted), "orchard", spark_version=spark_version)


def projection_stages(fitted: Projection) -> tuple[Stage, Stage]:
    """The first two stages of a pipeline: StandardScalerModel and PCAModel."""
    scaler = {"inputCol": INPUT, "outputCol": SCALED, "withMean": True, "withStd": True}
    pca = {"inputCol": SCALED, "outputCol": OUTPUT, "k": fitted.k}
    variance = ml_format.vector(fitted.explained_variance_ratio[: fitted.k])
    return (
        Stage(
            "feature.StandardScalerModel",
            _UIDS[0],
            scaler,
            {"std": ml_format.vector(fitted.std), "mean": ml_format.vector(fitted.mean)},
        ),
        Stage(
            "feature.PCAModel", _UIDS[1], pca, {"pc": ml_format.matrix(fitted.loadings), "explainedVariance": variance}
        ),
    )


def read_projection(read: Callable[[str], bytes]) -> Projection:
    """The fit in a pipeline that begins with `projection_stages`, whose files `read` gives by path.

    Its explained variance is that of the components kept only. Raises `ValueError` or `KeyError` for another pipeline.
    """
    scaler, pca = (Row(read(ml_format.data_file(number, uid))) for number, uid in enumerate(_UIDS))
    return Projection(scaler.vector("mean"), scaler.vector("std"), pca.matrix("pc"), pca.vector("explainedVariance"))


def write_model(store: Store, folder: str, files: Mapping[str, bytes]) -> None:
    """Replace the model in a folder; until all of the new one is there, it has no metadata and nobody can load it."""
    store.delete([f"{folder}/{PIPELINE_METADATA}"])
    for path in sorted(files, key=lambda path: path == PIPELINE_METADATA):
        store.write(f"{folder}/{path}", files[path])


def read_model(store: Store, folder: str, feature_size: int) -> Projection:
    """The fit in a model that `model_files` made; its explained variance is that of the components kept only.

    Raises:
        OutputError: there is no such model, or it is another kind of pipeline.
    """
    try:
        store.read(f"{folder}/{PIPELINE_METADATA}")
        fitted = read_projection(lambda path: store.read(f"{folder}/{path}"))
    except (FileNotFoundError, KeyError, ValueError) as exc:
        where = f"{store.uri}/{folder}"
        raise OutputError(f"--keep-model: no model of `orchard run` in {where}: run once without --keep-model") from exc
    if len(fitted.mean) != feature_size:
        raise OutputError(
            f"--keep-model: the model in {store.uri}/{folder} is for {len(fitted.mean)} features, not {feature_size}"
        )
    return fitted


def model_number(fitted: Projection) -> int:
    """A number for what `Projection.transform` computes with, by which a table remembers it: 7 bytes of its SHA-256."""
    content = b"".join(np.ascontiguousarray(part).tobytes() for part in (fitted.mean, fitted.std, fitted.loadings))
    return int.from_bytes(hashlib.sha256(content).digest()[:7], "big")
