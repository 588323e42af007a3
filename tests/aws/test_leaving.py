"""Leaving a run at a real terminal: Ctrl-C asks, a closed terminal and SIGTERM do not; nothing goes on unseen."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.aws import s3
from deploy.ensure import up
from deploy.rehearsal.stage import Rehearsal
from tests.aws.conftest import LONG_JOB, TYPED, Theatre, context_of

QUESTION = "It goes on, and costs, if you do not. [y/N] "
CTRL_C = b"\x03"


class Terminal:
    """`submit --wait` at a terminal of its own, with its rehearsal."""

    def __init__(self, stage: Rehearsal, tree: Path, *flags: str, nohup: bool = False) -> None:
        self.stage, self.shown = stage, ""
        self._end, own = pty.openpty()

        def take() -> None:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            for number in (
                signal.SIGINT,
                signal.SIGTERM,
                signal.SIGHUP,
            ):  # whatever is switched off where the tests run
                signal.signal(number, signal.SIG_IGN if nohup and number == signal.SIGHUP else signal.SIG_DFL)

        words = ["submit", "--wait", "--spec", str(tree / "emr-serverless.json"), "--tree", str(tree), *flags]
        self.process = subprocess.Popen(
            [*TYPED, *words],
            env={**os.environ, **stage.environ},
            stdin=own,
            stdout=own,
            stderr=own,
            start_new_session=True,
            preexec_fn=take,
        )
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

    def states(self) -> list[str]:
        return [job.stage.value for job in self.stage.serverless.floor.jobs.values()]

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        if self._end >= 0:
            self.hang_up()


Open = Callable[..., Terminal]


@pytest.fixture
def terminal(theatre: Theatre, tree: Path) -> Iterator[Open]:
    """Opens a terminal with a run that is at work."""
    opened: list[Terminal] = []

    def open_one(*flags: str, nohup: bool = False) -> Terminal:
        stage = theatre.wire(LONG_JOB)
        up(context := context_of(tree))
        s3.write(context.aws, context.site.input.bucket, f"{context.site.input.prefix}/Apple/1.jpg", b"x")
        opened.append(Terminal(stage, tree, *flags, nohup=nohup))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_at_a_terminal_asks_nothing_and_ends_the_run(terminal: Open, sent: signal.Signals) -> None:
    at = terminal()
    at.process.send_signal(sent)
    shown = at.rest()
    assert QUESTION not in shown
    assert "interrupted" in shown
    assert "Traceback" not in shown
    assert (at.code, at.states()) == (130, ["CANCELLED"])


def test_a_closed_terminal_ends_the_run(terminal: Open, tree: Path) -> None:
    at = terminal()
    at.hang_up()
    at.rest()
    assert at.states() == ["CANCELLED"]
    assert context_of(tree).record.read().runs[0].state == "CANCELLED"


def test_a_terminal_that_is_closed_instead_of_answering_ends_the_run(terminal: Open) -> None:
    at = terminal()
    at.type(CTRL_C)
    at.until(QUESTION)
    at.hang_up()
    at.rest()
    assert at.states() == ["CANCELLED"]


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_the_question_is_open_ends_the_run(terminal: Open, sent: signal.Signals) -> None:
    at = terminal()
    at.type(CTRL_C)
    at.until(QUESTION)
    at.process.send_signal(sent)
    at.rest()
    assert at.states() == ["CANCELLED"]


@pytest.mark.parametrize(("answer", "ends"), [(b"y\n", True), (b"n\n", False), (b"\n", False)])
def test_ctrl_c_at_a_terminal_asks(terminal: Open, answer: bytes, ends: bool) -> None:
    at = terminal()
    at.type(CTRL_C)
    at.until(QUESTION)
    assert at.states() == ["RUNNING"]
    at.type(answer)
    shown = at.rest()
    assert at.code == 130
    assert at.states() == ["CANCELLED" if ends else "RUNNING"]
    assert ("goes on: `orchard-deploy status` tells how far it is" in shown) != ends


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_detached_the_run_goes_on_whatever_is_sent(terminal: Open, sent: signal.Signals) -> None:
    at = terminal("--detach")
    at.process.send_signal(sent)
    shown = at.rest()
    assert QUESTION not in shown
    assert "goes on: `orchard-deploy status` tells how far it is" in shown
    assert (at.code, at.states()) == (130, ["RUNNING"])


def test_what_nohup_has_switched_off_stays_off(terminal: Open) -> None:
    at = terminal(nohup=True)
    at.hang_up()
    time.sleep(1)
    assert (at.process.poll(), at.states()) == (None, ["RUNNING"])
    at.process.send_signal(signal.SIGTERM)
    at.rest()
    assert at.states() == ["CANCELLED"]


def test_where_nobody_reads_on_the_run_is_watched_to_its_end(theatre: Theatre, tree: Path) -> None:
    stage = theatre.wire("import time; print('working', flush=True); time.sleep(1); print('done')")
    up(context := context_of(tree))
    s3.write(context.aws, context.site.input.bucket, f"{context.site.input.prefix}/Apple/1.jpg", b"x")
    words = ["submit", "--wait", "--spec", str(tree / "emr-serverless.json"), "--tree", str(tree)]
    environ = {**os.environ, **stage.environ}
    command = [*TYPED, *words]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"working\n"
        process.stderr.close()
        assert process.stdout.readline() == b"done\n"
        assert process.wait(timeout=60) == 0
    assert context.record.read().runs[0].state == "SUCCESS"
