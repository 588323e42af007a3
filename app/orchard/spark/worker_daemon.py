"""The process that Spark forks its Python workers from (`spark.python.daemon.module`).

Stock PySpark's forks bare workers that then each import NumPy, Arrow, Pillow and LiteRT for themselves. This one
imports them first, so that a worker starts in milliseconds and shares those pages with its siblings. It also takes two
delays of 40 ms from each task; one that does next to nothing takes 16 ms then, instead of 60 to 110.
"""

import contextlib
import gc
import importlib
import io
import os
import socket
import sys
import zipimport
from collections.abc import Callable
from typing import Any, BinaryIO

# One thread a task: Spark already runs one task for each core.
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
_OWN = ("orchard.features.task", "orchard.pca.job", "orchard.classifier.training.passes")
for _name in (*_OWN, "ai_edge_litert.interpreter", "PIL.JpegImagePlugin", "PIL.PngImagePlugin", "pyspark.worker"):
    with contextlib.suppress(ImportError):  # the task that needs it fails with a traceback that says so
        importlib.import_module(_name)
# Before each task pyspark has importers look again at what they import from. For the jar of Spark's core, which Spark
# itself puts on the path, that is 40 ms of reading a directory that does not change.
for _importer in sys.path_importer_cache.values():
    if isinstance(_importer, zipimport.zipimporter):
        _importer.invalidate_caches = lambda: None  # type: ignore[method-assign]
# What is loaded now stays: the collections that pyspark makes after each task neither search nor copy it.
gc.freeze()

# Of a worker, in pyspark: reads tasks from one file and writes their results to another.
Main = Callable[[Any, BinaryIO], object]


class PromptFile(io.RawIOBase):
    """What a worker's socket receives, acknowledged at once.

    The JVM sends a task in small pieces, each when the one before is acknowledged (Nagle's algorithm). Linux delays an
    acknowledgement by 40 ms, unless this option is set, which it is to be before every read.
    """

    def __init__(self, file: io.BufferedReader) -> None:
        self._file = file  # some may be in its buffer already
        self._socket = socket.socket(fileno=os.dup(file.fileno()))

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """What is there already or comes next; 0 at the end."""
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return self._file.readinto1(buffer)

    def close(self) -> None:
        """Close this file, and leave the socket open."""
        self._socket.close()
        super().close()


def prompt(main: Main) -> Main:
    """The same, reading from a `PromptFile` on Linux; without a word where the JVM is gone, to which all is told."""

    def prompt_main(file: io.BufferedReader, out: BinaryIO) -> object:
        try:
            if not hasattr(socket, "TCP_QUICKACK"):
                return main(file, out)
            with io.BufferedReader(PromptFile(file), 65536) as quick:
                return main(quick, out)
        except EOFError:  # pyspark's daemon would print a traceback
            raise SystemExit(1) from None

    return prompt_main


if __name__ == "__main__":
    from pyspark import daemon

    daemon.worker_main = prompt(daemon.worker_main)  # type: ignore[attr-defined]
    daemon.manager()  # type: ignore[no-untyped-call]
