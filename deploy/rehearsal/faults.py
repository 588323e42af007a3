"""Faults on demand: the next calls of an operation are throttled, fail on AWS's side, are denied, or expired."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock

from deploy.rehearsal.protocol import RefusalError

# Name of the fault -> AWS's code, HTTP status, message.
KINDS: Mapping[str, tuple[str, int, str]] = {
    "throttle": ("ThrottlingException", 429, "Rate exceeded"),
    "5xx": ("InternalServerException", 500, "Internal server error"),
    "expired": ("ExpiredTokenException", 403, "The security token included in the request is expired"),
    "denied": ("AccessDeniedException", 403, "User is not authorized to perform this action"),
    "lost": ("", 0, ""),  # the connection ends without an answer
}


@dataclass
class Faults:
    """What is to go wrong. `log` holds every call that came, by service and operation."""

    log: list[tuple[str, str]] = field(default_factory=list)
    _planned: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    _everywhere: list[str] = field(default_factory=list)
    _numbered: dict[int, str] = field(default_factory=dict)
    _from: tuple[float, str] = (math.inf, "")
    _lock: Lock = field(default_factory=Lock)

    def plan(self, service: str, operation: str, kind: str, times: int = 1) -> None:
        """Let the next `times` calls of an operation go wrong."""
        with self._lock:
            self._planned.setdefault((service, operation), []).extend([kind] * times)

    def plan_everywhere(self, kind: str) -> None:
        """Let the next call of every operation go wrong."""
        with self._lock:
            self._planned, self._everywhere = {}, [kind]

    def plan_call(self, number: int, kind: str) -> None:
        """Let the `number`-th call from now on go wrong, whatever it is."""
        with self._lock:
            self._numbered[len(self.log) + number] = kind

    def plan_from(self, number: int, kind: str) -> None:
        """Let the `number`-th call from now on go wrong, and every one after it."""
        with self._lock:
            self._from = len(self.log) + number, kind

    def clear(self) -> None:
        """Let nothing go wrong any more."""
        with self._lock:
            self._planned, self._everywhere, self._numbered, self._from = {}, [], {}, (math.inf, "")

    def meet(self, service: str, operation: str) -> None:
        """Note a call, and let it go wrong if that was planned.

        Raises:
            RefusalError: the planned fault; with status 0 the connection is to be dropped.
        """
        with self._lock:
            self.log.append((service, operation))
            planned = self._planned.setdefault((service, operation), list(self._everywhere))
            kind = planned.pop(0) if planned else self._numbered.pop(len(self.log), None)
            if len(self.log) >= self._from[0]:
                kind = self._from[1]
        if kind:
            code, status, message = KINDS[kind]
            raise RefusalError(code, message, status)


def parse_fault(text: str) -> tuple[str, str, str, int]:
    """Service, operation, kind and times in `emr-serverless:StartJobRun:throttle:2`.

    Raises:
        ValueError: no such fault.
    """
    service, operation, kind, *times = text.split(":")
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is none of {', '.join(KINDS)}")
    return service, operation, kind, int(times[0]) if times else 1
