"""Facts about the machine that decide the numbers."""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
import platform
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import psutil  # type: ignore[import-untyped]
from orchard.spark.java import find_java

# What Spark's netlib (dev.ludovic.netlib 3.0.3) asks the system for; it brings the glue, not the libraries.
LAPACK, BLAS = "liblapack.so.3", "libblas.so.3"
PACKAGES = ("ai-edge-litert", "numpy", "pillow", "pyarrow", "pyspark", "tensorflow", "tensorflow-cpu", "tensorflow_cpu")


def facts() -> dict[str, str]:
    """Processor, memory, system, versions and linear algebra, in words."""
    java = find_java()
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{psutil.virtual_memory().total / 1e9:.0f} GB",
        "system": f"{platform.system()} {platform.machine()}, {' '.join(platform.libc_ver())}",
        "java": java.version,
        "python": platform.python_version(),
        **{package.name: package.version for package in importlib.metadata.distributions() if package.name in PACKAGES},
        "native LAPACK": native_lapack() or "none",
        "NumPy's LAPACK": _numpy_lapack(),
        "load": f"{os.getloadavg()[0]:.1f} at the start",
    }


def native_lapack() -> str | None:
    """The native LAPACK that a JVM on this machine finds, or None: it opens these two by name, so does this."""
    try:
        for name in (LAPACK, BLAS):
            ctypes.CDLL(name)
    except OSError:
        return None
    maps = Path("/proc/self/maps")
    # Its real name tells OpenBLAS from the reference implementation, which is many times slower.
    loaded = (
        re.findall(r"/(?!.*site-packages).*/(lib(?:openblas|mkl|lapack|blas).*)", maps.read_text())
        if maps.exists()
        else []
    )
    return ", ".join(sorted({LAPACK, BLAS, *loaded}))


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    match = re.search(r"model name\s*: (.+)", cpuinfo.read_text(encoding="utf-8")) if cpuinfo.exists() else None
    return match[1] if match else platform.processor()


def _numpy_lapack() -> str:
    config: Mapping[str, Mapping[str, Mapping[str, str]]] = np.show_config(mode="dicts")  # type: ignore[assignment]
    lapack = config["Build Dependencies"]["lapack"]
    return f"{lapack['name']} {lapack['version']}"
