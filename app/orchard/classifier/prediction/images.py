"""What can be classified as one image: a file by path or URI, opened, or its bytes; an image of Pillow's; pixels."""

import io
import os
from collections.abc import Iterable
from typing import IO, Any, cast

import numpy as np
import numpy.typing as npt
from PIL import Image

from orchard.errors import OrchardError, PhotoError
from orchard.photos.decoding import Pixels, decode, resize
from orchard.photos.source import open_source
from orchard.storage.objects import is_object_uri, split_uri
from orchard.storage.stores import local_path

Bytes = bytes | bytearray | memoryview
AnImage = str | os.PathLike[str] | Bytes | IO[bytes] | Image.Image | npt.NDArray[np.uint8]
_KINDS = "a path, a file opened in binary, its bytes, an image of Pillow's, or an array (height, width, 3) of uint8"


def each(images: AnImage | Iterable[AnImage]) -> Iterable[AnImage]:
    """The images, where one may be given without a list around it."""
    single = isinstance(images, str | os.PathLike | Bytes | Image.Image)
    if single or hasattr(images, "read") or (isinstance(images, np.ndarray) and images.ndim in (2, 3)):
        return [cast(AnImage, images)]
    return cast(Iterable[AnImage], images)


def path_of(image: AnImage) -> str | None:
    """The path or URI of an image that was given by one."""
    return os.fspath(image) if isinstance(image, str | os.PathLike) else None


def pixels_of(image: AnImage, size: tuple[int, int]) -> Pixels:
    """RGB pixels (height, width, 3), as `photos.decoding.decode` makes them; `size` is (width, height).

    Raises:
        PhotoError: a file that cannot be read or decoded, see `REASONS`.
        InputError: a bucket that cannot be reached.
        UsageError: a URI that is neither file:// nor s3://.
        TypeError, ValueError: something else than an image, or an array of another type or shape.
    """
    if (path := path_of(image)) is not None:
        return decode(_read(path), size)
    if hasattr(image, "read") and not isinstance(image, io.TextIOBase):
        image = image.read()
    if isinstance(image, Bytes):
        return decode(bytes(image), size)
    if isinstance(image, Image.Image):
        return resize(image, size)
    return resize(Image.fromarray(_checked(image)), size)


def _read(path: str) -> bytes:
    if path.startswith("file://"):
        path = local_path(path)
    folder, slash, name = path.rpartition("/")
    if os.path.isdir(path) or not name or (is_object_uri(path) and not split_uri(path)[1]):
        raise PhotoError("unreadable", "names a folder or a bucket: give one to --input, with --output")
    try:
        return open_source(folder + slash or ".", patient=False).read(name)
    except OrchardError as error:  # it was no --input
        raise type(error)(str(error).replace("--input", "PHOTO", 1)) from error


def _checked(array: Any) -> Pixels:
    if not isinstance(array, np.ndarray):
        raise TypeError(f"an image is {_KINDS}, not {type(array).__name__}")
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise ValueError(f"an image is {_KINDS}, not an array {array.shape} of {array.dtype}")
    return array
