"""The classifier as a saved `pyspark.ml.PipelineModel` of stock stages: from vectors of features to classes."""

from collections.abc import Mapping

from orchard.classifier.model import Model
from orchard.pca import ml_format
from orchard.pca.ml_format import Row, Stage
from orchard.pca.model import OUTPUT, projection_stages, read_projection
from orchard.pca.moments import Matrix
from orchard.pca.projection import Projection

_HEAD, _NAMES = (2, "orchard_logistic_regression"), (3, "orchard_classes")


def pipeline_files(model: Model, *, spark_version: str) -> dict[str, bytes]:
    """A PipelineModel from vector column `features` to string column `class`: its files' content by path.

    On the way it adds the columns scaled, components, rawPrediction, probability and prediction. It knows nothing of
    the model's threshold and limit: it names a class for every photo.
    """
    stages = (*projection_stages(model.projection), _head(model), _names(model))
    return ml_format.pipeline_model_files(stages, "orchard_classifier", spark_version=spark_version)


def _head(model: Model) -> Stage:
    classes, features = model.coefficients.shape
    params = {
        "family": "multinomial",
        "featuresCol": OUTPUT,
        "predictionCol": "prediction",
        "probabilityCol": "probability",
        "rawPredictionCol": "rawPrediction",
    }
    row = {
        "numClasses": ml_format.integer(classes),
        "numFeatures": ml_format.integer(features),
        "interceptVector": ml_format.vector(model.intercepts),
        "coefficientMatrix": ml_format.matrix(model.coefficients, transposed=True),
        "isMultinomial": ml_format.boolean(True),
    }
    return Stage("classification.LogisticRegressionModel", _HEAD[1], params, row)


def _names(model: Model) -> Stage:
    params = {"inputCol": "prediction", "outputCol": "class", "labels": list(model.classes)}
    return Stage("feature.IndexToString", _NAMES[1], params, {})


def read_pipeline(files: Mapping[str, bytes]) -> tuple[Projection, Matrix, Matrix, tuple[str, ...]]:
    """The inverse of `pipeline_files`: projection, coefficients (classes, k), intercepts (classes,) and classes.

    The projection's explained variance is that of the components kept only.

    Raises:
        ValueError, KeyError: these are the files of another pipeline.
    """
    head = Row(files[ml_format.data_file(*_HEAD)])
    names = ml_format.params(files[ml_format.metadata_file(*_NAMES)])
    coefficients, intercepts = head.matrix("coefficientMatrix"), head.vector("interceptVector")
    return read_projection(files.__getitem__), coefficients, intercepts, tuple(names["labels"])
