"""A folder as a bucket: the few requests of S3's that writing an output takes, over the files that Spark writes by another way."""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
from collections.abc import Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    root: Path

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
        if source := self.headers.get("x-amz-copy-source"):
            content = self._at(unquote(source)).read_bytes()
        if self.headers.get("If-None-Match") and self._file.exists():
            return self._answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_bytes(content)
        etag = _etag(self._file)
        stamp = "2026-01-01T00:00:00.000Z"
        copied = f"<CopyObjectResult><ETag>{etag}</ETag><LastModified>{stamp}</LastModified></CopyObjectResult>"
        return self._answer(200, copied.encode() if source else b"", ETag=etag)

    def do_POST(self) -> None:
        body = ElementTree.fromstring(self.rfile.read(int(self.headers["Content-Length"])))
        keys = [str(element.text) for element in body.iter() if element.tag.endswith("Key")]
        for key in keys:
            (self.root / key).unlink(missing_ok=True)
        self._answer(
            200, f"<DeleteResult>{''.join(f'<Deleted><Key>{escape(key)}</Key></Deleted>' for key in keys)}</DeleteResult>".encode()
        )

    def do_DELETE(self) -> None:
        self._file.unlink(missing_ok=True)
        self._answer(204, b"")

    def log_message(self, format: str, *args: object) -> None:
        pass

    @property
    def _file(self) -> Path:
        return self._at(unquote(urlsplit(self.path).path))

    def _at(self, path: str) -> Path:
        return self.root / path.strip("/").partition("/")[2]

    def _listing(self, prefix: str) -> bytes:
        found = sorted(path for path in self.root.rglob("*") if path.is_file() and str(path.relative_to(self.root)).startswith(prefix))
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
        for name, value in {"Content-Length": str(len(content)), "Last-Modified": formatdate(usegmt=True), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _etag(path: Path) -> str:
    return f'"{hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()}"'


@contextlib.contextmanager
def serving_folder(root: Path) -> Iterator[str]:
    """The address of an endpoint whose every bucket is `root`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"root": root}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
