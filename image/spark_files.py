"""Files that the container image adds for Spark's JVM, made from the base image's own Spark:

    class-path.jar   stands for every jar of Spark, in one fixed order
    native/          Snappy's native library, unpacked: from the jar it would be unpacked into /tmp and not run where that is noexec
    local.conf       settings of runs on local[N], for `spark-submit --properties-file`

An archive of classes (class data sharing) is tied to the class path that it was made with. Spark's own begins with the folder of its
configuration, which an archive cannot include, and goes on with `jars/*`, whose order differs from one file system to the next.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import orchard
from orchard.spark.java import START_OPTIONS
from orchard.spark.session import LOCAL_SETTINGS

CLASS_PATH_KEY = "spark.driver.extraClassPath"
# Older than any image: builders that make images reproducible lower newer times, and an archive remembers the time of each jar.
_MODIFIED = 315532800
_SNAPPY = "org/xerial/snappy/native/Linux/{machine}/libsnappyjava.so"


def read_properties(text: str) -> dict[str, str]:
    """The settings in a `spark-defaults.conf`."""
    lines = (line.strip() for line in text.splitlines())
    settings = (re.split(r"\s*[=:]\s*|\s+", line, maxsplit=1) for line in lines if not line.startswith("#"))
    return {setting[0]: setting[1] for setting in settings if len(setting) == 2}


def jars_of(class_path: Sequence[str]) -> list[str]:
    """The jars that a class path names, in its order; those of a `folder/*` by name. Folders of other files are left out."""
    found: dict[str, None] = {}
    for entry in class_path:
        if entry.endswith("/*"):
            found.update(dict.fromkeys(sorted(map(str, Path(entry[:-2]).glob("*.jar")))))
        elif entry.endswith(".jar") and os.path.isfile(entry):
            found[entry] = None
    return list(found)


def write_class_path_jar(path: Path, jars: Sequence[str]) -> None:
    """Write a jar that holds nothing but the names of others; the same bytes and time for the same names."""
    # Relative names: what the archive's maker understands. A line holds 72 bytes, the next ones begin with a space.
    line = "Class-Path: " + " ".join(os.path.relpath(jar, path.parent) for jar in jars)
    folded = [line[:72], *(" " + line[start : start + 71] for start in range(72, len(line), 71))]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            zipfile.ZipInfo("META-INF/MANIFEST.MF"), "\r\n".join(["Manifest-Version: 1.0", *folded, "", ""])
        )
    os.utime(path, (_MODIFIED, _MODIFIED))


def local_properties(folder: Path, class_path: str) -> dict[str, str]:
    """The settings of `local.conf`: those of a session that Orchard starts itself, and the archive of classes in `folder`."""
    logging = Path(orchard.__file__).with_name("log4j2.properties").as_uri()
    java = [*START_OPTIONS, f"-XX:SharedArchiveFile={folder / 'classes.jsa'}", f"-Dlog4j2.configurationFile={logging}"]
    own = {CLASS_PATH_KEY: class_path, "spark.driver.extraJavaOptions": " ".join(java), "spark.driver.memory": "1g"}
    return own | {name: str(value) for name, value in LOCAL_SETTINGS.items()}


def unpack_snappy(spark_home: Path, folder: Path, machine: str) -> None:
    """Unpack the library that Spark's own snappy-java would, for `machine` as `uname -m` calls it."""
    (jar,) = spark_home.glob("jars/snappy-java-*.jar")
    folder.mkdir(parents=True)
    with zipfile.ZipFile(jar) as archive:
        (folder / "libsnappyjava.so").write_bytes(archive.read(_SNAPPY.format(machine=machine)))


def write_all(folder: Path, environ: Mapping[str, str] = os.environ) -> None:
    """Write the three into a new `folder`, for the Spark in `$SPARK_HOME`."""
    spark_home = Path(environ["SPARK_HOME"])
    defaults = Path(environ.get("SPARK_CONF_DIR", spark_home / "conf")) / "spark-defaults.conf"
    base = read_properties(defaults.read_text(encoding="utf-8")).get(CLASS_PATH_KEY, "") if defaults.is_file() else ""
    unpack_snappy(spark_home, folder / "native", platform.machine())
    jar = folder / "class-path.jar"
    write_class_path_jar(jar, jars_of([*base.split(":"), f"{spark_home}/jars/*"]))
    properties = local_properties(folder, ":".join([str(jar), base] if base else [str(jar)]))
    (folder / "local.conf").write_text(
        "".join(f"{name} {value}\n" for name, value in properties.items()), encoding="utf-8"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m image.spark_files", description="Write the image's files for Spark's JVM."
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="a new folder, at the path it has in the image")
    write_all(parser.parse_args(argv).folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
