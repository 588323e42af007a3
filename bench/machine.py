"""Facts about the machine that decide the numbers."""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
import platform
import re
from pathlib import Path

import numpy as np
import psutil  # type: ignore[import-untyped]
from orchard.spark.session import find_java

# What Spark's netlib (dev.ludovic.netlib 3.0.3) asks the system for; it brings the glue, not the libraries.
LAPACK = ("liblapack.so.3", "libblas.so.3")
PACKAGES = (
    "ai-edge-litert",
    "deltalake",
    "numpy",
    "pillow",
    "pyarrow",
    "pyspark",
    "tensorflow",
    "tensorflow-cpu",
    "tensorflow_cpu",
)


def facts() -> dict[str, str]:
    """Processor, memory, system, versions and linear algebra, in words."""
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{psutil.virtual_memory().total / 1e9:.0f} GB",
        "system": f"{platform.system()} {platform.machine()}, {' '.join(platform.libc_ver())}",
        "java": find_java().version,
        "python": platform.python_version(),
        **{package.name: package.version for package in importlib.metadata.distributions() if package.name in PACKAGES},
        "native LAPACK": _native_lapack(),
        "NumPy's LAPACK": _numpy_lapack(),
        "load": f"{os.getloadavg()[0]:.1f} at the start",
    }


def _native_lapack() -> str:
    """What a JVM on this machine finds, by its real name: OpenBLAS, or the reference implementation, far slower."""
    try:
        for name in LAPACK:
            ctypes.CDLL(name)
        maps = Path("/proc/self/maps").read_text(encoding="utf-8")
    except OSError:
        return "none"
    return ", ".join(sorted(set(re.findall(r"/(?!.*site-packages).*/(lib(?:openblas|mkl|lapack|blas).*)", maps))))


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    match = re.search(r"model name\s*: (.+)", cpuinfo.read_text(encoding="utf-8")) if cpuinfo.exists() else None
    return match[1] if match else platform.processor()


def _numpy_lapack() -> str:
    lapack = np.show_config(mode="dicts")["Build Dependencies"]["lapack"]
    return f"{lapack['name']} {lapack['version']}"
