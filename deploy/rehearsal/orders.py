"""What a runner is given, and what it gives back. The runners themselves are in `runners`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class Order:
    """One attempt of a run.

    Attributes:
        image: repository and digest; None where the application has none.
        slots: cores of all executors together.
    """

    job: str
    attempt: int
    image: str | None
    entry_point: str
    arguments: tuple[str, ...]
    properties: Mapping[str, str]
    slots: int


class Running(Protocol):
    """An attempt that was started."""

    def exit_code(self) -> int | None:
        """Its exit code once it has ended."""

    def output(self) -> Mapping[str, bytes]:
        """What it has written so far to `stdout` and `stderr`."""

    def stop(self) -> None:
        """End it, and everything it started."""

    def close(self) -> None:
        """Give back what it holds; it has ended."""


class Runner(Protocol):
    """What runs a job."""

    def start(self, order: Order) -> Running:
        """Start an attempt."""


class Starved:
    """An attempt whose executors do not fit into the application.

    Its driver asks for them, again and again, and never ends.

    Args:
        maximum: the application's limit, for the message.
    """

    def __init__(self, maximum: str, clock: Callable[[], float]) -> None:
        self._maximum, self._clock, self._began = maximum, clock, clock()

    def exit_code(self) -> int | None:
        """None: it never ends."""
        return None

    def output(self) -> Mapping[str, bytes]:
        """The driver's request for executors, once more every 10 seconds."""
        line = (
            "ERROR ExecutorContainerAllocator: Failed to allocate worker: ApplicationMaxCapacityExceededException: "
            "Worker could not be "
            f"allocated as the application has exceeded maximumCapacity settings: [{self._maximum}]\n"
        )
        return {"stdout": b"", "stderr": line.encode() * (1 + int((self._clock() - self._began) // 10))}

    def stop(self) -> None:
        """Do nothing: there is no process."""

    def close(self) -> None:
        """Do nothing: it holds nothing."""
