"""Holding an output in object storage."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from orchard.errors import OutputError
from orchard.legacy.locks import DEAD, OBJECT, lock_objects
from orchard.storage.stores import ObjectStore

from tests.s3.folder import serving_folder


@pytest.fixture
def store(bucket: str) -> ObjectStore:
    return ObjectStore(f"{bucket}/out")


def held_by(store: ObjectStore, **facts: object) -> None:
    """As if somebody had said so."""
    store.write(
        OBJECT, json.dumps({"token": "theirs", "host": "elsewhere", "pid": 1, "seen": time.time(), **facts}).encode()
    )


def test_a_place_is_held_and_let_go(store: ObjectStore) -> None:
    with lock_objects(store, "out") as check:
        check()
        with (
            pytest.raises(OutputError, match=r"another run is writing there, on .*, last seen \d s ago: wait for it"),
            lock_objects(store, "out"),
        ):
            pass
        check()
    assert list(store.list()) == []
    with lock_objects(store, "out"):
        pass


def test_a_holder_far_away_is_taken_for_dead_after_a_while(store: ObjectStore) -> None:
    held_by(store)
    with pytest.raises(OutputError, match="on elsewhere"), lock_objects(store, "out"):
        pass
    held_by(store, seen=time.time() - DEAD - 1)
    with lock_objects(store, "out") as check:
        check()


def test_a_dead_process_of_this_machine_is_known_to_be_dead(store: ObjectStore) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    )
    held_by(store, host=os.uname().nodename, pid=int(done.stdout))
    with lock_objects(store, "out") as check:
        check()


def test_who_was_taken_for_dead_finds_out_and_lets_the_other_be(store: ObjectStore) -> None:
    with lock_objects(store, "out", beat=0.1) as check:
        held_by(store)
        time.sleep(0.5)
        with pytest.raises(OutputError, match="another run has taken over"):
            check()
    assert json.loads(store.read(OBJECT))["token"] == "theirs"


def test_a_holder_says_that_it_lives(store: ObjectStore) -> None:
    now = iter(range(1000, 2000))
    with lock_objects(store, "out", clock=lambda: next(now), beat=0.05):
        first = json.loads(store.read(OBJECT))["seen"]
        time.sleep(1)
        assert json.loads(store.read(OBJECT))["seen"] > first


@pytest.mark.parametrize("moment", range(5))
def test_of_two_that_find_a_dead_holder_one_takes_its_place(store: ObjectStore, moment: int) -> None:
    held_by(store, seen=time.time() - DEAD - 1)
    with ExitStack() as stack:
        times = 0

        def clock() -> float:  # asked for between what one does to take the place; there the other does all of it
            nonlocal times
            times += 1
            if times == moment:
                holds.append(stack.enter_context(lock_objects(store, "out")))
            return time.time()

        holds = []
        with suppress(OutputError):
            holds.append(stack.enter_context(lock_objects(store, "out", clock=clock)))
        assert len(holds) == 1
        holds[0]()


def test_a_late_sign_of_life_does_not_take_the_place_back(store: ObjectStore) -> None:
    late: list[bool] = []

    def clock() -> float:  # asked for between reading who holds the place and saying that it is still this one
        if late:
            held_by(store)
        return time.time()

    with lock_objects(store, "out", clock=clock, beat=0.05) as check:
        late.append(True)
        time.sleep(0.5)
        assert json.loads(store.read(OBJECT))["token"] == "theirs"
        with pytest.raises(OutputError, match="another run has taken over"):
            check()


def test_a_service_without_conditional_updates_does(aws: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving_folder(tmp_path, unsupported=["If-Match"]) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        store = ObjectStore("s3://fruit/out")
        held_by(store, seen=time.time() - DEAD - 1)
        with lock_objects(store, "out", beat=0.05) as check:
            first = json.loads(store.read(OBJECT))
            deadline = time.time() + 60  # each of those requests is tried nine times before it is taken for refused
            while json.loads(store.read(OBJECT)) == first and time.time() < deadline:
                time.sleep(0.1)
            assert json.loads(store.read(OBJECT))["seen"] > first["seen"]
            check()
        assert list(store.list()) == []
