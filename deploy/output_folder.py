"""The output folder of a run on this machine.

Made beforehand, writable by whoever the container runs as, the caller's own in the end.

Where root calls, the container runs as nobody, who is lent the folder for as long as the run takes. What was there is
then whose it was, what is new is the folder's owner's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from deploy.errors import SpecError

Ids = tuple[int, int]
Give = Callable[[int, Callable[[str], Ids]], None]
ROOT: Ids = (0, 0)
NOBODY: Ids = (65534, 65534)
# What tells an output of Orchard, finished or not, from a folder that is someone's.
_SIGNS = ("report.json", ".partial", ".complete", ".replaced")
# All that a run leaves which was killed before it wrote anything.
_LOCK = ".lock"


def owners(folder: int) -> dict[str, Ids]:
    """Whose a folder (an open one) and everything in it is, by path; the folder's own is `.`."""
    found = {}
    for path, place, name in _entries(folder):
        status = os.stat(name, dir_fd=place, follow_symlinks=False)
        found[path] = (status.st_uid, status.st_gid)
    return found


def give(folder: int, to: Callable[[str], Ids]) -> None:
    """Change the owner of an open folder and of everything in it to what `to` says of the path.

    What links lead to is left alone.
    """
    for path, place, name in _entries(folder):
        os.chown(name, *to(path), dir_fd=place, follow_symlinks=False)


def _entries(folder: int) -> Iterator[tuple[str, int, str]]:
    """Path, open folder and name in it: from there on it does not matter where anyone puts a link meanwhile."""
    yield ".", folder, "."
    for place, folders, names, opened in os.fwalk(".", dir_fd=folder):
        for name in (*folders, *names):
            yield os.path.normpath(os.path.join(place, name)), opened, name


def run_as(caller: Ids) -> Ids:
    """Uid and gid for the container of this caller: a job never needs to be root."""
    return NOBODY if caller[0] == ROOT[0] else caller


@contextmanager
def output_folder(
    output: str, *, caller: Ids, user: Ids, access: Callable[[Path, int], bool] = os.access, give: Give = give
) -> Iterator[None]:
    """The folder for a container that runs as `user`; one that was made here is removed again if it stays empty.

    Raises:
        SpecError: it cannot be made or written, or holds what must not be lent.
    """
    if "://" in output:
        yield
        return
    folder = Path(output).expanduser()
    made = _make(folder, output)
    _check(folder, output, access)
    try:
        with _lent(folder, output, caller, user, give) if user != caller else nullcontext():
            yield
    finally:
        if made and not any(folder.iterdir()):
            folder.rmdir()


@contextmanager
def _lent(folder: Path, output: str, caller: Ids, user: Ids, give: Give) -> Iterator[None]:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _check_names(os.listdir(opened), output)
        # What is `user`'s was left so by a run that was killed.
        before = {path: caller if ids == user else ids for path, ids in owners(opened).items()}
        try:
            give(opened, lambda _: user)
            yield
        finally:
            give(opened, lambda path: before.get(path, before["."]))
    finally:
        os.close(opened)


def _make(folder: Path, output: str) -> bool:
    """Whether the folder had to be made."""
    try:
        made = not folder.is_dir()
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise SpecError(f"--output {output}: {exc.strerror}: choose a place that you can write to") from exc
    return made


def _check(folder: Path, output: str, access: Callable[[Path, int], bool]) -> None:
    if not access(folder, os.W_OK | os.X_OK):
        raise SpecError(f"--output {output}: you may not write to it: choose a place that you can write to")


def check_content(output: str) -> None:
    """Raise `SpecError` where a folder is there and holds what must not be lent."""
    folder = Path(output).expanduser()
    if "://" not in output and folder.is_dir():
        _check_names(os.listdir(folder), output)


def _check_names(names: list[str], output: str) -> None:
    if set(names) - {_LOCK} and not set(names).intersection(_SIGNS):
        raise SpecError(f"--output {output}: holds files, but no output of Orchard: choose an empty or a new folder")
