"""Make the archive of Spark's classes (class data sharing), the same bytes for the same classes. Standard library only.

    classes.list  ->  two dumps  ->  what differs between them set to zero  ->  the archive

Which classes a run loads differs a little from one to the next: the list is made once (`make classes`) and kept. Names that the base
image's Spark does not have do no harm.

Java 17 does not dump the same bytes twice (JDK-8253495, repaired in 19), for two reasons. Its threads race for the order of names: they
do not with a list without lambda forms, the interpreter only, one core, and memory enough never to collect garbage. And some 20
records carry the rest of a stack address after their one-byte field: those bytes mean nothing, and neither do the checksums over them,
which Java reads only with -XX:+VerifySharedSpaces.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HEADER_BYTES = 4096
# Far above what was seen (22), far below what two orders of names make (thousands).
MAX_WORDS = 200
_TRIES = 3
_JAVA_OPTIONS = (
    "-Xshare:dump",
    "-Xint",
    "-Xrs",
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",
    "-Xms2g",
    "-Xmx2g",
    "-Xmn1700m",
    "-XX:MetaspaceSize=1g",
)


class UnstableArchiveError(Exception):
    """Two dumps differ in more than bytes without a meaning."""


def settle(first: bytes, second: bytes) -> bytes:
    """One archive of two dumps of the same classes, with the bytes set to zero that are left over from the run.

    Raises:
        UnstableArchiveError: the dumps differ in size, in more than `MAX_WORDS` places, or in the one byte of a record that has a meaning.
    """
    if len(first) != len(second):
        raise UnstableArchiveError(f"{len(first)} and {len(second)} bytes")
    settled = bytearray(first)
    for count, word in enumerate(_differing_words(first, second)):
        if count == MAX_WORDS:
            raise UnstableArchiveError(f"more than {MAX_WORDS} places differ")
        _clear(settled, word, first, second)
    return bytes(settled)


def _differing_words(first: bytes, second: bytes, block: int = 1 << 16) -> Iterator[int]:
    """Offsets of the 8-byte words that differ."""
    for start in range(0, len(first), block):
        if first[start : start + block] != second[start : start + block]:
            yield from (
                at
                for at in range(start, min(start + block, len(first)), 8)
                if first[at : at + 8] != second[at : at + 8]
            )


def _clear(settled: bytearray, word: int, first: bytes, second: bytes) -> None:
    if word < HEADER_BYTES:  # checksums, 4 bytes each
        for half in (word, word + 4):
            if first[half : half + 4] != second[half : half + 4]:
                settled[half : half + 4] = bytes(4)
    elif first[word] != second[word]:
        raise UnstableArchiveError(f"byte {word} differs")
    else:  # a byte that means something, then seven that do not, of which some may be equal by chance
        settled[word + 1 : word + 8] = bytes(7)


def dump(java: Path, classes: Path, class_path: Path, archive: Path, core: int) -> bytes:
    """One dump of the listed classes, made on one core; returns its bytes."""
    options = [
        *_JAVA_OPTIONS,
        f"-XX:SharedClassListFile={classes}",
        f"-XX:SharedArchiveFile={archive}",
        "-cp",
        str(class_path),
    ]
    subprocess.run(
        ["taskset", "-c", str(core), str(java), *options],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    content = archive.read_bytes()
    archive.unlink()
    return content


def make_archive(java: Path, classes: Path, class_path: Path, archive: Path) -> str:
    """Write the archive; returns a line that says how it went. Where no two dumps agree, the last one is taken as it is."""
    for _ in range(_TRIES):
        first, second = _two_dumps(java, classes, class_path, archive)
        try:
            archive.write_bytes(settle(first, second))
            return f"archive of classes: {len(first)} bytes"
        except UnstableArchiveError as exc:
            print(f"two dumps disagree: {exc}", flush=True)
    archive.write_bytes(second)
    return f"archive of classes: {len(second)} bytes, not reproducible"


def _two_dumps(java: Path, classes: Path, class_path: Path, archive: Path) -> list[bytes]:
    cores = sorted(os.sched_getaffinity(0))
    with ThreadPoolExecutor(2) as pool:
        makers = [
            pool.submit(dump, java, classes, class_path, archive.with_suffix(f".{number}"), cores[number % len(cores)])
            for number in range(2)
        ]
        return [maker.result() for maker in makers]


def main(argv: Sequence[str]) -> int:
    """Command line `LIST CLASSPATH ARCHIVE`; returns the exit code: 0 without an archive too, which only costs time."""
    classes, class_path, archive = map(Path, argv)
    java = Path(os.environ["JAVA_HOME"], "bin", "java")
    try:
        print(make_archive(java, classes, class_path, archive))
        # Written by an outside hand: the JVM itself must accept it.
        subprocess.run(
            [java, "-Xshare:on", f"-XX:SharedArchiveFile={archive}", "-cp", class_path, "-version"], check=True
        )
    except (OSError, subprocess.CalledProcessError) as exc:
        archive.unlink(missing_ok=True)
        print(f"no archive of classes, local runs will start slower: {exc}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
