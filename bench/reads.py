"""One task's work on photos in a folder or behind an S3 endpoint with latency; prints one JSON line.

    python -m bench.reads FOLDER LATENCY AHEAD

LATENCY is in milliseconds, added to every GET, or `folder` to read the files themselves; AHEAD is how many photos are
read ahead, 1 for one by one. The endpoint has a processor of its own where there are two.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from dataclasses import replace

from orchard.features.task import FeaturizeTask, Network
from orchard.network.backbones import MOBILENET_V2
from orchard.photos.photo import arrange
from orchard.photos.prefetch import AHEAD, Ahead
from orchard.photos.source import open_source
from orchard.storage.stores import open_store

from bench.inputs import serving, weights

WARM_UP = 32


def featurize(uri: str, ahead: Ahead) -> dict[str, float]:
    """Featurize all photos at `uri`, after a few untimed ones; seconds, photos per second, and CPU per photo in ms.

    `alone` is the rate that waiting and the process's own processor time allow, all threads of it in turn: unlike the
    clock's, it does not change with what else the machine does.
    """
    source, network = open_source(uri), Network(MOBILENET_V2, "litert", weights())
    photos = arrange(source.list().photos)
    with tempfile.TemporaryDirectory(prefix="orchard-reads-") as output:
        task = FeaturizeTask(source, network, open_store(output))
        task(0, photos[:WARM_UP])
        started, cpu = time.perf_counter(), time.process_time()
        report = task(1, photos, ahead=ahead)
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    done = report.featurized
    rates = {"rate": done / seconds, "alone": done / (report.waiting + cpu), "cpu": 1000 * cpu / done}
    work = {name: getattr(report, name) for name in ("waiting", "decoding", "predicting")}
    return {"photos": done, "seconds": seconds, **rates, **work}


def main(folder: str, latency: str, ahead: str) -> None:
    """Run once and print the numbers."""
    window = replace(AHEAD, photos=int(ahead))
    if latency == "folder":
        numbers = featurize(folder, window)
    else:
        with serving(folder, {"latency": float(latency) / 1000}):
            numbers = featurize("s3://photos", window)
    print(json.dumps(numbers))


if __name__ == "__main__":
    main(*sys.argv[1:])
