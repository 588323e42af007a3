"""Calls that go wrong on demand: throttled, failing on AWS's side, denied, expired, or without an answer."""

from __future__ import annotations

import json
import math
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from botocore.exceptions import ConnectionClosedError
from moto.core.routing import get_service_router
from moto.moto_api import recorder
from werkzeug.exceptions import HTTPException

# The access key of a client that looks behind the scenes.
BEHIND = "BEHINDTHESCENES"
# Name of the fault -> AWS's code, HTTP status, message.
KINDS: Mapping[str, tuple[str, int, str]] = {
    "throttle": ("ThrottlingException", 429, "Rate exceeded"),
    "5xx": ("InternalServerException", 500, "Internal server error"),
    "expired": ("ExpiredTokenException", 403, "The security token included in the request is expired"),
    "denied": ("AccessDeniedException", 403, "User is not authorized to perform this action"),
    "lost": ("", 0, ""),  # the connection ends without an answer
}


class FaultError(HTTPException):
    """An answer that is an error, written as the service writes it."""

    def __init__(self, service: str, code: str, status: int, message: str, *, mute: bool = False) -> None:
        super().__init__(message)
        self.code, self._error = status, code
        xml = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        bodies = {"s3": "" if mute else xml} | dict.fromkeys(
            ("iam", "sts", "cloudformation"), f"<ErrorResponse>{xml}</ErrorResponse>"
        )
        self._body = bodies.get(service, json.dumps({"__type": code, "message": message}))

    def get_headers(self, *arguments: Any, **named: Any) -> list[tuple[str, str]]:
        return [("Content-Type", "text/plain"), ("x-amzn-ErrorType", self._error)]

    def get_body(self, *arguments: Any, **named: Any) -> str:
        return self._body


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

    @contextmanager
    def met(self) -> Iterator[None]:
        """Let every request to moto meet these, to the end of the block."""
        answer = recorder._record_request

        def look(request: Any, body: bytes | None = None) -> None:
            self.meet(request)
            answer(request, body)

        recorder._record_request = look  # type: ignore[method-assign]
        try:
            yield
        finally:
            recorder._record_request = answer  # type: ignore[method-assign]

    def meet(self, request: Any) -> None:
        """Note a call, and let it go wrong if that was planned.

        Raises:
            FaultError: the planned fault. ConnectionClosedError: in this process, where no answer is to come.
        """
        signed = re.search(r"Credential=(\w+)/\d+/[\w-]+/([\w-]+)/", request.headers.get("Authorization", ""))
        if signed is None or signed[1] == BEHIND:
            return
        service, operation = signed[2], get_service_router(signed[2]).match(request)[0].name
        with self._lock:
            self.log.append((service, operation))
            planned = self._planned.setdefault((service, operation), list(self._everywhere))
            kind = planned.pop(0) if planned else self._numbered.pop(len(self.log), None)
            if len(self.log) >= self._from[0]:
                kind = self._from[1]
        if kind == "lost" and (open_socket := request.environ.get("werkzeug.socket")):
            open_socket.shutdown(socket.SHUT_RDWR)
        elif kind == "lost":
            raise ConnectionClosedError(endpoint_url=request.url)
        if kind:  # what is lost is written to nobody
            code, status, message = KINDS[kind]
            raise FaultError(service, code, status, message, mute=request.method == "HEAD")
