"""Logs: every place where AWS puts them, in order, and followed without a line lost or shown twice."""

from __future__ import annotations

import gzip
import math
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from orchard_deploy.context import Pace
from orchard_deploy.runs.logs import Choice, LogFile, Source, Tail, log_files, unpack
from orchard_deploy.targets import EKS, SERVERLESS, Target

RUN = "logs/applications/00f1/jobs/00r1"


def found(target: Target, *names: str) -> list[LogFile]:
    return list(log_files(target, "logs/x", [(f"logs/x/{name}", "e") for name in names]))


@pytest.mark.parametrize(
    ("key", "worker", "stream", "attempt", "index"),
    [
        ("SPARK_DRIVER/stdout.gz", 0, "stdout", 1, math.inf),
        ("SPARK_DRIVER/archived/stderr_3.gz", 0, "stderr", 1, 3),
        ("attempts/2/SPARK_DRIVER/stderr.gz", 0, "stderr", 2, math.inf),
        ("attempts/2/SPARK_DRIVER/archived/stdout_12.gz", 0, "stdout", 2, 12),
        ("SPARK_EXECUTOR/1/stdout.gz", 1, "stdout", 1, math.inf),
        ("SPARK_EXECUTOR_2/stderr.gz", 2, "stderr", 1, math.inf),
    ],
)
def test_log_files_at_every_location_that_is_documented_or_was_seen(
    key: str, worker: int, stream: str, attempt: int, index: float
) -> None:
    (file,) = found(SERVERLESS, key)
    assert (file.source, file.part) == (Source(attempt, worker, stream), index)


def test_log_files_leaves_out_event_logs_and_other_runs() -> None:
    assert (
        found(SERVERLESS, "sparklogs/eventlog_v2_00r1/events_1", "SPARK_DRIVER/other.txt", "sub/SPARK_DRIVER/stdout.gz")
        == []
    )


def test_log_files_on_eks() -> None:
    files = found(
        EKS,
        "containers/spark-000abc/spark-000abc-driver/stdout.gz",
        "containers/spark-000abc/orchard-8b2-exec-2/stderr.gz",
        "containers/submitter-x/stdout.gz",
    )
    assert [(file.source.worker, file.source.stream) for file in files] == [(0, "stdout"), (2, "stderr")]


def test_choice_pick_of_attempts_and_streams() -> None:
    files = found(
        SERVERLESS,
        "attempts/1/SPARK_DRIVER/stdout.gz",
        "attempts/2/SPARK_DRIVER/stdout.gz",
        "attempts/2/SPARK_DRIVER/stderr.gz",
    )
    assert [str(file.source) for file in Choice().pick(files)] == [
        "driver stderr, attempt 2",
        "driver stdout, attempt 2",
    ]
    assert [str(file.source) for file in Choice(attempt=1).pick(files)] == ["driver stdout"]
    assert len(Choice(every_attempt=True).pick(files)) == 3
    assert [str(file.source) for file in Choice(streams=("stderr",)).pick(files)] == ["driver stderr, attempt 2"]
    assert Choice(executors=True).pick(files) == []


def test_choice_pick_orders_archived_files_before_the_growing_one() -> None:
    files = found(SERVERLESS, "SPARK_DRIVER/stderr.gz", *(f"SPARK_DRIVER/archived/stderr_{n}.gz" for n in (10, 2, 1)))
    assert [file.part for file in Choice().pick(files)] == [1, 2, 10, math.inf]


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_unpack_of_a_file_that_is_not_complete(cut: int) -> None:
    text = bytes(range(256)) * 20
    packed = gzip.compress(text, compresslevel=0)
    assert text.startswith(unpack(packed[:-cut]))
    assert len(unpack(packed[:-cut])) > 4000
    assert unpack(packed + gzip.compress(b"more")) == text + b"more"
    assert unpack(b"no gzip") == b""


class Store:
    """Objects by key, with an ETag that changes with the content."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def ship(self, prefix: str, text: bytes, full: int = 1 << 20) -> None:
        """Write a log's files as the service does: full ones are moved away."""
        whole = len(text) // full
        parts = {f"archived/stdout_{n + 1}": text[n * full : (n + 1) * full] for n in range(whole)}
        parts["stdout"] = text[whole * full :]
        self.objects |= {f"{prefix}/{name}.gz": gzip.compress(part) for name, part in parts.items()}

    def listing(self) -> list[tuple[str, str]]:
        return [(key, str(hash(content))) for key, content in sorted(self.objects.items())]


@dataclass
class Viewer:
    """A tail of a store's logs, with what it has shown."""

    store: Store = field(default_factory=Store)
    target: Target = SERVERLESS
    prefix: str = RUN
    choice: Choice = field(default_factory=Choice)
    reads: list[str] = field(default_factory=list)
    shown: list[tuple[int, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        pace = Pace(clock=lambda: 0.0, sleep=lambda seconds: None)
        self.tail = Tail(self.target, self.prefix, self.store.listing, self._read, self.choice, self._show, pace)

    def _read(self, key: str) -> bytes | None:
        self.reads.append(key)
        return self.store.objects.get(key)

    def _show(self, source: Source, line: str) -> None:
        self.shown.append((source.attempt, line))

    @property
    def lines(self) -> list[str]:
        return [line for _, line in self.shown]


@pytest.mark.parametrize("target", [SERVERLESS, EKS])
@given(
    pieces=st.lists(
        st.tuples(st.binary(max_size=40).map(lambda text: text.replace(b"\r", b"\n")), st.booleans()), max_size=12
    )
)
@settings(max_examples=60, deadline=None)
def test_tail_shows_each_line_once_and_in_order(target: Target, pieces: list[tuple[bytes, bool]]) -> None:
    text, full = b"", 16 if target is SERVERLESS else 10**9  # EMR on EKS moves nothing away
    prefix = f"logs/{target.logs.format(place='00f1', run='00r1')}"
    driver = "SPARK_DRIVER" if target is SERVERLESS else "containers/spark-00r1/spark-00r1-driver"
    viewer = Viewer(target=target, prefix=prefix, choice=Choice(streams=("stdout",)))
    for piece, look in pieces:
        text += piece
        viewer.store.ship(f"{prefix}/{driver}", text, full)
        if look:
            viewer.tail.poll()
    viewer.tail.finish(0)
    expected = text.decode("utf-8", "replace").split("\n")
    assert viewer.lines == (expected if expected[-1] else expected[:-1])


def test_tail_reads_nothing_that_has_not_changed() -> None:
    viewer = Viewer()
    for text in (b"a\n", b"a\n", b"a\nbcd"):
        viewer.store.ship(f"{RUN}/SPARK_DRIVER", text, 4)
        viewer.tail.poll()
    assert [key.rpartition("/")[2] for key in viewer.reads] == ["stdout.gz", "stdout_1.gz", "stdout.gz"]


def test_tail_after_rotation_to_the_same_content() -> None:
    viewer, prefix = Viewer(), f"{RUN}/SPARK_DRIVER"
    viewer.store.ship(prefix, b"a\n", 4)
    assert viewer.tail.poll()
    assert viewer.lines == ["a"]
    viewer.store.ship(prefix, b"a\nb\na\n", 4)
    assert viewer.tail.poll()
    assert viewer.lines == ["a", "b", "a"]
    assert not viewer.tail.poll()


def test_tail_of_every_attempt() -> None:
    viewer = Viewer(choice=Choice(every_attempt=True))
    for number, text in ((1, b"first\n"), (2, b"second\n")):
        viewer.store.ship(f"{RUN}/attempts/{number}/SPARK_DRIVER", text)
        viewer.tail.poll()
    assert viewer.shown == [(1, "first"), (2, "second")]
