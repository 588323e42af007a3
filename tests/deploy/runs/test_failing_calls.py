"""Each call of submit, status, logs, cost and cancel refused, throttled, or with credentials that expire at it."""

from __future__ import annotations

import re

import pytest

from tests.deploy.cloud import FAILURES, Interrupted, failing_at
from tests.deploy.runs.conftest import Command, Ready

LINES = {
    "denied": "not allowed|you may not",
    "throttled": "call again (in a minute|later)",
    "expired": "the credentials have expired: log in again",
}


@pytest.mark.parametrize("kind", FAILURES)
@pytest.mark.parametrize(
    ("command", "least"),
    [
        ("submit --photos 1", 6),
        ("submit --photos 1 --target eks", 5),
        ("status", 5),
        ("status --target eks", 4),
        ("logs", 5),
        ("logs --target eks", 4),
        ("cost --photos 1", 4),
        ("cancel", 4),
        ("cancel --target eks", 3),
    ],
)
def test_a_call_that_fails_ends_a_command_in_one_line(
    ready: Ready, type_command: Command, monkeypatch: pytest.MonkeyPatch, command: str, least: int, kind: str
) -> None:
    if not command.startswith("submit"):
        target = ("--target", "eks") if command.endswith("eks") else ()
        assert type_command("submit", "--wait", *target)[0] == 0
    number, failed = 0, 0
    while True:
        number += 1
        aws = Interrupted(ready.cloud, failing_at(number, kind))
        monkeypatch.setattr("orchard_deploy.cli.parser.Aws", lambda region, profile: aws)  # noqa: B023
        code, _, err = type_command(*command.split())
        if aws.calls < number:
            break
        errors = [line for line in err.splitlines() if line.startswith("orchard-deploy: error: ")]
        # While something is waited for, a throttled call is made again.
        assert len(errors) == code, err
        assert all(re.search(LINES[kind], line) for line in errors), errors
        assert "123456789012" not in err
        failed += code
    assert number > least
    assert failed >= least - 2
