"""An exported file against its backbone, in one process, photo by photo in turn; prints one JSON line.

    python -m bench.exported FILE FOLDER

FILE is of `orchard export`, FOLDER holds photos, decoded before. Milliseconds a photo, medians, one thread: `file` from
pixels to the answer; `backbone` from pixels to features, as a run computes them; `plain` its model alone, whose pixels
are scaled before. The ratios of `file` to these are medians over the photos, each of times that were taken together.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from orchard.network.backbones import MOBILENET_V2
from orchard.network.bake.interpreting import open_model
from orchard.network.runtimes import make_predict
from orchard.photos.decoding import Pixels, decode

from bench.inputs import weights

# Calls of each that are not timed.
WARM_UP = 10


def main(file: str, folder: str) -> None:
    """Measure once and print the numbers."""
    photos = [decode(path.read_bytes(), MOBILENET_V2.input_size) for path in sorted(Path(folder).rglob("*.jpg"))]
    milliseconds = times(calls(Path(file).read_bytes(), photos), len(photos))
    of_file, of_backbone, of_plain = milliseconds.T
    numbers = {"file": of_file, "backbone": of_backbone, "plain": of_plain}
    numbers |= {"ratio": of_file / of_backbone, "plain_ratio": of_file / of_plain}
    print(json.dumps({"photos": len(photos), **{name: float(np.median(all_)) for name, all_ in numbers.items()}}))


def calls(content: bytes, photos: Sequence[Pixels]) -> list[Callable[[int], object]]:
    """What is timed, each a function of a photo's number: the file, the backbone, and its model alone."""
    scaled = [photo * np.float32(MOBILENET_V2.pixel_scale) + np.float32(MOBILENET_V2.pixel_offset) for photo in photos]
    file, predict = open_model(content), make_predict(MOBILENET_V2, "litert", weights().folder)
    # `Run` is declared for a file's bytes; a backbone's model takes floats.
    model: Callable[[Any], object] = open_model(Path(weights().path(MOBILENET_V2.tflite_file)).read_bytes())
    return [lambda n: file(photos[n]), lambda n: predict(photos[n][np.newaxis]), lambda n: model(scaled[n])]


def times(timed: Sequence[Callable[[int], object]], count: int) -> npt.NDArray[np.float64]:
    """Milliseconds (count, calls); the calls of one number are made together, in every order equally often."""
    for number, call in itertools.product(range(min(WARM_UP, count)), timed):
        call(number)
    found = np.empty((count, len(timed)))
    orders = itertools.cycle(itertools.permutations(range(len(timed))))
    for number, order in zip(range(count), orders, strict=False):
        for which in order:
            started = time.perf_counter()
            timed[which](number)
            found[number, which] = 1000 * (time.perf_counter() - started)
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
