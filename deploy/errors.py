"""Known errors of the launchers, each one line that says where, what, and what to do next.

DeployError
├── SpecError      the job specification or a flag cannot work (exit code 2)
├── EngineError    no Docker engine answers, or it refuses
├── ImageError     an image is missing, cannot be built, or is not Orchard's
├── RefusedError   an act that would cost, lose or break something: not done
├── WaitError      what was waited for did not come in time
├── AwsError       AWS said no; the leaves say why
│   ├── CredentialsError   there are none, or they are not accepted or have expired
│   ├── DeniedError        they do not allow the call
│   ├── InvalidError       the call's input is refused
│   └── UnavailableError   no answer, too many calls, or a fault on AWS's side: the same call may work later
└── RunError       a run ended badly; carries the run's own exit code
"""

from __future__ import annotations


class DeployError(Exception):
    """A known error: the command line prints its text as one line and exits with `exit_code`."""

    exit_code = 1


class SpecError(DeployError):
    """The job specification or a flag cannot work."""

    exit_code = 2


class EngineError(DeployError):
    """No Docker engine answers, or it refuses."""


class ImageError(DeployError):
    """An image is missing, cannot be built, or is not Orchard's."""


class RefusedError(DeployError):
    """An act that would cost, lose or break something: not done."""


class WaitError(DeployError):
    """What was waited for did not come in time."""


class AwsError(DeployError):
    """AWS said no.

    Attributes:
        code: AWS's own name of the error, where it gave one.
    """

    code: str | None = None


class CredentialsError(AwsError):
    """There are no credentials, or they are not accepted or have expired."""


class DeniedError(AwsError):
    """The credentials do not allow the call."""


class InvalidError(AwsError):
    """AWS refuses the call's input."""


class UnavailableError(AwsError):
    """No answer, too many calls, or a fault on AWS's side: the same call may work later."""


class RunError(DeployError):
    """A run ended badly.

    Attributes:
        exit_code: the run's own.
    """

    def __init__(self, text: str, exit_code: int = 1) -> None:
        super().__init__(text)
        self.exit_code = exit_code
