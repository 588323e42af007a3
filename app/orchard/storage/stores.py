"""The files of an output, in a folder or in S3.

A store is an address: picklable, cheap to make, connected when first used. Keys are relative to its URI, with `/`
between parts. Reading a missing key raises `FileNotFoundError`, everything else `OutputError` when it fails.
"""

import os
import re
from collections.abc import Collection, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from orchard.errors import OutputError, UsageError
from orchard.storage import objects

LOG = "_delta_log"  # the folder that makes a folder a Delta table
CLASSIFIER_FILES = re.compile("model-[0-9a-f]{12}")  # as a classifier names the folder of its files


@dataclass(frozen=True)
class LocalStore:
    """A folder, given by its absolute path and made when something is first written into it."""

    uri: str
    flag: str = "--output"  # what errors call it

    def names(self) -> set[str]:
        """The names in the folder; empty where there is none."""
        with _explained(self), suppress(FileNotFoundError):
            return set(os.listdir(self.uri))
        return set()

    def list(self, prefix: str) -> list[str]:
        """The keys below a prefix that ends at a `/`, in order; empty where there are none."""
        found = (Path(folder, name) for folder, _, names in os.walk(Path(self.uri, prefix)) for name in names)
        return sorted(os.path.relpath(path, self.uri) for path in found)

    def read(self, key: str) -> bytes:
        """The content of one file."""
        with _explained(self, key):
            return Path(self.uri, key).read_bytes()

    def open(self, key: str) -> IO[bytes]:
        """One file."""
        with _explained(self, key):
            return Path(self.uri, key).open("rb")

    def size(self, key: str) -> int | None:
        """The size of one file in bytes; None if there is none."""
        with _explained(self, key), suppress(FileNotFoundError):
            return Path(self.uri, key).stat().st_size
        return None

    def write(self, key: str, content: bytes) -> None:
        """Write a file beside the old one, and rename it when it is on the disk: a reader never sees a part of it."""
        path = Path(self.uri, key)
        # Named by process: what a killed one left is written over or, below a table, cleaned up.
        draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        with _explained(self, key):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with draft.open("wb") as sink:
                    sink.write(content)
                    sink.flush()
                    os.fsync(sink.fileno())
                draft.replace(path)
            finally:
                draft.unlink(missing_ok=True)

    def delete(self, keys: Iterable[str]) -> None:
        """Delete files, and the folders that are empty then; missing ones are no error."""
        for key in keys:
            path = Path(self.uri, key)
            with _explained(self, key), suppress(FileNotFoundError, NotADirectoryError):
                path.unlink()
            with suppress(OSError):  # not empty
                for folder in path.parents[: key.count("/")]:
                    folder.rmdir()

    def delete_below(self, prefix: str, *, but: Collection[str] = ()) -> None:
        """Delete all below a prefix that ends at a `/`, but some keys: files, and folders that are or become empty."""
        self.delete(key for key in self.list(prefix) if key not in but)
        for folder, _, _ in os.walk(Path(self.uri, prefix), topdown=False):
            with suppress(OSError):  # not empty
                os.rmdir(folder)


@dataclass(frozen=True)
class ObjectStore:
    """A bucket, or the keys of one that start with a prefix."""

    uri: str
    flag: str = "--output"  # what errors call it

    @property
    def _client(self) -> Any:
        return objects.connect(self.uri, retries=8)  # requests of the output are few and matter much

    def names(self) -> set[str]:
        """The first parts of the keys below the URI."""
        with _explained(self):
            listed = self._client.list_with_delimiter()
            return {item["path"] for item in listed["objects"]} | {*listed["common_prefixes"]}

    def list(self, prefix: str) -> list[str]:
        """The keys below a prefix that ends at a `/`, in order; empty where there are none."""
        with _explained(self, prefix):
            return sorted(item["path"] for page in self._client.list(prefix.rstrip("/") or None) for item in page)

    def read(self, key: str) -> bytes:
        """The content of one object."""
        with _explained(self, key):
            return bytes(self._client.get(key).bytes())

    @contextmanager
    def open(self, key: str) -> Iterator[SimpleNamespace]:
        """One object as a file for pyarrow, of which little more than what is read is fetched."""
        import obstore

        with _explained(self, key):
            file = obstore.open_reader(self._client, key, buffer_size=1 << 16)
            # pyarrow requires `closed`, which obstore's file lacks.
            yield SimpleNamespace(read=file.read, seek=file.seek, tell=file.tell, close=file.close, closed=False)

    def write(self, key: str, content: bytes) -> None:
        """Put an object, in parts where it is large; a reader never sees a part of it."""
        with _explained(self, key):
            self._client.put(key, content)

    def check_writable(self) -> None:
        """Raise `OutputError` where no object can be written; nothing is, as an upload in parts is begun and given up.

        `InputError` without a region or credentials.
        """
        client, (bucket, prefix) = objects.connect_boto(self.uri), objects.split_uri(self.uri)
        upload = {"Bucket": bucket, "Key": f"{prefix}/.orchard".lstrip("/")}
        with _explained(self):
            upload["UploadId"] = client.create_multipart_upload(**upload)["UploadId"]
        with suppress(Exception):  # which may be denied, and what is left is empty
            client.abort_multipart_upload(**upload)

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects, a thousand a request; missing ones are no error."""
        with _explained(self), suppress(FileNotFoundError):
            self._client.delete([*keys])

    def delete_below(self, prefix: str, *, but: Collection[str] = ()) -> None:
        """Delete all below a prefix that ends at a `/`, but some keys."""
        self.delete(key for key in self.list(prefix) if key not in but)


Store = LocalStore | ObjectStore


def _explained(store: Store, key: str = "") -> AbstractContextManager[None]:
    return objects.explained(f"{store.flag} {store.uri}/{key}".rstrip("/"), OutputError)


def open_store(uri: str, flag: str = "--output") -> Store:
    """The store for a folder or a URI, not connected yet; `UsageError` for no bucket, or a scheme that no store serves.

    Its errors call it by `flag`, which the URI was given with.
    """
    if objects.is_object_uri(uri):
        if not objects.split_uri(uri)[0]:
            raise UsageError(f"{flag} {uri}: names no bucket: write s3://BUCKET/PREFIX")
        return ObjectStore(uri.rstrip("/"), flag)
    if "://" not in uri or uri.startswith("file://"):
        # Tasks have another working directory than who named the folder.
        return LocalStore(os.path.realpath(local_path(uri)), flag)
    served = ", ".join(f"{scheme}://" for scheme in objects.SCHEMES)
    raise UsageError(f"{flag} {uri}: {uri.split('://')[0]}:// is not supported: use a folder, file://, {served}")


def check_writable(store: Store, *names: str) -> None:
    """Raise `OutputError` where files of these names cannot be written: now, before the work for them.

    `InputError` without a region or credentials.
    """
    if isinstance(store, ObjectStore):
        store.check_writable()
        return
    if taken := [path for name in names if os.path.isdir(path := os.path.join(store.uri, name))]:
        raise OutputError(f"{store.flag} {taken[0]}: is a folder: a file is to go there: choose another place")
    above = next(path for path in (Path(store.uri), *Path(store.uri).parents) if os.path.exists(path))
    if not (above.is_dir() and os.access(above, os.W_OK | os.X_OK)):
        what = "cannot be written" if above.is_dir() else "is a file, not a folder"
        raise OutputError(f"{store.flag} {store.uri}: {above} {what}: choose another folder")


def check_outside(store: Store) -> None:
    """Raise `UsageError` for a place in a Delta table or in a classifier's folder of files.

    What is not theirs is deleted there, and readers that know no Delta take it for rows. Where a bucket may not be
    listed above the place, nobody can say.
    """
    for folder in (store.uri, *_above(store)):
        own = "a classifier's files" if CLASSIFIER_FILES.fullmatch(os.path.basename(folder)) else None
        if what := own or ("a table" if _is_table(store, folder) else None):
            advice = "where other files are deleted: choose another folder"
            raise UsageError(f"{store.flag} {store.uri}: is inside {folder}, {what}, {advice}")


def _above(store: Store) -> Iterator[str]:
    """The folders that hold a store's, from the nearest on; of a bucket the prefixes."""
    if isinstance(store, LocalStore):
        yield from map(str, Path(store.uri).parents)
        return
    parts = objects.split_uri(store.uri)[1].split("/")
    yield from (f"{_bucket(store)}/{'/'.join(parts[:end])}" for end in range(len(parts) - 1, 0, -1))


def _bucket(store: ObjectStore) -> str:
    return f"{store.uri.split('://')[0]}://{objects.split_uri(store.uri)[0]}"


def _is_table(store: Store, folder: str) -> bool:
    if isinstance(store, LocalStore):
        return os.path.isdir(os.path.join(folder, LOG))
    prefix = objects.split_uri(folder)[1]
    with suppress(OutputError):
        return bool(ObjectStore(_bucket(store), store.flag).list(f"{prefix}/{LOG}/".lstrip("/")))
    return False


def local_path(uri: str) -> str:
    """The absolute path of a folder given as a path or as `file://`."""
    path = unquote(urlsplit(uri).path) if uri.startswith("file://") else os.path.expanduser(uri)
    return os.path.abspath(path)
