"""The endpoint: answers the EMR services itself, passes everything else on to moto's server.

It lets go wrong what is to go wrong.

Which service a request is for stands in its signature, as botocore makes it; the signature itself is not checked.
"""

from __future__ import annotations

import http.client
import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from deploy.rehearsal.faults import Faults
from deploy.rehearsal.protocol import RefusalError
from deploy.rehearsal.service import Service

# Seconds between two looks at what has become of everything.
_TICK = 0.05
_HOP = {"connection", "transfer-encoding", "keep-alive", "content-length", "date", "server"}


class Endpoint:
    """The HTTP server on loopback.

    Args:
        services: by signing name.
        beyond: host:port of moto's server.
        before, after: for services that are passed on: called with operation and body, and with the answer.
    """

    def __init__(
        self,
        services: Mapping[str, Service],
        beyond: str,
        faults: Faults,
        *,
        port: int = 0,
        before: Callable[[str, str, bytes], None] = lambda service, operation, body: None,
        after: Callable[[str, str, bytes], bytes] = lambda service, operation, body: body,
    ) -> None:
        self.services, self.beyond, self.faults, self.before, self.after = services, beyond, faults, before, after
        handler = type("Handler", (_Handler,), {"endpoint": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        self._server.daemon_threads = True
        self._stopping = threading.Event()

    @property
    def url(self) -> str:
        """The server's address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Answer until the end of the block; gives the address."""
        threads = [threading.Thread(target=target, daemon=True) for target in (self._serve, self._tick)]
        for thread in threads:
            thread.start()
        try:
            yield self.url
        finally:
            self._stopping.set()
            self._server.shutdown()
            for thread in threads:
                thread.join()
            self._server.server_close()

    def _serve(self) -> None:
        self._server.serve_forever(poll_interval=_TICK)

    def _tick(self) -> None:
        while not self._stopping.is_set():
            for service in self.services.values():
                service.tick()
            time.sleep(_TICK)


class _Handler(BaseHTTPRequestHandler):
    endpoint: Endpoint
    protocol_version = "HTTP/1.1"
    # Head and body in one packet: apart, each answer would wait 40 ms for the other side's acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: what is said to a person is said elsewhere."""

    def _handle(self) -> None:
        body = self._body()
        service = signed_service(self.headers.get("Authorization", ""))
        address = urlsplit(self.path)
        try:
            own = self.endpoint.services.get(service)
            if own is None:
                self._pass_on(service, body)
                return
            call = own.protocol.parse(self.command, address.path, address.query, body)
            self.endpoint.faults.meet(service, call.operation)
            self._send(
                200,
                {"Content-Type": "application/json"},
                own.protocol.encode(call.operation, own.answer(call.operation, call.parameters)),
            )
        except RefusalError as refusal:
            self._refuse(service, refusal)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = _handle  # noqa: N815

    def _body(self) -> bytes:
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.send_response_only(100)
            self.end_headers()
            self.wfile.flush()  # else the client waits a second before it sends anything
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return b"".join(iter(self._chunk, b""))
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _chunk(self) -> bytes:
        size = int(self.rfile.readline().split(b";")[0], 16)
        content = self.rfile.read(size)
        self.rfile.readline()
        return content

    def _pass_on(self, service: str, body: bytes) -> None:
        operation = named_operation(self.command, self.headers.get("X-Amz-Target", ""), body)
        self.endpoint.faults.meet(service, operation)
        self.endpoint.before(service, operation, body)
        connection = http.client.HTTPConnection(self.endpoint.beyond, timeout=60)
        try:
            headers = {
                name: value
                for name, value in self.headers.items()
                if name.lower() not in ("expect", "transfer-encoding")
            }
            connection.request(
                self.command, self.path, body=body, headers={**headers, "Content-Length": str(len(body))}
            )
            answer = connection.getresponse()
            kept = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP}
            length = answer.headers.get("Content-Length") if self.command == "HEAD" else None
            self._send(answer.status, kept, self.endpoint.after(service, operation, answer.read()), length)
        finally:
            connection.close()

    def _refuse(self, service: str, refusal: RefusalError) -> None:
        if refusal.status == 0:
            self.close_connection = True
            self.connection.close()
            return
        if service in ("iam", "sts", "s3"):
            error = f"<Code>{refusal.code}</Code><Message>{refusal.message}</Message>"
            text = (
                f"<Error>{error}</Error>"
                if service == "s3"
                else f"<ErrorResponse><Error>{error}</Error></ErrorResponse>"
            )
            self._send(refusal.status, {"Content-Type": "text/xml"}, text.encode())
            return
        headers = {"Content-Type": "application/json", "x-amzn-ErrorType": refusal.code}
        self._send(refusal.status, headers, json.dumps({"__type": refusal.code, "message": refusal.message}).encode())

    def _send(self, status: int, headers: Mapping[str, str], body: bytes, length: str | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", length or str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()


def signed_service(authorization: str) -> str:
    """The service in a signature: `…/20270101/eu-west-1/emr-serverless/aws4_request, …`."""
    match = re.search(r"/\d{8}/[a-z0-9-]+/([a-z0-9-]+)/aws4_request", authorization)
    return match[1] if match else ""


def named_operation(method: str, target: str, body: bytes) -> str:
    """The operation of a request to another service: in a header (ECR), in the form (IAM, STS), else the method."""
    if target:
        return target.rpartition(".")[2]
    action = (
        parse_qs(body.decode("latin-1")).get("Action")
        if body.startswith((b"Action=", b"Version=")) or b"&Action=" in body[:2000]
        else None
    )
    return action[0] if action else method
