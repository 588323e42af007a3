"""Holding an output in object storage."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest

from app.errors import OutputError
from app.locks import DEAD, OBJECT, lock_objects
from app.stores import Store, open_store


@pytest.fixture
def store(bucket: str) -> Store:
    return open_store(f"{bucket}/out")


def held_by(store: Store, **facts: object) -> None:
    """As if somebody had said so."""
    store.write(OBJECT, json.dumps({"token": "theirs", "host": "elsewhere", "pid": 1, "seen": time.time(), **facts}).encode())


def test_a_place_is_held_and_let_go(store: Store) -> None:
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


def test_a_holder_far_away_is_taken_for_dead_after_a_while(store: Store) -> None:
    held_by(store)
    with pytest.raises(OutputError, match="on elsewhere"), lock_objects(store, "out"):
        pass
    held_by(store, seen=time.time() - DEAD - 1)
    with lock_objects(store, "out") as check:
        check()


def test_a_dead_process_of_this_machine_is_known_to_be_dead(store: Store) -> None:
    done = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True)
    held_by(store, host=os.uname().nodename, pid=int(done.stdout))
    with lock_objects(store, "out") as check:
        check()


def test_who_was_taken_for_dead_finds_out_and_lets_the_other_be(store: Store) -> None:
    with lock_objects(store, "out", beat=0.1) as check:
        held_by(store)
        time.sleep(0.5)
        with pytest.raises(OutputError, match="another run has taken over"):
            check()
    assert json.loads(store.read(OBJECT))["token"] == "theirs"


def test_a_holder_says_that_it_lives(store: Store) -> None:
    now = iter(range(1000, 2000))
    with lock_objects(store, "out", clock=lambda: next(now), beat=0.05):
        first = json.loads(store.read(OBJECT))["seen"]
        time.sleep(1)
        assert json.loads(store.read(OBJECT))["seen"] > first
