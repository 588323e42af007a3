"""The plain limit of a network: decode, resize, forward pass, in processes of one thread each; no Spark, no table.

    python -m bench.limit PHOTOS BACKBONE WEIGHTS PROCESSES

Pillow and LiteRT alone, as the peers' `limit.py` has it for MobileNetV2, and prints the same line.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from orchard.network.backbones import Backbone, get_backbone
from PIL import Image

Timed = tuple[int, float]


def main(folder: str, name: str, weights: str, processes: str) -> None:
    """Print photos per second of all processes together, from when the last one is ready."""
    paths, count, context = sorted(map(str, Path(folder).rglob("*.jpg"))), int(processes), get_context("fork")
    barrier, queue = context.Barrier(count), context.Queue()
    workers = [
        context.Process(target=work, args=(paths[number::count], get_backbone(name), weights, barrier, queue))
        for number in range(count)
    ]
    for worker in workers:
        worker.start()
    timed: list[Timed] = [queue.get() for _ in workers]
    for worker in workers:
        worker.join()
    done, seconds = sum(photos for photos, _ in timed), max(taken for _, taken in timed)
    print(f"limit P={count}: {done} images {seconds:.2f}s = {done / seconds:.1f} img/s, {name}")


def work(paths: Sequence[str], backbone: Backbone, weights: str, barrier: Any, queue: Any) -> None:
    """One process: how many photos, and seconds."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(f"{weights}/{backbone.tflite_file}", num_threads=1)
    interpreter.allocate_tensors()
    given, found = (
        details()[0]["index"] for details in (interpreter.get_input_details, interpreter.get_output_details)
    )
    barrier.wait()
    started = time.perf_counter()
    for path in paths:
        with Image.open(path) as image:
            pixels = image.convert("RGB").resize(backbone.input_size, Image.Resampling.BICUBIC)
        values = np.asarray(pixels, np.float32) * np.float32(backbone.pixel_scale) + np.float32(backbone.pixel_offset)
        interpreter.set_tensor(given, values[None])
        interpreter.invoke()
        interpreter.get_tensor(found)
    queue.put((len(paths), time.perf_counter() - started))


if __name__ == "__main__":
    main(*sys.argv[1:])
