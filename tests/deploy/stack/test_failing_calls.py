"""Each call of plan, up and down refused, throttled, or with credentials that expire at it: one line on the way out."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from orchard_deploy.__main__ import main
from orchard_deploy.stack.lifecycle import up

from tests.deploy.cloud import Cloud, Interrupted, failing_at

Run = Callable[[str, Interrupted], tuple[int, list[str]]]
LINES = {
    "denied": "not allowed|you may not",
    "throttled": "call again (in a minute|later)",
    "expired": "the credentials have expired: log in again",
}
# Where a failure is said: as an error, as what `down` leaves.
SAID = "orchard-deploy: error: |orchard-deploy: left: bucket"


@pytest.fixture
def run(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command: exit code and the lines of standard error."""

    def run(name: str, aws: Interrupted) -> tuple[int, list[str]]:
        monkeypatch.setattr("orchard_deploy.cli.parser.Aws", lambda region, profile: aws)
        tree = cloud.tree
        code = main([*name.split(), "--spec", str(tree / "emr-serverless.json"), "--tree", str(tree)])
        captured = capsys.readouterr()
        return code, [*captured.err.splitlines(), *captured.out.splitlines()]

    return run


def make_ready(cloud: Cloud, command: str) -> None:
    cloud.clear()
    if command != "up":
        up(cloud.context())
    if command.startswith("down"):
        up(cloud.context())


@pytest.mark.parametrize("kind", LINES)
@pytest.mark.parametrize(("command", "least"), [("plan", 7), ("up", 10), ("down --with-data", 14)])
def test_a_call_that_fails_ends_a_command_in_one_line(
    cloud: Cloud, run: Run, command: str, least: int, kind: str
) -> None:
    number = failed = 0
    make_ready(cloud, command)
    while True:
        number += 1
        aws = Interrupted(cloud, failing_at(number, kind))
        code, said = run(command, aws)
        if aws.calls < number:
            break
        errors = [line for line in said if re.match(SAID, line)]
        # While something is waited for, a throttled call is made again.
        assert len(errors) == 1 or (code, kind, errors) == (0, "throttled", []), said
        assert all(re.search(LINES[kind], line) for line in errors), errors
        failed += len(errors)
        if command != "plan":
            make_ready(cloud, command)
    assert number > least
    assert failed > least / 2
