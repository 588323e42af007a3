"""Where a run keeps its output, behind one interface: folders and object storage alike.

A store is an address: picklable, cheap to make, connected when first used. Keys are relative to its URI, with `/` between parts.
What is written appears whole or not at all, and nothing outside the URI is ever touched.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from orchard.errors import OutputError, UsageError
from orchard.photos.source import local_path
from orchard.storage import objects
from orchard.storage.ranges import RangedFile

if TYPE_CHECKING:
    from obstore import PutMode, UpdateVersion
    from obstore.store import ObjectStore as Client

# Requests of the output are few and matter much: obstore itself sends them again this often.
RETRIES = 8
_UNFINISHED = ".unfinished-"
_NOT_IMPLEMENTED = 501


@dataclass(frozen=True, slots=True)
class Stored:
    """One file or object: its key, and its size in bytes."""

    key: str
    size: int


class Store(Protocol):
    """A place to keep things. Everything but `read` of a missing key raises `OutputError` when it fails."""

    @property
    def uri(self) -> str:
        """The place as the user named it."""

    def list(self, prefix: str = "") -> Iterator[Stored]:
        """Everything below a folder-like prefix (`features`, or nothing for all), in order of key; nothing if there is none."""

    def read(self, key: str) -> bytes:
        """The content of one key; `FileNotFoundError` if there is none."""

    def open(self, key: str) -> IO[bytes]:
        """One key as a file, of which only what is read is fetched; `FileNotFoundError` if there is none."""

    def exists(self, key: str) -> bool:
        """Whether there is something at exactly this key."""

    def write(self, key: str, content: bytes | Path) -> None:
        """Put bytes, or the content of a local file, at a key; replaces what is there."""

    def writer(self, key: str) -> AbstractContextManager[IO[bytes]]:
        """A file to write to, for content that does not fit into memory; it appears at the end of the block, if that ends well."""

    def sync(self, keys: Iterable[str]) -> None:
        """Have the content of keys where a loss of power does not reach it; returns when it is there."""

    def copy(self, source: str, target: str) -> None:
        """Copy one key to another; replaces what is there."""

    def delete(self, keys: Iterable[str]) -> None:
        """Delete keys; missing ones are no error."""


def open_store(uri: str) -> Store:
    """The store for a folder or a URI; connects to nothing yet.

    Raises:
        UsageError: a scheme that no store serves.
    """
    if objects.is_object_uri(uri):
        return ObjectStore(uri)
    if "://" not in uri or uri.startswith("file://"):
        return LocalStore(uri)
    raise UsageError(
        f"--output {uri}: no writer for {uri.split('://')[0]}:// (folders, file:// and {', '.join(objects.SCHEMES)}:// are served)"
    )


@dataclass(frozen=True)
class LocalStore:
    """A folder, made when something is first written into it."""

    uri: str

    def list(self, prefix: str = "") -> Iterator[Stored]:
        """Everything below a prefix; files that are still being written are not."""
        root = local_path(self.uri)
        found = [
            os.path.join(folder, name) for folder, _, names in os.walk(os.path.join(root, prefix)) for name in names
        ]
        keys = sorted(
            os.path.relpath(path, root) for path in found if not os.path.basename(path).startswith(_UNFINISHED)
        )
        yield from (Stored(key, os.stat(os.path.join(root, key)).st_size) for key in keys)

    def read(self, key: str) -> bytes:
        """The content of one file."""
        with _explained(self.uri, key):
            return self._path(key).read_bytes()

    def open(self, key: str) -> IO[bytes]:
        """One file."""
        with _explained(self.uri, key):
            return self._path(key).open("rb")

    def exists(self, key: str) -> bool:
        """Whether there is such a file."""
        return self._path(key).is_file()

    def write(self, key: str, content: bytes | Path) -> None:
        """Put bytes or a file's content at a key."""
        with self.writer(key) as sink:
            if isinstance(content, bytes):
                sink.write(content)
            else:
                with content.open("rb") as stream:
                    shutil.copyfileobj(stream, sink, 1 << 20)

    @contextlib.contextmanager
    def writer(self, key: str) -> Iterator[IO[bytes]]:
        """A file that is given its name when it is whole, and on the disk."""
        path = self._path(key).with_name(f"{_UNFINISHED}{uuid.uuid4().hex}")
        with _explained(self.uri, key):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with path.open("xb") as sink:
                    yield sink
                    sink.flush()
                    os.fsync(sink.fileno())
                os.replace(path, self._path(key))
            finally:
                path.unlink(missing_ok=True)

    def sync(self, keys: Iterable[str]) -> None:
        """Wait until the system has written files to the disk, others' files too."""
        for key in keys:
            with _explained(self.uri, key), self._path(key).open("rb") as stream:
                os.fsync(stream.fileno())

    def copy(self, source: str, target: str) -> None:
        """Copy one file."""
        self.write(target, self._path(source))

    def delete(self, keys: Iterable[str]) -> None:
        """Delete files, and the folders that are empty then."""
        for key in keys:
            with _explained(self.uri, key), contextlib.suppress(FileNotFoundError, NotADirectoryError):
                self._path(key).unlink()
                self._prune(self._path(key).parent)

    def _path(self, key: str) -> Path:
        return Path(local_path(self.uri), key)

    def _prune(self, folder: Path) -> None:
        root = self._path("")
        while folder != root and not any(folder.iterdir()):
            folder.rmdir()
            folder = folder.parent


@dataclass(frozen=True)
class ObjectStore:
    """A bucket, or the keys of one that start with a prefix."""

    uri: str

    def list(self, prefix: str = "") -> Iterator[Stored]:
        """Everything below a prefix."""
        with _explained(self.uri, prefix):
            listed = [
                Stored(item["path"], item["size"])
                for page in self._client.list(prefix or None, chunk_size=1000)
                for item in page
            ]
        yield from sorted(listed, key=lambda stored: stored.key)

    def read(self, key: str) -> bytes:
        """The content of one object."""
        with _explained(self.uri, key):
            return bytes(self._client.get(key).bytes())

    def open(self, key: str) -> IO[bytes]:
        """One object."""
        with _explained(self.uri, key):
            return RangedFile(self._client.head(key)["size"], functools.partial(self._part, key))  # type: ignore[return-value]

    def _part(self, key: str, start: int, length: int) -> bytes:
        with _explained(self.uri, key):
            return bytes(self._client.get_range(key, start=start, length=length))

    def exists(self, key: str) -> bool:
        """Whether there is such an object."""
        with _explained(self.uri, key):
            try:
                self._client.head(key)
            except FileNotFoundError:
                return False
            return True

    def write(self, key: str, content: bytes | Path) -> None:
        """Put bytes or a file's content at a key; in parts where it is large."""
        with _explained(self.uri, key):
            self._client.put(key, content)

    def read_version(self, key: str) -> tuple[bytes, UpdateVersion]:
        """The content of one object, and which version of it that is."""
        with _explained(self.uri, key):
            answer = self._client.get(key)
            version: UpdateVersion = {"e_tag": answer.meta["e_tag"]}
            if number := answer.meta["version"]:
                version["version"] = number
            return bytes(answer.bytes()), version

    def create(self, key: str, content: bytes) -> bool:
        """Put bytes at a key unless something is there; whether they were put. Of several callers, one gets True."""
        with _explained(self.uri, key):
            return self._put_if(key, content, "create")

    def replace(self, key: str, content: bytes, version: UpdateVersion) -> bool:
        """Put bytes at a key if what is there is this version; whether they were put. Of several callers, one gets True.

        A service that has no such request is asked for the version just before, and two callers at once may then both get True.
        """
        with _explained(self.uri, key):
            try:
                return self._put_if(key, content, version)
            except Exception as exc:
                fault = objects.fault_of(exc)
                if fault is None or fault.status != _NOT_IMPLEMENTED:
                    raise
        with contextlib.suppress(FileNotFoundError):
            if self.read_version(key)[1] == version:
                self.write(key, content)
                return True
        return False

    def _put_if(self, key: str, content: bytes, mode: PutMode) -> bool:
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        try:
            self._client.put(key, content, mode=mode, use_multipart=False)
        except (AlreadyExistsError, PreconditionError):
            return False
        return True

    @contextlib.contextmanager
    def writer(self, key: str) -> Iterator[IO[bytes]]:
        """A file whose parts are sent while it is written."""
        import obstore

        with _explained(self.uri, key), obstore.open_writer(self._client, key, max_concurrency=4) as writer:
            yield _Sink(writer)  # type: ignore[misc]

    def sync(self, keys: Iterable[str]) -> None:
        """Nothing: what the service has confirmed is safe."""

    def copy(self, source: str, target: str) -> None:
        """Copy one object, inside the service."""
        with _explained(self.uri, source):
            self._client.copy(source, target)

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects, a thousand a request."""
        with _explained(self.uri, ""), contextlib.suppress(FileNotFoundError):
            self._client.delete([*keys])

    @property
    def _client(self) -> Client:
        return objects.connect(self.uri, retries=RETRIES)


class _Sink(io.RawIOBase):
    """obstore's writer as a Python file: it has a method `closed` where files have an attribute."""

    def __init__(self, writer: Any) -> None:
        self._writer, self._position = writer, 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._writer.write(data)
        size = memoryview(data).nbytes
        self._position += size
        return size

    def tell(self) -> int:
        return self._position


@contextlib.contextmanager
def _explained(uri: str, key: str) -> Iterator[None]:
    """Turn errors of the storage into `OutputError`; a missing key's, and whatever is not the storage's, pass."""
    place = f"--output {uri}{'/' if key and not uri.endswith('/') else ''}{key}"
    try:
        with objects.explained(place, OutputError):
            yield
    except FileNotFoundError:
        raise
    except OSError as exc:
        raise OutputError(
            f"{place}: {exc.strerror or exc}: choose another place, or make room or access in this one"
        ) from exc
