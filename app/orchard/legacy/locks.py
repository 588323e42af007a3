"""One run at a time writes an output: a locked file in a folder, an object that says who is writing in object storage.

Object storage has no locks that end with their holder. The holder says every `BEAT` seconds that it is alive, and is taken for dead
when it has not said so for `DEAD`; whoever comes then takes the place over. Both are conditional writes, that fail when the object
is not the version that was read: of several takers one gets it, and no late sign of life takes it back. Should the first be alive
after all, it finds that out before it changes anything (`check`), and stops.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchard.errors import OutputError
from orchard.storage.stores import ObjectStore

if TYPE_CHECKING:
    from obstore import UpdateVersion

BEAT, DEAD = 20.0, 90.0
FILE = ".lock"
OBJECT = f".partial/{FILE}"


def nothing_to_check() -> None:
    """A locked file is the holder's until it ends."""


@contextlib.contextmanager
def lock_folder(root: Path, uri: str) -> Iterator[Callable[[], None]]:
    """Hold a folder, which is made if need be, and removed at the end if it was made and is empty.

    Raises:
        OutputError: another process holds it.
    """
    made = not root.exists()
    root.mkdir(parents=True, exist_ok=True)
    lock = _lock_file(root / FILE, uri)
    try:
        yield nothing_to_check
    finally:
        (root / FILE).unlink()
        os.close(lock)
        if made:
            with contextlib.suppress(OSError):
                root.rmdir()


def _lock_file(path: Path, uri: str) -> int:
    while True:
        lock = os.open(path, os.O_CREAT | os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise OutputError(
                f"--output {uri}: another run is writing there: wait for it, or choose another place"
            ) from None
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(lock), os.stat(path)):
                return lock
        os.close(lock)  # another run removed it just now, when it ended


@contextlib.contextmanager
def lock_objects(
    store: ObjectStore, uri: str, *, clock: Callable[[], float] = time.time, beat: float = BEAT
) -> Iterator[Callable[[], None]]:
    """Hold a place in object storage; gives a function that raises `OutputError` when it is held no more.

    Raises:
        OutputError: another process holds it.
    """
    holder = _Holder(store, uri, clock)
    holder.take()
    stop = threading.Event()
    thread = threading.Thread(target=_keep, args=(holder, stop, beat), daemon=True, name="holding the output")
    thread.start()
    try:
        yield holder.check
    finally:
        stop.set()
        thread.join()
        with contextlib.suppress(OutputError):
            if holder.is_mine():
                store.delete([OBJECT])


class _Holder:
    def __init__(self, store: ObjectStore, uri: str, clock: Callable[[], float]) -> None:
        self._store, self._uri, self._clock, self._token = store, uri, clock, uuid.uuid4().hex

    def take(self) -> None:
        held = self._read()
        if held and self._is_alive(held[0]):
            raise OutputError(
                f"--output {self._uri}: another run is writing there, on {held[0]['host']}, last seen {self._age(held[0]):.0f} s ago: "
                f"wait for it, or, if it is dead, for {DEAD:.0f} s after that"
            )
        taken = (
            self._store.replace(OBJECT, self._content(), held[1])
            if held
            else self._store.create(OBJECT, self._content())
        )
        # A request that was sent again because its answer was lost fails on what it wrote itself the first time.
        if not taken and not self.is_mine():
            raise OutputError(
                f"--output {self._uri}: another run began there just now: wait for it, or choose another place"
            )

    def beat(self) -> bool:
        """Say that the holder lives; False if it is the holder no more."""
        held = self._read()
        if not held or not self._is_own(held[0]):
            return False
        return self._store.replace(OBJECT, self._content(), held[1]) or self.is_mine()

    def check(self) -> None:
        if not self.is_mine():
            raise OutputError(
                f"--output {self._uri}: another run has taken over, this one seemed dead to it: let that one finish"
            )

    def is_mine(self) -> bool:
        held = self._read()
        return held is not None and self._is_own(held[0])

    def _is_own(self, said: dict[str, Any]) -> bool:
        return bool(said["token"] == self._token)

    def _read(self) -> tuple[dict[str, Any], UpdateVersion] | None:
        try:
            content, version = self._store.read_version(OBJECT)
        except FileNotFoundError:
            return None
        return json.loads(content), version

    def _content(self) -> bytes:
        return json.dumps(
            {"token": self._token, "host": socket.gethostname(), "pid": os.getpid(), "seen": self._clock()}
        ).encode()

    def _is_alive(self, other: dict[str, Any]) -> bool:
        if self._age(other) > DEAD:
            return False
        return other["host"] != socket.gethostname() or _is_running(int(other["pid"]))

    def _age(self, other: dict[str, Any]) -> float:
        return max(0.0, self._clock() - float(other["seen"]))


def _keep(holder: _Holder, stop: threading.Event, beat: float) -> None:
    while not stop.wait(beat):
        with contextlib.suppress(OutputError):  # storage that does not answer now may do so at the next beat
            if not holder.beat():
                return


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
