"""Known errors of the launchers, each one line that tells where, what, and what to do next."""


class DeployError(Exception):
    """A known error: the command line prints its text as one line and exits with `exit_code`."""

    exit_code = 1


class SpecError(DeployError):
    """The job specification or a flag cannot work."""

    exit_code = 2


class EngineError(DeployError):
    """No Docker engine answers, or it refuses."""


class RefusedError(DeployError):
    """Something is missing, or would cost, lose or break something: not done."""


class WaitError(DeployError):
    """What was waited for did not come in time."""


class AwsError(DeployError):
    """AWS refused; `code` is its own name of the error, where it gave one."""

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
    """A run ended badly; `exit_code` is its own."""

    def __init__(self, text: str, exit_code: int = 1) -> None:
        super().__init__(text)
        self.exit_code = exit_code
