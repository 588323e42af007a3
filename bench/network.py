"""What a network costs, for its entry in `orchard.network.backbones`: no weights are needed.

    python -m bench.network NAME [NAME ...]

Prints for each a line of JSON: its parameters, millions of multiply-adds for one photo, bytes of the LiteRT model,
megabytes that a process with LiteRT takes for it, and milliseconds a photo.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from orchard.network.backbones import Backbone, get_backbone
from orchard.network.runtimes import import_tensorflow, make_keras_model, make_predict, quiet

PHOTOS = 8


def main(names: list[str]) -> None:
    """Measure each."""
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            facts = describe(get_backbone(name), Path(folder))
            run = [sys.executable, "-m", "bench.network", "--run", name, folder]
            facts |= json.loads(subprocess.run(run, check=True, stdout=subprocess.PIPE).stdout)
        print(json.dumps({"name": name, **facts}), flush=True)


def describe(backbone: Backbone, folder: Path) -> dict[str, Any]:
    """What TensorFlow counts; the LiteRT model, of random weights, is left in the folder."""
    with quiet(1, 2):
        tensorflow = import_tensorflow()
        model = make_keras_model(backbone)
        content = tensorflow.lite.TFLiteConverter.from_keras_model(model).convert()
        operations = count_operations(tensorflow, model, backbone)
    (folder / backbone.tflite_file).write_bytes(content)
    return {"parameters": model.count_params(), "multiply_adds": round(operations / 2e6), "bytes": len(content)}


def count_operations(tensorflow: Any, model: Any, backbone: Backbone) -> int:
    """Floating-point operations of one photo, two of which are a multiply-add."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2_as_graph

    function = tensorflow.function(lambda images: model(images, training=False))
    traced = function.get_concrete_function(tensorflow.TensorSpec((1, *backbone.shape), tensorflow.float32))
    _, definition = convert_variables_to_constants_v2_as_graph(traced)
    profiler = tensorflow.compat.v1.profiler
    with tensorflow.Graph().as_default() as graph:
        tensorflow.graph_util.import_graph_def(definition, name="")
        options = profiler.ProfileOptionBuilder(profiler.ProfileOptionBuilder.float_operation())
        return int(profiler.profile(graph, options=options.with_empty_output().build()).total_float_ops)


def run(backbone: Backbone, folder: str) -> dict[str, float]:
    """What LiteRT takes in this process, which has imported it and done nothing else."""
    import ai_edge_litert.interpreter  # noqa: F401  # before memory is looked at

    pixels = np.random.default_rng(0).integers(0, 256, (PHOTOS, *backbone.shape), np.uint8)
    before = _status("VmRSS")
    predict = make_predict(backbone, "litert", folder)
    predict(pixels)
    peak, started = _status("VmHWM"), time.perf_counter()
    predict(pixels)
    milliseconds = (time.perf_counter() - started) / PHOTOS * 1000
    return {"memory": round(peak - before), "milliseconds": round(milliseconds, 2)}


def _status(name: str) -> float:
    """Megabytes of this process, by Linux' name for them."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        print(json.dumps(run(get_backbone(sys.argv[2]), sys.argv[3])))
    else:
        main(sys.argv[1:])
