"""The last blocks of a network in TensorFlow with a softmax on top, trained; the first ones as a LiteRT model.

The same bits for the same calls, on one kind of CPU: TensorFlow computes on one thread, and nothing here is random.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from orchard.network.backbone import Backbone
from orchard.network.bake.models import save_weights
from orchard.network.runtimes import import_tensorflow, make_keras_model, quiet
from orchard.network.tuning.blocks import cut_before
from orchard.network.weights import BakedWeights

Array = npt.NDArray[np.float32]
_CHUNK = 64  # photos at once where no gradients are needed


@dataclass(frozen=True)
class SoftmaxHead:
    """Logits of features f: (f - mean) / scale @ coefficients + intercepts.

    `mean` and `scale` are float32 (features,), `coefficients` (features, classes), `intercepts` (classes,).
    """

    mean: Array
    scale: Array
    coefficients: Array
    intercepts: Array


class Tuner:
    """A network cut in two; `parts` are the outputs of the first, frozen one, float32 (n, height, width, channels).

    Batch normalization stays as it is, statistics, scales and offsets: batches of one small data set would replace
    what a million photos gave. `UsageError` for blocks that the network does not have.
    """

    def __init__(self, backbone: Backbone, weights: BakedWeights, *, blocks: int, smoothing: float) -> None:
        with quiet(1, 2):
            self._tensorflow = tensorflow = import_tensorflow()
            tensorflow.config.experimental.enable_op_determinism()
            # Keras numbers unnamed layers over the whole process, and the LiteRT model holds the names.
            tensorflow.keras.backend.clear_session()
            self._model = make_keras_model(backbone)
            self._model.load_weights(weights.path(backbone.keras_file))
        self._backbone, self._smoothing = backbone, smoothing
        cut = cut_before(self._model, blocks).output
        self._first = tensorflow.keras.Model(self._model.inputs, cut)
        self._last = tensorflow.keras.Model(cut, self._model.output)
        self.part_shape = tuple(cut.shape[1:])
        self._kernels = [kernel for layer in self._last.layers for kernel in _kernels(layer)]
        self._features = tensorflow.function(lambda parts: self._last(parts, training=False), reduce_retracing=True)

    @property
    def tuned(self) -> int:
        """How many numbers are tuned, besides the head's."""
        return sum(int(np.prod(kernel.shape)) for kernel in self._kernels)

    @property
    def part_size(self) -> int:
        """How many numbers the frozen blocks give of one photo."""
        return int(np.prod(self.part_shape))

    @property
    def activations(self) -> int:
        """How many numbers the trained part computes of one photo."""
        outputs = (operation.output for operation in self._last.operations)
        return sum(int(np.prod(output.shape[1:])) for output in outputs)

    def kernels(self) -> dict[str, npt.NDArray[Any]]:
        """The tuned weights without the head's, named as in `arrays()`."""
        return {f"weight {n}": variable.numpy() for n, variable in enumerate(self._kernels)}

    def frozen_part(self) -> bytes:
        """A LiteRT model from pixels uint8 (1, height, width, 3) to `parts` of one photo."""
        tensorflow, backbone = self._tensorflow, self._backbone

        def compute(image: Any) -> Any:
            scaled = tensorflow.cast(image, tensorflow.float32) * np.float32(backbone.pixel_scale)
            return self._first(scaled + np.float32(backbone.pixel_offset), training=False)

        with quiet(1, 2):
            pixels = tensorflow.TensorSpec((1, *backbone.shape), tensorflow.uint8, name="image")
            traced = tensorflow.function(compute, input_signature=[pixels]).get_concrete_function()
            converter = tensorflow.lite.TFLiteConverter.from_concrete_functions([traced], tensorflow.Module())
            converter.experimental_lower_to_saved_model = False  # whose variables a Keras network does not give it
            return bytes(converter.convert())

    def features(self, parts: Array) -> Array:
        """The network's features of photos, float32 (n, features)."""
        chunks = (parts[start : start + _CHUNK] for start in range(0, len(parts), _CHUNK))
        return np.concatenate([np.asarray(self._features(self._tensorflow.constant(chunk))) for chunk in chunks])

    def start(self, head: SoftmaxHead) -> None:
        """Put a head on top, and begin to train."""
        tensorflow = self._tensorflow
        self._mean, self._scale = tensorflow.constant(head.mean), tensorflow.constant(head.scale)
        self._coefficients = tensorflow.Variable(head.coefficients)
        self._intercepts = tensorflow.Variable(head.intercepts)
        self._variables = [*self._kernels, self._coefficients, self._intercepts]
        self._optimizer = tensorflow.keras.optimizers.Adam(1e-4, global_clipnorm=1.0)
        self._optimizer.build(self._variables)
        self._step = tensorflow.function(self._train, reduce_retracing=True)

    def train(self, parts: Array, classes: npt.NDArray[np.int32], rate: float) -> float:
        """One step of Adam on a batch, towards the classes (n,); returns the mean loss before it."""
        self._optimizer.learning_rate.assign(rate)
        constant = self._tensorflow.constant
        return float(self._step(constant(parts), constant(classes)))

    def probabilities(self, parts: Array) -> Array:
        """Of each class, (n, classes)."""
        features = (self.features(parts) - self._mean.numpy()) / self._scale.numpy()
        logits = features @ self._coefficients.numpy() + self._intercepts.numpy()
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """All that training has changed, and the optimizer's own state, by name."""
        tuned = {f"weight {n}": variable.numpy() for n, variable in enumerate(self._variables)}
        state = {f"optimizer {n}": variable.numpy() for n, variable in enumerate(self._optimizer.variables)}
        return {**tuned, **state, "mean": self._mean.numpy(), "scale": self._scale.numpy()}

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Continue where `arrays()` was called."""
        count = len(self._kernels)
        head = (arrays[name] for name in ("mean", "scale", f"weight {count}", f"weight {count + 1}"))
        self.start(SoftmaxHead(*head))
        self.restore_weights(arrays)
        for n, variable in enumerate(self._optimizer.variables):
            variable.assign(arrays[f"optimizer {n}"])

    def restore_weights(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take the weights of `arrays()`, and leave the optimizer as it is."""
        for n, variable in enumerate(self._variables):
            variable.assign(arrays[f"weight {n}"])

    def save(self, path: Path) -> None:
        """Write the whole network's weights as Keras' `.weights.h5`."""
        with quiet(1, 2):
            save_weights(self._model, path)

    def _train(self, parts: Any, classes: Any) -> Any:
        tensorflow = self._tensorflow
        with tensorflow.GradientTape() as tape:
            scaled = (self._last(parts, training=False) - self._mean) / self._scale
            logits = tensorflow.matmul(scaled, self._coefficients) + self._intercepts
            count = self._intercepts.shape[0]
            smooth = self._smoothing / count
            targets = tensorflow.one_hot(classes, count) * (1 - self._smoothing) + smooth
            losses = tensorflow.nn.softmax_cross_entropy_with_logits(targets, logits)
            loss = tensorflow.reduce_mean(losses)
        gradients = tape.gradient(loss, self._variables)
        self._optimizer.apply_gradients(zip(gradients, self._variables, strict=True))
        return loss


def _kernels(layer: Any) -> list[Any]:
    """The variables of a layer that are tuned: none of a normalization."""
    return [] if "Normalization" in type(layer).__name__ else list(layer.trainable_variables)
