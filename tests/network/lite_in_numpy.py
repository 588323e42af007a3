"""EfficientNet-Lite in NumPy, from PyTorch's tensors: an implementation of its own, for the tests to judge by.

It knows of the architecture only what the tensors' names and shapes tell, and the strides.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Layer = tuple[str, Array]


def run(tensors: Mapping[str, Array], pixels: Array) -> Iterator[Layer]:
    """Every layer's name and its values (height, width, channels), in order; last "features" (channels,).

    `pixels` are float, (height, width, 3), preprocessed.
    """
    network = _Network(tensors)
    yield from network.step("_conv_stem", "_bn0", pixels, stride=2)
    inputs = _relu6(network.last)
    for index in range(1 + max(int(name.split(".")[1]) for name in tensors if name.startswith("_blocks."))):
        yield from network.block(f"_blocks.{index}.", inputs)
        inputs = network.last
    yield from network.step("_conv_head", "_bn1", inputs)
    yield "features", _relu6(network.last).mean(axis=(0, 1))


class _Network:
    def __init__(self, tensors: Mapping[str, Array]) -> None:
        self._tensors, self.last = tensors, np.zeros(0)
        # A stage begins where the number of channels changes; all but the first, fifth and last halve the picture.
        names = [name for name in tensors if re.fullmatch(r"_blocks\.\d+\._project_conv\.weight", name)]
        channels = [len(tensors[name]) for name in sorted(names, key=lambda name: int(name.split(".")[1]))]
        starts = [index for index, count in enumerate(channels) if index == 0 or count != channels[index - 1]]
        assert len(starts) == 7
        self._halving = {f"_blocks.{start}." for stage, start in enumerate(starts) if stage not in (0, 4, 6)}

    def block(self, name: str, inputs: Array) -> Iterator[Layer]:
        values = inputs
        if f"{name}_expand_conv.weight" in self._tensors:
            yield from self.step(f"{name}_expand_conv", f"{name}_bn0", values)
            values = _relu6(self.last)
        yield from self.step(f"{name}_depthwise_conv", f"{name}_bn1", values, stride=2 if name in self._halving else 1)
        yield from self.step(f"{name}_project_conv", f"{name}_bn2", _relu6(self.last))
        if self.last.shape == inputs.shape:
            self.last = self.last + inputs

    def step(self, convolution: str, norm: str, inputs: Array, stride: int = 1) -> Iterator[Layer]:
        """A convolution and its batch norm."""
        convolved = _convolve(inputs, self._tensors[f"{convolution}.weight"], stride)
        yield convolution, convolved
        weight, bias, mean, variance = (
            self._tensors[f"{norm}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
        )
        self.last = (convolved - mean) / np.sqrt(variance + 1e-3) * weight + bias
        yield norm, self.last


def _relu6(values: Array) -> Array:
    return np.clip(values, 0, 6)


def _convolve(inputs: Array, weight: Array, stride: int) -> Array:
    """By one addition an element of the kernel; padded as TensorFlow pads: what is odd at the end."""
    size = weight.shape[-1]
    shape = [-(-length // stride) for length in inputs.shape[:2]]
    missing = [
        max(0, (count - 1) * stride + size - length) for count, length in zip(shape, inputs.shape[:2], strict=True)
    ]
    padded = np.pad(inputs, [*((one // 2, one - one // 2) for one in missing), (0, 0)])
    depthwise = weight.shape[1] == 1
    outputs = np.zeros((*shape, len(weight)), inputs.dtype)
    for row in range(size):
        for column in range(size):
            part = padded[row::stride, column::stride][: shape[0], : shape[1]]
            element = weight[:, :, row, column]
            outputs += part * element[:, 0] if depthwise else part @ element.T
    return outputs
