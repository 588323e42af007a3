"""Runs a LiteRT model that is in memory, on one thread."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from orchard.network.runtimes import Pixels, quiet

Run = Callable[[Pixels], list[npt.NDArray[np.floating]]]


def open_model(content: bytes) -> Run:
    """A function from the pixels of one photo (height, width, 3) to the model's outputs, in its order, as copies.

    `ValueError` for bytes that are no model.
    """
    interpreter = _load(content)
    given = interpreter.get_input_details()[0]["index"]
    outputs = [output["index"] for output in interpreter.get_output_details()]

    def run(pixels: Pixels) -> list[npt.NDArray[np.floating]]:
        interpreter.set_tensor(given, pixels[np.newaxis])
        interpreter.invoke()
        return [interpreter.get_tensor(index) for index in outputs]

    return run


def _load(content: bytes) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    with quiet(2):  # the XNNPACK delegate announces itself from C++, once a process
        interpreter = Interpreter(model_content=content, num_threads=1)
        interpreter.allocate_tensors()
    return interpreter
