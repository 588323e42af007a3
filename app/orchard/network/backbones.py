"""The backbones as data: one frozen object each, shared by the bake and the job."""

from dataclasses import dataclass

from orchard.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """A network without its classification layer, average pooled."""

    name: str
    keras_class: str  # in `keras.applications`
    input_size: tuple[int, int]  # width, height
    pixel_scale: float  # preprocessing of RGB values 0..255: `pixel * scale + offset`
    pixel_offset: float
    feature_size: int
    fingerprint: str  # SHA-256 of the weights, by `bake.models.fingerprint`
    description: str

    @property
    def tflite_file(self) -> str:
        """File name of the LiteRT model in a baked folder."""
        return f"{self.name}.tflite"

    @property
    def keras_file(self) -> str:
        """File name of the Keras weights in a baked folder."""
        return f"{self.name}.weights.h5"


# Preprocessing: keras.applications.mobilenet_v2.preprocess_input (mode "tf") is x / 127.5 - 1.
# Fingerprint: the ImageNet weights of Keras, alpha 1.0, without the top layer.
MOBILENET_V2 = Backbone(
    name="mobilenet_v2",
    keras_class="MobileNetV2",
    input_size=(224, 224),
    pixel_scale=1 / 127.5,
    pixel_offset=-1.0,
    feature_size=1280,
    fingerprint="c009b1f1262c1f55420ed4f95d0f338acb97548930c6f6c8f3383b79544088a8",
    description="MobileNetV2 (ImageNet, alpha 1.0, 224 x 224) without its last layer, average pooled",
)

BACKBONES = {backbone.name: backbone for backbone in (MOBILENET_V2,)}


def get_backbone(name: str) -> Backbone:
    """Look a backbone up by name; `UsageError` names the known ones."""
    if name not in BACKBONES:
        raise UsageError(f"unknown backbone {name!r}: known ones are {', '.join(BACKBONES)}")
    return BACKBONES[name]
