"""One task's work on photos in a folder or behind an S3 endpoint with latency; prints one JSON line.

    python -m bench.reads FOLDER LATENCY PHOTOS AHEAD WEIGHTS

LATENCY is in milliseconds, added to every GET, or `folder` to read the files themselves; AHEAD is how many photos are read
ahead, 1 for one by one. The endpoint has a processor of its own where there are two.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace

from orchard.features.job import Network, TaskReport, featurize_slice
from orchard.network.backbones import MOBILENET_V2
from orchard.network.weights import check_weights
from orchard.photos.manifest import arrange, to_table
from orchard.photos.prefetch import AHEAD, Ahead
from orchard.photos.source import open_source

from bench.endpoint import serving

WARM_UP = 32


def featurize(uri: str, count: int, ahead: Ahead, weights: str) -> dict[str, float]:
    """Featurize the first `count` photos at `uri`, after a few untimed ones; seconds, photos per second, and CPU per photo in ms.

    `alone` is the rate that waiting and the process's own processor time allow, all threads of it in turn: unlike the clock's, it
    does not change with what else the machine does.
    """
    source, network = open_source(uri), Network(MOBILENET_V2, "litert", check_weights(MOBILENET_V2, weights))
    photos = arrange(source.photos())[:count]
    for _ in featurize_slice(source, network, to_table(photos[:WARM_UP]), TaskReport(0)):
        pass
    report, started, cpu = TaskReport(0), time.perf_counter(), time.process_time()
    for _ in featurize_slice(source, network, to_table(photos), report, ahead):
        pass
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    done = report.featurized
    numbers = {
        "photos": done,
        "seconds": seconds,
        "rate": done / seconds,
        "alone": done / (report.waiting + cpu),
        "cpu": 1000 * cpu / done,
    }
    return numbers | {"waiting": report.waiting, "decoding": report.decoding, "predicting": report.predicting}


def main(folder: str, latency: str, count: str, ahead: str, weights: str) -> None:
    """Run once and print the numbers."""
    window = replace(AHEAD, photos=int(ahead))
    if latency == "folder":
        numbers = featurize(folder, int(count), window, weights)
    else:
        with serving(folder, {"latency": float(latency) / 1000}) as uri:
            numbers = featurize(uri, int(count), window, weights)
    print(json.dumps(numbers))


if __name__ == "__main__":
    main(*sys.argv[1:])
