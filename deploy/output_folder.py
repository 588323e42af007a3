"""The output folder of a run on this machine: made beforehand, writable by whoever the container runs as, the caller's own in the end.

Where root calls, the container runs as nobody, who is lent the folder for as long as the run takes.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.errors import SpecError

Ids = tuple[int, int]
ROOT: Ids = (0, 0)
NOBODY: Ids = (65534, 65534)
# What tells an output of Orchard, finished or not, from a folder that is someone's.
_SIGNS = ("report.json", ".partial", ".complete", ".replaced")
# All that a run leaves which was killed before it wrote anything.
_LOCK = ".lock"


def give(folder: Path, ids: Ids) -> None:
    """Change the owner of everything in a folder; what links lead to is left alone."""
    for place, folders, names in os.walk(folder):
        for name in (".", *folders, *names):
            os.chown(os.path.join(place, name), *ids, follow_symlinks=False)


def run_as(caller: Ids) -> Ids:
    """Uid and gid for the container of this caller: a job never needs to be root."""
    return NOBODY if caller == ROOT else caller


def lending_lines(output: str, *, caller: Ids, user: Ids) -> list[str]:
    """What a shell has to do before a container that runs as `user` can write to the folder."""
    if "://" in output or user == caller:
        return []
    return [shlex.join(["install", "-d", "-o", str(user[0]), "-g", str(user[1]), output])]


@contextmanager
def output_folder(
    output: str,
    *,
    caller: Ids,
    user: Ids,
    access: Callable[[Path, int], bool] = os.access,
    give: Callable[[Path, Ids], None] = give,
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
    if user != caller:
        _check_content(folder, output)
        give(folder, user)
    try:
        yield
    finally:
        if user != caller:
            give(folder, caller)
        if made and not any(folder.iterdir()):
            folder.rmdir()


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


def _check_content(folder: Path, output: str) -> None:
    names = {entry.name for entry in folder.iterdir()} - {_LOCK}
    if names and not names.intersection(_SIGNS):
        raise SpecError(f"--output {output}: holds files, but no output of Orchard: choose an empty or a new folder")
