"""The output folder: staged beside its final place inside the folder itself, and put in place only when it is whole.

    OUTPUT/.partial/     what the running job writes; a killed run leaves it, the next one clears it
    OUTPUT/.complete/    the same folder once everything is in it: from this rename on, the new output is the one that counts
    OUTPUT/.replaced/    parts of the earlier output on their way out

Staging inside the folder works where the folder is a mount point, which cannot be renamed. If the process dies while parts
are being moved, the next run finds `.complete/` and finishes the moves first.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from app.errors import OutputError, UsageError
from app.sources import local_path

PARTS = ("manifest", "features", "components", "rejected", "model", "report.json", "report.html")
_STAGES = (".partial", ".complete", ".replaced")


@contextlib.contextmanager
def open_output(uri: str, *, input_uri: str, overwrite: bool) -> Iterator[Path]:
    """A folder to write the parts of the output into; they replace what is at `uri` when the block ends well.

    When it does not, the staged parts are removed and whatever was at `uri` stays as it was.

    Raises:
        UsageError: the output is the input or inside it, or no such place can be written.
        OutputError: something is there and `overwrite` is not given, or it is not Orchard's, or another run is writing.
    """
    root = _check_place(uri, input_uri)
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _lock(root / ".partial", uri):
            _finish_moves(root)
            _check_contents(root, uri, overwrite)
            stage = root / ".partial"
            _clear(stage)
            yield stage
            (stage / ".lock").unlink()
            os.rename(stage, root / ".complete")
            _finish_moves(root)
    except OSError as exc:
        if not str(exc.filename or "").startswith(str(root)) and exc.errno != errno.ENOSPC:
            raise
        raise OutputError(f"--output {uri}: {exc.strerror} ({exc.filename}): choose another place, or make room in this one") from exc


def check_output(uri: str, *, input_uri: str, overwrite: bool) -> None:
    """Raise what `open_output` would, as far as can be told without writing."""
    root = _check_place(uri, input_uri)
    if root.exists():
        _check_contents(root, uri, overwrite)


def _check_place(uri: str, input_uri: str) -> Path:
    scheme = urlsplit(uri).scheme if "://" in uri else ""
    if scheme not in ("", "file"):
        raise UsageError(f"--output {uri}: no writer for {scheme}:// (folders and file:// are served)")
    root, photos = Path(os.path.realpath(local_path(uri))), Path(os.path.realpath(local_path(input_uri)))
    if root == photos or photos in root.parents:
        raise UsageError(f"--output {uri}: is inside --input {input_uri}, which is never written to: choose another place")
    return root


@contextlib.contextmanager
def _lock(stage: Path, uri: str) -> Iterator[None]:
    created = not stage.exists()
    stage.mkdir(exist_ok=True)
    with open(stage / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError(f"--output {uri}: another run is writing there: wait for it, or choose another place") from None
        try:
            yield
        except BaseException:
            shutil.rmtree(stage, ignore_errors=True)
            if created:
                _remove_if_empty(stage.parent)
            raise


def _check_contents(root: Path, uri: str, overwrite: bool) -> None:
    present = {path.name for path in root.iterdir()} - set(_STAGES)
    if not present:
        return
    if "report.json" not in present:
        raise OutputError(f"--output {uri}: holds files, but no output of Orchard: choose an empty or a new folder")
    if not overwrite:
        raise OutputError(f"--output {uri}: already holds an output: choose another folder, or replace it with --overwrite")


def _finish_moves(root: Path) -> None:
    complete, replaced = root / ".complete", root / ".replaced"
    if complete.exists():
        replaced.mkdir(exist_ok=True)
        for part in sorted(path.name for path in complete.iterdir()):
            if (root / part).exists():
                os.rename(root / part, replaced / part)
            os.rename(complete / part, root / part)
        complete.rmdir()
    shutil.rmtree(replaced, ignore_errors=True)


def _clear(stage: Path) -> None:
    for path in stage.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != ".lock":
            path.unlink()


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()
