"""A small S3 endpoint for tests and benchmarks: GET, HEAD and ListObjectsV2, fast, and faulty as asked.

It serves what a client needs to list and read, from memory, on one asyncio loop: some 5,000 requests a second on one
core, where moto answers about 130. It checks no signatures. What it can do wrong is in `Faults`, by a seed.

    python -m tests.s3.server FOLDER [--faults JSON]    serves FOLDER as bucket `photos`, prints its address
"""

from __future__ import annotations

import argparse
import asyncio
import bisect
import contextlib
import hashlib
import json
import os
import random
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from time import gmtime, strftime
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

BUCKET = "photos"
PAGE = 1000
# What may happen to a GET: an answer that says so, or none, half of one, a late one, one of another length than listed.
KINDS = ("503", "500", "reset", "cut", "stall")


@dataclass(frozen=True)
class Blob:
    """One object: its bytes, or a size that is only claimed; when it was modified, in seconds since 1970."""

    content: bytes
    modified: int = 1_700_000_000
    claimed: int | None = None

    @property
    def size(self) -> int:
        return len(self.content) if self.claimed is None else self.claimed

    @property
    def etag(self) -> str:
        return hashlib.md5(self.content, usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class Faults:
    """What goes wrong.

    Attributes:
        latency: seconds added to every GET of an object.
        bandwidth: bytes a second of one answer's body; 0 for no limit.
        share: of the GETs, how many fail in one of `kinds`, each drawn anew at every try.
        stall: seconds without an answer before a stalled connection is dropped.
        lists: what happens to the first requests for a listing, in turn.
        keys: what always happens at a key: one of `KINDS`, "freeze" (half an answer, and the connection left open),
            another status, an error code of S3's such as "InvalidAccessKeyId", or "changed" (written since listed).
    """

    latency: float = 0
    bandwidth: float = 0
    share: float = 0
    kinds: tuple[str, ...] = KINDS
    stall: float = 60
    seed: int = 0
    lists: tuple[str, ...] = ()
    keys: Mapping[str, str] = field(default_factory=dict)

    def of(self, key: str, tries: int) -> str:
        """What happens at the n-th GET of a key; empty for nothing."""
        if key in self.keys:
            return self.keys[key]
        draw = random.Random(f"{self.seed} {key} {tries}")
        return draw.choice(self.kinds) if draw.random() < self.share else ""


class Endpoint:
    """What is served, what goes wrong, and what was asked for: all may be looked at and changed while it runs."""

    def __init__(self, blobs: Mapping[str, Blob], faults: Faults | None = None) -> None:
        self.blobs, self.faults = dict(blobs), faults or Faults()
        self.gets: Counter[str] = Counter()
        self.faulty: Counter[str] = Counter()
        self.lists = 0
        self.others: list[str] = []
        self.keys_used: set[str] = set()
        self.expired_keys: set[str] = set()
        self.connections: set[asyncio.WriteTransport] = set()
        self.address = ""
        self._sorted: list[str] = []

    def listing(self, query: Mapping[str, str]) -> bytes:
        """One page of ListObjectsV2."""
        if len(self._sorted) != len(self.blobs):
            self._sorted = sorted(self.blobs)
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        start = query.get("continuation-token") or query.get("start-after") or ""
        contents: list[str] = []
        folders: list[str] = []
        last = ""
        place = (
            bisect.bisect_right(self._sorted, start) if start >= prefix else bisect.bisect_left(self._sorted, prefix)
        )
        while (
            place < len(self._sorted) and self._sorted[place].startswith(prefix) and len(contents) + len(folders) < PAGE
        ):
            key = self._sorted[place]
            end = key.find(delimiter, len(prefix)) if delimiter else -1
            if end < 0:
                contents.append(_entry(_encoded(key, query), self.blobs[key]))
                last, place = key, place + 1
            else:
                folders.append(f"<CommonPrefixes><Prefix>{_encoded(key[: end + 1], query)}</Prefix></CommonPrefixes>")
                last = key[: end + 1] + "\U0010ffff"
                place = bisect.bisect_right(self._sorted, last)
        more = place < len(self._sorted) and self._sorted[place].startswith(prefix)
        token = f"<NextContinuationToken>{escape(last)}</NextContinuationToken>" if more else ""
        return (
            f"<ListBucketResult><Name>{BUCKET}</Name><IsTruncated>{str(more).lower()}</IsTruncated>{token}"
            f"{'<EncodingType>url</EncodingType>' if query.get('encoding-type') == 'url' else ''}"
            f"{''.join(contents)}{''.join(folders)}</ListBucketResult>"
        ).encode()


def _encoded(key: str, query: Mapping[str, str]) -> str:
    """A key as S3 writes it into XML: percent-encoded if so requested, else control characters as references."""
    if query.get("encoding-type") == "url":
        return quote(key)
    return "".join(f"&#x{ord(letter):x};" if ord(letter) < 32 else letter for letter in escape(key))


def _entry(key: str, blob: Blob) -> str:
    modified = strftime("%Y-%m-%dT%H:%M:%S.000Z", gmtime(blob.modified))
    return (
        f"<Contents><Key>{key}</Key><LastModified>{modified}</LastModified><ETag>&quot;{blob.etag}&quot;</ETag>"
        f"<Size>{blob.size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
    )


class _Connection(asyncio.Protocol):
    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint, self._received, self._head = endpoint, b"", False
        self._transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        self._endpoint.connections.add(transport)

    def connection_lost(self, _: Exception | None) -> None:
        self._endpoint.connections.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, self._received = self._received.split(b"\r\n\r\n", 1)
            method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
            signed_by = head.partition(b"Credential=")[2].partition(b"/")[0].decode()
            self._answer(method, target, signed_by)

    def _answer(self, method: str, target: str, signed_by: str) -> None:
        self._head = method == "HEAD"
        endpoint, parts = self._endpoint, urlsplit(target)
        bucket, _, key = unquote(parts.path)[1:].partition("/")
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        endpoint.keys_used.add(signed_by)
        if signed_by in endpoint.expired_keys:
            self._error(400, "ExpiredToken")
        elif bucket != BUCKET:
            self._error(404, "NoSuchBucket")
        elif method not in ("GET", "HEAD"):
            endpoint.others.append(f"{method} {target}")
            self._error(405, "MethodNotAllowed")
        elif not key:
            endpoint.lists += 1
            fault = endpoint.faults.lists[endpoint.lists - 1 : endpoint.lists]
            self._fulfil(Blob(endpoint.listing(query)), fault[0] if fault else "")
        else:
            self._object(method, key)

    def _object(self, method: str, key: str) -> None:
        endpoint = self._endpoint
        fault = endpoint.faults.of(key, endpoint.gets[key]) if method == "GET" else ""
        endpoint.gets[key] += method == "GET"
        if fault:
            endpoint.faulty[fault] += 1
        blob = endpoint.blobs.get(key)
        if blob and fault == "changed":
            fault, blob = "", Blob(blob.content[::-1], blob.modified + 60, blob.claimed)
        asyncio.get_running_loop().call_later(endpoint.faults.latency, self._fulfil, blob, fault)

    def _fulfil(self, blob: Blob | None, fault: str) -> None:
        if fault == "reset":
            self._transport.abort()
        elif fault == "stall":
            asyncio.get_running_loop().call_later(self._endpoint.faults.stall, self._transport.abort)
        elif fault.isdigit():
            self._error(
                int(fault), {503: "SlowDown", 500: "InternalError", 403: "AccessDenied"}.get(int(fault), "NoSuchKey")
            )
        elif fault[:1].isupper():
            self._error(403, fault)
        elif blob is None:
            self._error(404, "NoSuchKey")
        else:
            self._send(200, blob.content, "image/jpeg", blob, part=fault)

    def _error(self, status: int, code: str) -> None:
        self._send(status, f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode(), "application/xml")

    def _send(self, status: int, content: bytes, kind: str, blob: Blob | None = None, *, part: str = "") -> None:
        size = blob.size if blob else len(content)
        facts = f'ETag: "{blob.etag}"\r\nLast-Modified: {formatdate(blob.modified, usegmt=True)}\r\n' if blob else ""
        self._transport.write(
            f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {size}\r\n{facts}\r\n".encode()
        )
        sent = b"" if self._head else content[: len(content) // 2] if part in ("cut", "freeze") else content
        if self._endpoint.faults.bandwidth and blob:
            self._trickle(sent, part == "cut")
        else:
            self._transport.write(sent)
            if part == "cut":
                self._transport.close()

    def _trickle(self, content: bytes, cut: bool) -> None:
        step = max(1, int(self._endpoint.faults.bandwidth / 20))
        self._transport.write(content[:step])
        if content[step:]:
            asyncio.get_running_loop().call_later(0.05, self._trickle, content[step:], cut)
        elif cut:
            self._transport.close()


async def _serve(endpoint: Endpoint, ready: threading.Event, stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(endpoint), "127.0.0.1", 0, backlog=1024)
    endpoint.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    ready.set()
    await stop.wait()
    server.close()
    for connection in [*endpoint.connections]:
        connection.abort()
    await asyncio.sleep(0.01)  # for the loop to see them go


@contextlib.contextmanager
def serving(blobs: Mapping[str, Blob], faults: Faults | None = None) -> Iterator[Endpoint]:
    """An endpoint on a thread of this process."""
    endpoint, ready, loop, stop = Endpoint(blobs, faults), threading.Event(), asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(_serve(endpoint, ready, stop)), daemon=True)
    thread.start()
    ready.wait(10)
    try:
        yield endpoint
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


def blobs_of(folder: Path) -> dict[str, Blob]:
    """Every file below a folder, links followed."""
    found = [Path(root, name) for root, _, names in os.walk(folder, followlinks=True) for name in names]
    return {str(path.relative_to(folder)): Blob(path.read_bytes(), int(path.stat().st_mtime)) for path in found}


def main() -> None:
    """Serve a folder until standard input ends."""
    parser = argparse.ArgumentParser(prog="tests.s3.server")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--faults", type=json.loads, default={})
    arguments = parser.parse_args()
    with serving(blobs_of(arguments.folder), Faults(**arguments.faults)) as endpoint:
        print(endpoint.address, flush=True)
        sys.stdin.read()
        print(
            json.dumps({"gets": endpoint.gets.total(), "faulty": endpoint.faulty, "lists": endpoint.lists}), flush=True
        )


if __name__ == "__main__":
    main()
