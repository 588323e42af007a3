"""The output folder of a run on this machine.

Made beforehand, writable by whoever the container runs as, the caller's own in the end.

Where root calls, the container runs as nobody, who is lent the folder for as long as the run takes. What was there is
then whose it was, what is new is the folder's owner's.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.errors import SpecError

Ids = tuple[int, int]
Give = Callable[[int, Callable[[str], Ids]], None]
ROOT: Ids = (0, 0)
NOBODY: Ids = (65534, 65534)
# What tells an output of Orchard, finished or not, from a folder that is someone's.
_SIGNS = re.compile(
    r"report\.json|classifier\.json|model-[0-9a-f]{12}|evaluation\.json|\.partial|\.complete|\.replaced"
)
# The names alone are anyone's.
_LOGS = ("features/_delta_log", "predictions/_delta_log")
# All that the folder of an exported file may hold: it is named by its file only, `.` or a home for one.
_EXPORTED = re.compile(r".+\.tflite(\.\d+\.tmp)?")
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
    output: str,
    *,
    caller: Ids,
    user: Ids,
    exported: bool = False,
    access: Callable[[Path, int], bool] = os.access,
    give: Give = give,
) -> Iterator[None]:
    """The folder for a container that runs as `user`; one that was made here is removed again if it stays empty.

    `exported` says that it is for one exported file.

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
        if user == caller:
            yield
        else:
            with _opened(folder) as opened:
                _check_names(opened, output, exported=exported)
                with _lent(opened, caller, user, give):
                    yield
    finally:
        if made and not any(folder.iterdir()):
            folder.rmdir()


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield opened
    finally:
        os.close(opened)


@contextmanager
def _lent(opened: int, caller: Ids, user: Ids, give: Give) -> Iterator[None]:
    # What is `user`'s was left so by a run that was killed.
    before = {path: caller if ids == user else ids for path, ids in owners(opened).items()}
    try:
        give(opened, lambda _: user)
        yield
    finally:
        give(opened, lambda path: before.get(path, before["."]))


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


def check_content(output: str, *, exported: bool = False) -> None:
    """Raise `SpecError` where a folder is there and holds what must not be lent, see `output_folder`."""
    folder = Path(output).expanduser()
    if "://" not in output and folder.is_dir():
        with _opened(folder) as opened:
            _check_names(opened, output, exported=exported)


def _check_names(opened: int, output: str, *, exported: bool) -> None:
    names = set(os.listdir(opened)) - {_LOCK}
    if exported and (others := sorted(name for name in names if not _EXPORTED.fullmatch(name))):
        what = f"holds other files ({others[0]} for one), whose owner would change"
        raise SpecError(
            f"--output: the file's folder, {output}, {what}: choose a new folder, such as robot/fruit.tflite"
        )
    if (
        names
        and not exported
        and not any(map(_SIGNS.fullmatch, names))
        and not any(_is_in(opened, log) for log in _LOGS)
    ):
        raise SpecError(f"--output {output}: holds files, but no output of Orchard: choose an empty or a new folder")


def _is_in(opened: int, path: str) -> bool:
    try:
        return stat.S_ISDIR(os.stat(path, dir_fd=opened).st_mode)
    except OSError:
        return False
