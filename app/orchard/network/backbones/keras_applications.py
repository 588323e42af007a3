"""Networks of `keras.applications` with the ImageNet weights of Keras; the hashes that Keras publishes vouch for them.

Their fingerprints are empty: nobody who works on this could reach the address. A bake records the one it finds.
"""

import math
from typing import Any

from orchard.network.backbone import Address, Backbone, Build, KerasApplication

_ADDRESS = "https://storage.googleapis.com/tensorflow/keras-applications"
_DEVIATIONS = (0.229, 0.224, 0.225)  # of ImageNet's red, green and blue, as Keras has them
_CAFFE_MEANS = (103.939, 116.779, 123.68)  # of blue, green and red


def _efficientnet_b0(keras: Any, shape: tuple[int, int, int]) -> Any:
    """As with weights="imagenet", where Keras adds a step after its normalization that it leaves out otherwise."""
    plain = KerasApplication("EfficientNetB0")(keras, shape)
    factors = [1 / math.sqrt(deviation) for deviation in _DEVIATIONS]

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        outputs = layer(*args, **kwargs)
        if isinstance(layer, keras.layers.Normalization):
            return keras.layers.Rescaling(factors, name="rescaling_by_deviation")(outputs)
        return outputs

    return keras.models.clone_model(plain, call_function=call)


def _resnet50(keras: Any, shape: tuple[int, int, int]) -> Any:
    """With its preprocessing (mode "caffe") inside: blue first, minus the means."""
    inputs = keras.Input(shape)
    centred = keras.ops.flip(inputs, axis=-1) - keras.ops.convert_to_tensor(_CAFFE_MEANS)
    return KerasApplication("ResNet50")(keras, shape, input_tensor=centred)


def _published(
    name: str,
    build: Build,
    source: Address,
    description: str,
    *,
    size: int = 224,
    preprocessing: tuple[float, float] = (1.0, 0.0),
    features: int,
    multiply_adds: int,
    memory: int,
    licence: str,
) -> Backbone:
    scale, offset = preprocessing
    return Backbone(
        name=name,
        build=build,
        input_size=(size, size),
        pixel_scale=scale,
        pixel_offset=offset,
        feature_size=features,
        multiply_adds=multiply_adds,
        memory=memory,
        sources=(source,),
        fingerprint="",
        licence=licence,
        description=f"{description} (ImageNet, {size} x {size}) without its last layer, average pooled",
    )


BACKBONES = (
    _published(
        "xception",
        KerasApplication("Xception"),
        Address(
            f"{_ADDRESS}/xception/xception_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "b0042744bf5b25fce3cb969f33bebb97",
        ),
        "Xception",
        size=299,
        preprocessing=(1 / 127.5, -1.0),
        features=2048,
        multiply_adds=8385,
        memory=216,
        licence="MIT",
    ),
    _published(
        "efficientnet_b0",
        _efficientnet_b0,
        Address(
            "https://storage.googleapis.com/keras-applications/efficientnetb0_notop.h5",
            "50bc09e76180e00e4465e1a485ddc09d",
        ),
        "EfficientNet-B0",
        features=1280,
        multiply_adds=400,
        memory=62,
        licence="Apache-2.0",
    ),
    _published(
        "efficientnet_v2_b0",
        KerasApplication("EfficientNetV2B0"),
        Address(f"{_ADDRESS}/efficientnet_v2/efficientnetv2-b0_notop.h5", "893217f2bb855e2983157299931e43ff"),
        "EfficientNetV2-B0",
        features=1280,
        multiply_adds=728,
        memory=72,
        licence="Apache-2.0",
    ),
    _published(
        "mobilenet_v3_large",
        KerasApplication("MobileNetV3Large"),
        Address(
            f"{_ADDRESS}/mobilenet_v3/weights_mobilenet_v3_large_224_1.0_float_no_top_v2.h5",
            "07fb09a5933dd0c8eaafa16978110389",
        ),
        "MobileNetV3-Large",
        features=960,
        multiply_adds=222,
        memory=45,
        licence="Apache-2.0",
    ),
    _published(
        "resnet50",
        _resnet50,
        Address(
            f"{_ADDRESS}/resnet/resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "4d473c1dd8becc155b73f8504c6f6626",
        ),
        "ResNet-50",
        features=2048,
        multiply_adds=3876,
        memory=212,
        licence="MIT",
    ),
    _published(
        "convnext_tiny",
        KerasApplication("ConvNeXtTiny"),
        Address(
            f"{_ADDRESS}/convnext/convnext_tiny_notop.h5",
            "d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1",
        ),
        "ConvNeXt-Tiny",
        features=768,
        multiply_adds=4389,
        memory=281,
        licence="MIT",
    ),
)
