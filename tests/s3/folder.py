"""A folder as a bucket: the few requests of S3's that writing an output takes, over files that may be looked at or written otherwise."""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
from collections.abc import Callable, Collection, Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    root: Path
    unsupported: Collection[str]
    on_change: Callable[[str], contextlib.AbstractContextManager[None]]
    # A condition and what is written under it are one.
    writing: threading.Lock

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        if "list-type" in query:
            self._answer(200, self._listing(query.get("prefix", [""])[0]))
        elif self._file.is_file():
            self._send(self._file.read_bytes())
        else:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")

    do_HEAD = do_GET  # noqa: N815

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with self._changing(self._file), self.writing:
            status, code = self._put(content)
        if code:
            return self._answer(status, f"<Error><Code>{code}</Code></Error>".encode())
        etag, stamp = _etag(self._file), "2026-01-01T00:00:00.000Z"
        copied = f"<CopyObjectResult><ETag>{etag}</ETag><LastModified>{stamp}</LastModified></CopyObjectResult>"
        return self._answer(200, copied.encode() if "x-amz-copy-source" in self.headers else b"", ETag=etag)

    def _put(self, content: bytes) -> tuple[int, str]:
        """The status, and the code of an error."""
        if any(name in self.headers for name in self.unsupported):
            return 501, "NotImplemented"
        if (source := self.headers.get("x-amz-copy-source")) and not self._at(unquote(source)).is_file():
            return 404, "NoSuchKey"
        wanted, there = self.headers.get("If-Match"), self._file.exists()
        if wanted and not there:
            return 404, "NoSuchKey"
        if (wanted and wanted != _etag(self._file)) or (self.headers.get("If-None-Match") and there):
            return 412, "PreconditionFailed"
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_bytes(self._at(unquote(source)).read_bytes() if source else content)
        return 200, ""

    def do_POST(self) -> None:
        body = ElementTree.fromstring(self.rfile.read(int(self.headers["Content-Length"])))
        keys = [str(element.text) for element in body.iter() if element.tag.endswith("Key")]
        with self._changing(*(self.root / key for key in keys)):
            for key in keys:
                (self.root / key).unlink(missing_ok=True)
        self._answer(
            200,
            f"<DeleteResult>{''.join(f'<Deleted><Key>{escape(key)}</Key></Deleted>' for key in keys)}</DeleteResult>".encode(),
        )

    def log_message(self, format: str, *args: object) -> None:
        pass

    @property
    def _file(self) -> Path:
        return self._at(unquote(urlsplit(self.path).path))

    def _at(self, path: str) -> Path:
        return self.root / path.strip("/").partition("/")[2]

    def _changing(self, *files: Path) -> contextlib.AbstractContextManager[None]:
        return type(self).on_change(" ".join((self.command, *(str(file.relative_to(self.root)) for file in files))))

    def _listing(self, prefix: str) -> bytes:
        found = sorted(
            path
            for path in self.root.rglob("*")
            if path.is_file() and str(path.relative_to(self.root)).startswith(prefix)
        )
        entries = "".join(
            f"<Contents><Key>{escape(str(path.relative_to(self.root)))}</Key><Size>{path.stat().st_size}</Size>"
            f"<LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>{_etag(path)}</ETag></Contents>"
            for path in found
        )
        return f"<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>".encode()

    def _send(self, content: bytes) -> None:
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if not wanted:
            return self._answer(200, content, ETag=_etag(self._file))
        part, place = content[int(wanted[1]) : int(wanted[2]) + 1], f"bytes {wanted[1]}-{wanted[2]}/{len(content)}"
        return self._answer(206, part, **{"ETag": _etag(self._file), "Content-Range": place})

    def _answer(self, status: int, content: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Length": str(len(content)),
            "Last-Modified": formatdate(usegmt=True),
            **headers,
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _etag(path: Path) -> str:
    return f'"{hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()}"'


@contextlib.contextmanager
def serving_folder(
    root: Path,
    unsupported: Collection[str] = (),
    on_change: Callable[[str], contextlib.AbstractContextManager[None]] = lambda _: contextlib.nullcontext(),
) -> Iterator[str]:
    """The address of an endpoint whose every bucket is `root`.

    Args:
        unsupported: headers that a request to write is refused for, with 501.
        on_change: what goes on around every change; is given the method and the keys.
    """
    facts = {
        "root": root,
        "unsupported": unsupported,
        "on_change": staticmethod(on_change),
        "writing": threading.Lock(),
    }
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), facts))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
