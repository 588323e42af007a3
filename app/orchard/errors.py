"""Known errors, each one line that says where, what, and what to do next."""


class OrchardError(Exception):
    """A known error: the command line prints its text as one line and exits with `exit_code`."""

    exit_code = 1


class UsageError(OrchardError):
    """A flag, or a combination of flags, that cannot work."""

    exit_code = 2


class InputError(OrchardError):
    """Nothing to work on, or too little of it."""


class OutputError(OrchardError):
    """The output cannot be written, or is in the way."""


class WeightsError(OrchardError):
    """The baked model is missing, incomplete, or not what its manifest says."""


class MachineError(OrchardError):
    """The machine lacks something the job needs: Java, a package, memory, disk."""


class PhotoError(Exception):
    """One photo that cannot be featurized: it becomes a row of `rejected/`, and never ends a run.

    `reason` is a code from `orchard.photos.decoding.REASONS`, `detail` says for a person what exactly was wrong.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail
