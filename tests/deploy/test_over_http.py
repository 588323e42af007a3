"""Whole commands over HTTP, where calls fail: boto3 makes those again that may be, and the others end in one line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from orchard_deploy.__main__ import main
from orchard_deploy.rehearsal.settings import Timings

from tests.deploy.cloud import BUCKET
from tests.deploy.conftest import enter, tree_tag
from tests.deploy.rehearsal.account import Account, over_http

Run = Callable[[str], tuple[int, str]]
# A thousand times as fast as AWS, but for minutes of idling and time-outs, which take a second.
QUICK = replace(Timings().faster(1000), minute=1.0, logging=0.05)
DOWN = "down --with-data"


@pytest.fixture
def account(tree: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    """AWS on loopback, whose repositories get the tree's image."""
    with over_http(timings=QUICK, tags=frozenset([tree_tag(tree)])) as opened:
        enter(opened, monkeypatch)
        yield opened


@pytest.fixture
def run(tree: Path, account: Account, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in the tree: exit code and standard error."""

    def run(words: str) -> tuple[int, str]:
        code = main([*words.split(), "--spec", str(tree / "emr-serverless.json"), "--tree", str(tree)])
        return code, capsys.readouterr().err

    return run


@pytest.mark.parametrize("kind", ["throttle", pytest.param("5xx", marks=pytest.mark.slow)])
def test_what_may_be_called_again_is_not_even_seen(account: Account, run: Run, kind: str) -> None:
    account.faults.plan_everywhere(kind)
    commands = ["plan", "up", "up", "submit --wait", "status", "logs", "cost --photos 1", DOWN]
    for command in commands:
        if command.startswith("submit"):
            account.write(f"s3://{BUCKET}/photos/Apple/1.jpg", b"x")
        code, err = run(command)
        assert (code, "error" in err) == (0, False), err
    assert len({call for call in account.faults.log if account.faults.log.count(call) > 1}) > 20


@pytest.mark.parametrize(
    ("kind", "line"), [("denied", "not allowed|you may not"), ("expired", "the credentials have expired: log in again")]
)
def test_a_call_that_fails_ends_up_and_down_in_one_line(account: Account, run: Run, kind: str, line: str) -> None:
    fail = {"denied": account.faults.plan_call, "expired": account.faults.plan_from}[kind]
    for command, numbers in (("up", (1, 3, 6)), (DOWN, (1, 3, 5))):
        for number in numbers:
            fail(number, kind)
            code, err = run(command)
            account.faults.clear()
            (error,) = [each for each in err.splitlines() if re.search("error: |left: bucket", each)]
            assert re.search(line, error), error
            assert code == 1 or "left: bucket" in error
        assert run("up")[0] == 0
    assert run(DOWN)[0] == 0
