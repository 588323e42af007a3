"""`submit --wait` as a process at a real terminal: Ctrl-C asks, a closed terminal and signals do not; and SIGKILL."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from orchard_deploy.__main__ import main
from orchard_deploy.rehearsal.settings import Timings
from orchard_deploy.spec import SPEC_FILE

from tests.deploy.conftest import enter, tree_tag
from tests.deploy.rehearsal.account import Account, over_http
from tests.deploy.runs.conftest import BUCKET, Command

QUESTION = "It goes on, and costs, if you do not. [y/N] "
CTRL_C = b"\x03"
JOB = "import time; print('working', flush=True); time.sleep({}); print('done')"
# `orchard-deploy` in a process of its own, at a test's pace.
TYPED = [
    sys.executable,
    "-c",
    "import sys; from orchard_deploy import context; from orchard_deploy.runs import watch; "
    "from orchard_deploy.__main__ import main; from orchard_deploy.context import Pace; "
    "context.PACE, watch.LAST_LINES = Pace(first=0.02, longest=0.1), 0.4; sys.exit(main())",
]
Start = Callable[..., "subprocess.Popen[bytes]"]


def states(account: Account) -> list[str]:
    account.tick()
    return [job.state for job in account.serverless.jobs.values()]


@pytest.fixture
def account(request: pytest.FixtureRequest, tree: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    """AWS over HTTP, with all that a run needs; runs work for so many seconds."""
    timings = replace(Timings().faster(1000), minute=1.0, logging=0.05)
    job = JOB.format(getattr(request, "param", 60))
    with over_http(job, timings=timings, tags=frozenset([tree_tag(tree)])) as account:
        enter(account, monkeypatch)
        for _ in range(2):
            assert main(["up", "--spec", str(tree / SPEC_FILE), "--tree", str(tree)]) == 0
        account.write(f"s3://{BUCKET}/photos/Apple/1.jpg", b"x")
        yield account


@pytest.fixture
def start(account: Account, tree: Path) -> Iterator[Start]:
    """Starts `submit --wait` as a process."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*flags: str, **options: Any) -> subprocess.Popen[bytes]:
        words = ["submit", "--wait", "--spec", str(tree / SPEC_FILE), "--tree", str(tree), *flags]
        environ = {**os.environ, **account.environ}
        started.append(subprocess.Popen([*TYPED, *words], env=environ, **options))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()


class Terminal:
    """A terminal with `submit --wait`, whose run is at work."""

    def __init__(self, start: Start, *flags: str, nohup: bool = False) -> None:
        self.shown = ""
        self._end, own = pty.openpty()

        def take() -> None:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # whatever is switched off for the tests
                signal.signal(number, signal.SIG_IGN if nohup and number == signal.SIGHUP else signal.SIG_DFL)

        streams = {"stdin": own, "stdout": own, "stderr": own}
        self.process = start(*flags, **streams, start_new_session=True, preexec_fn=take)
        os.close(own)
        self.until("working")

    def until(self, text: str) -> None:
        """Read until it is shown."""
        while text not in self.shown:
            self.shown += os.read(self._end, 4096).decode()

    def type(self, keys: bytes) -> None:
        os.write(self._end, keys)

    def hang_up(self) -> None:
        os.close(self._end)
        self._end = -1

    def rest(self) -> str:
        """What is shown up to the process' end."""
        while self._end >= 0:
            try:
                self.shown += os.read(self._end, 4096).decode()
            except OSError:  # nobody has the other end any more
                self.hang_up()
        self.code = self.process.wait(timeout=60)
        return self.shown


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGHUP])
def test_submit_wait_ends_the_run_at_a_signal_and_asks_nothing(
    account: Account, start: Start, sent: signal.Signals
) -> None:
    at = Terminal(start)
    at.process.send_signal(sent)
    shown = at.rest()
    assert (QUESTION in shown, "interrupted" in shown, "Traceback" in shown) == (False, True, False)
    assert (at.code, states(account)) == (130, ["CANCELLED"])


@pytest.mark.parametrize("at_the_question", [False, True])
def test_submit_wait_ends_the_run_when_the_terminal_is_closed(
    account: Account, start: Start, at_the_question: bool
) -> None:
    at = Terminal(start)
    if at_the_question:
        at.type(CTRL_C)
        at.until(QUESTION)
    at.hang_up()
    at.rest()
    assert states(account) == ["CANCELLED"]


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_submit_wait_ends_the_run_at_a_signal_while_it_asks(
    account: Account, start: Start, sent: signal.Signals
) -> None:
    at = Terminal(start)
    at.type(CTRL_C)
    at.until(QUESTION)
    at.process.send_signal(sent)
    at.rest()
    assert states(account) == ["CANCELLED"]


@pytest.mark.parametrize(("answer", "ends"), [(b"y\n", True), (b"\n", False)])
def test_submit_wait_asks_at_ctrl_c(account: Account, start: Start, answer: bytes, ends: bool) -> None:
    at = Terminal(start)
    at.type(CTRL_C)
    at.until(QUESTION)
    assert states(account) == ["RUNNING"]
    at.type(answer)
    assert ("goes on: `orchard-deploy status`" in at.rest()) != ends
    assert (at.code, states(account)) == (130, ["CANCELLED" if ends else "RUNNING"])


@pytest.mark.parametrize("sent", [signal.SIGHUP, signal.SIGINT])
def test_submit_detach_leaves_the_run_whatever_is_sent(account: Account, start: Start, sent: signal.Signals) -> None:
    at = Terminal(start, "--detach")
    at.process.send_signal(sent)
    shown = at.rest()
    assert (QUESTION in shown, "goes on: `orchard-deploy status`" in shown) == (False, True)
    assert (at.code, states(account)) == (130, ["RUNNING"])


def test_submit_wait_under_nohup_stays_when_the_terminal_is_closed(account: Account, start: Start) -> None:
    at = Terminal(start, nohup=True)
    at.hang_up()
    time.sleep(0.5)
    assert (at.process.poll(), states(account)) == (None, ["RUNNING"])
    at.process.send_signal(signal.SIGTERM)
    at.rest()
    assert states(account) == ["CANCELLED"]


@pytest.mark.parametrize("account", [1], indirect=True)
def test_submit_wait_stays_to_the_end_where_nobody_reads_on(account: Account, start: Start) -> None:
    process = start(stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == b"working\n"
    process.stderr.close()
    assert process.stdout.readline() == b"done\n"
    assert process.wait(timeout=60) == 0


def test_submit_wait_where_nobody_can_be_asked(account: Account, start: Start) -> None:
    process = start(stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"working\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, b"Traceback" in err, states(account)) == (130, False, ["CANCELLED"])


def test_submit_wait_killed_outright_leaves_a_run_that_is_found(
    account: Account, start: Start, type_command: Command
) -> None:
    process = start(stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"working\n"
    process.kill()
    (run,) = account.serverless.jobs
    assert run in type_command("status")[1]
    assert type_command("down")[0] == 1
    assert type_command("cancel")[0] == 0
    assert states(account) == ["CANCELLED"]
    assert type_command("down", "--with-data")[0] == 0
