"""One LiteRT model from pixels to a classifier's answer: the backbone, and what is computed of its features."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from orchard.network.backbone import Backbone
from orchard.network.runtimes import import_tensorflow, make_keras_model, quiet
from orchard.network.weights import BakedWeights

Vector = npt.NDArray[np.float64]
# Of the model's outputs; TensorFlow puts them in this order.
PROBABILITIES, UNFAMILIARITY = OUTPUTS = ("probabilities", "unfamiliarity")


@dataclass(frozen=True)
class Head:
    """What is computed of features f, with d = f * scale + offset - mean.

    The probabilities are the softmax of d @ weights + intercepts; the unfamiliarity is the smallest Euclidean distance
    from d + mean to one of the references.

    Attributes:
        mean: float64 (features,).
        weights: float64 (features, classes).
        intercepts: float64 (classes,).
        references: of any float type, (references, features).
        scale: float64 (features,), or None for 1.
        offset: float64 (features,), or None for 0.
    """

    mean: Vector
    weights: Vector
    intercepts: Vector
    references: npt.NDArray[np.floating]
    scale: Vector | None = None
    offset: Vector | None = None


def convert(backbone: Backbone, weights: BakedWeights, head: Head) -> bytes:
    """A LiteRT model in float32; the same bytes for the same arguments.

    It maps pixels uint8 (1, height, width, 3) to `OUTPUTS`: float32 (1, classes) and float32 (1,). `MachineError`
    where TensorFlow cannot be imported.
    """
    return Graph(backbone, weights, head).convert()


class Graph:
    """The computation in TensorFlow: from pixels to `OUTPUTS`, or without a head to `features`."""

    def __init__(self, backbone: Backbone, weights: BakedWeights, head: Head | None) -> None:
        with quiet(1, 2):
            self.tensorflow = import_tensorflow()
            # Keras numbers unnamed layers over the whole process, and the LiteRT model holds the names.
            self.tensorflow.keras.backend.clear_session()
            self._network = make_keras_model(backbone)
            self._network.load_weights(weights.path(backbone.keras_file))
        self._backbone, self._head = backbone, head

    def convert(self) -> bytes:
        """A LiteRT model of it in float32."""
        with quiet(1, 2):
            return bytes(self.converter().convert())

    def converter(self) -> Any:
        """A new `TFLiteConverter` of it."""
        tensorflow = self.tensorflow
        shape = (1, *self._backbone.shape)
        pixels = tensorflow.TensorSpec(shape, tensorflow.uint8, name="image")
        traced = tensorflow.function(self._compute, input_signature=[pixels]).get_concrete_function()
        converter = tensorflow.lite.TFLiteConverter.from_concrete_functions([traced], tensorflow.Module())
        converter.experimental_lower_to_saved_model = False  # whose variables a Keras network does not give it
        return converter

    def _compute(self, image: Any) -> Mapping[str, Any]:
        tensorflow, backbone = self.tensorflow, self._backbone
        # The converter folds a factor into the first convolution; a summand it cannot, since that pads with zeros.
        middle = np.float32(-backbone.pixel_offset / backbone.pixel_scale)
        inputs = (tensorflow.cast(image, tensorflow.float32) - middle) * np.float32(backbone.pixel_scale)
        features = self._network(inputs, training=False)
        return {"features": features} if self._head is None else self._answer(features, self._head)

    def _answer(self, features: Any, head: Head) -> Mapping[str, Any]:
        tensorflow, math = self.tensorflow, self.tensorflow.math
        zero = head.mean if head.offset is None else head.mean - head.offset
        scaled = features if head.scale is None else features * head.scale.astype(np.float32)
        # Near 0, so that products and 16-bit constants keep their digits.
        deviations = scaled - zero.astype(np.float32)
        logits = tensorflow.matmul(deviations, head.weights.astype(np.float32)) + head.intercepts.astype(np.float32)
        # The nearest by one matrix product; its distance once more from the difference, which cancels no digits.
        # One constant serves both: it is the larger part of a head.
        centred = head.references.astype(np.float64) - head.mean
        references = tensorflow.constant(centred.astype(np.float32))
        half_squares = ((centred**2).sum(axis=1) / 2).astype(np.float32)
        closeness = tensorflow.matmul(deviations, references, transpose_b=True) - half_squares
        nearest = tensorflow.gather(references, tensorflow.argmax(closeness, axis=1, output_type=tensorflow.int32))
        squares = tensorflow.reduce_sum(math.squared_difference(deviations, nearest), axis=1)
        return {PROBABILITIES: tensorflow.nn.softmax(logits), UNFAMILIARITY: tensorflow.sqrt(squares)}
