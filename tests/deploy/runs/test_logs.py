"""Logs: every place where AWS puts them, in order, and followed without a line lost or shown twice."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from orchard_deploy.runs.logs import Choice, Follower, LogFile, log_files, unpack
from orchard_deploy.targets import EKS, SERVERLESS, Target

RUN = "logs/applications/00f1/jobs/00r1"


def found(target: Target, *names: str) -> list[LogFile]:
    return list(log_files(target, "logs/x", [(f"logs/x/{name}", "e") for name in names]))


@pytest.mark.parametrize(
    ("key", "worker", "number", "stream", "attempt", "index"),
    [
        ("SPARK_DRIVER/stdout.gz", "driver", 0, "stdout", 1, None),
        ("SPARK_DRIVER/archived/stderr_3.gz", "driver", 0, "stderr", 1, 3),
        ("attempts/2/SPARK_DRIVER/stderr.gz", "driver", 0, "stderr", 2, None),
        ("attempts/2/SPARK_DRIVER/archived/stdout_12.gz", "driver", 0, "stdout", 2, 12),
        ("SPARK_EXECUTOR/1/stdout.gz", "executor", 1, "stdout", 1, None),
        ("SPARK_EXECUTOR_2/stderr.gz", "executor", 2, "stderr", 1, None),
    ],
)
def test_log_files_at_every_location_that_is_documented_or_was_seen(
    key: str, worker: str, number: int, stream: str, attempt: int, index: int | None
) -> None:
    (file,) = found(SERVERLESS, key)
    source = file.source
    assert (source.worker, source.number, source.stream, source.attempt, file.index) == (
        worker,
        number,
        stream,
        attempt,
        index,
    )


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
    assert [(file.source.worker, file.source.number, file.source.stream) for file in files] == [
        ("driver", 0, "stdout"),
        ("executor", 2, "stderr"),
    ]


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
    assert [file.index for file in Choice().pick(files)] == [1, 2, 10, None]


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


@pytest.mark.parametrize("target", [SERVERLESS, EKS])
@given(
    pieces=st.lists(
        st.tuples(st.binary(max_size=40).map(lambda text: text.replace(b"\r", b"\n")), st.booleans()), max_size=12
    )
)
@settings(max_examples=60, deadline=None)
def test_follower_gives_each_line_once_and_in_order(target: Target, pieces: list[tuple[bytes, bool]]) -> None:
    store, text, shown = Store(), b"", []
    full = 16 if target is SERVERLESS else 10**9  # EMR on EKS moves nothing away
    prefix = f"logs/{target.logs.format(place='00f1', run='00r1')}"
    driver = "SPARK_DRIVER" if target is SERVERLESS else "containers/spark-00r1/spark-00r1-driver"
    follower = Follower(target, prefix, store.listing, store.objects.get, Choice(streams=("stdout",)))
    for piece, look in pieces:
        text += piece
        store.ship(f"{prefix}/{driver}", text, full)
        if look:
            shown += [line for _, line in follower.new_lines()]
    shown += [line for _, line in follower.last_lines()]
    expected = text.decode("utf-8", "replace").split("\n")
    assert shown == (expected if expected[-1] else expected[:-1])


def test_follower_reads_nothing_that_has_not_changed() -> None:
    store, reads = Store(), []

    def reading(key: str) -> bytes | None:
        reads.append(key)
        return store.objects.get(key)

    follower = Follower(SERVERLESS, RUN, store.listing, reading, Choice())
    for text in (b"a\n", b"a\n", b"a\nbcd"):
        store.ship(f"{RUN}/SPARK_DRIVER", text, 4)
        list(follower.new_lines())
    assert [key.rpartition("/")[2] for key in reads] == ["stdout.gz", "stdout_1.gz", "stdout.gz"]


def test_follower_after_rotation_to_the_same_content() -> None:
    store, prefix = Store(), f"{RUN}/SPARK_DRIVER"
    follower = Follower(SERVERLESS, RUN, store.listing, store.objects.get, Choice())
    store.ship(prefix, b"a\n", 4)
    assert [line for _, line in follower.new_lines()] == ["a"]
    store.ship(prefix, b"a\nb\na\n", 4)
    assert [line for _, line in follower.new_lines()] == ["b", "a"]


def test_follower_of_every_attempt() -> None:
    store = Store()
    follower = Follower(SERVERLESS, RUN, store.listing, store.objects.get, Choice(every_attempt=True))
    store.ship(f"{RUN}/attempts/1/SPARK_DRIVER", b"first\n")
    assert [line for _, line in follower.new_lines()] == ["first"]
    store.ship(f"{RUN}/attempts/2/SPARK_DRIVER", b"second\n")
    assert [(source.attempt, line) for source, line in follower.new_lines()] == [(2, "second")]
