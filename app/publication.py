"""Putting a whole output in place of an earlier one.

In a folder the new one is whole in `.partial/`, becomes `.complete/` by one rename, from which on it is the one that counts, and its parts
change places with the old ones, that go by `.replaced/`. Staging inside the folder works where the folder is a mount point, which cannot
be renamed.

In object storage, where nothing can be renamed, one object `.partial/publish.json` says where everything goes; once it is there, the new
output is the one that counts. What marks the old one as finished goes first, then its tables; the new objects are copied inside the
storage, what marks them as finished last.

If the process dies in between, the next run goes on where it stopped (`roll_forward`).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from app.locks import OBJECT
from app.parquet import SUCCESS
from app.sources import local_path
from app.stage import PARTIAL, RUN
from app.stores import LocalStore, Store

PARTS = ("manifest", "features", "components", "rejected", "model", "report.json", "report.html")
_COMPLETE, _REPLACED = ".complete", ".replaced"
STAGES = (PARTIAL, _COMPLETE, _REPLACED)
_PUBLISH = f"{PARTIAL}/publish.json"
# Copies under way at once; each is one request.
_COPIES = 16


def publish(store: Store, layout: Mapping[str, str]) -> None:
    """Replace the parts in a store by those in its `.partial/`, and by the files of `layout`: final key -> key now."""
    if isinstance(store, LocalStore):
        _publish_folder(Path(local_path(store.uri)), layout)
    else:
        publish_objects(store, layout)


def roll_forward(store: Store) -> None:
    """Finish what a run began that had a whole output; nothing where there is none."""
    if isinstance(store, LocalStore):
        _finish_moves(Path(local_path(store.uri)))
    elif store.exists(_PUBLISH):
        _finish_copies(store, json.loads(store.read(_PUBLISH)))


def is_decided(store: Store) -> bool:
    """Whether the staged output is the one that counts already, and only waits to be put in place."""
    return not isinstance(store, LocalStore) and store.exists(_PUBLISH)


def _publish_folder(root: Path, layout: Mapping[str, str]) -> None:
    for final, now in layout.items():
        _link(root / now, root / PARTIAL / final)
    for mark in _marks(layout):
        (root / PARTIAL / mark).touch()
    os.rename(root / PARTIAL, root / _COMPLETE)
    _finish_moves(root)


def _finish_moves(root: Path) -> None:
    complete, replaced = root / _COMPLETE, root / _REPLACED
    if complete.exists():
        replaced.mkdir(exist_ok=True)
        for part in sorted({path.name for path in complete.iterdir()} & set(PARTS)):
            if (root / part).exists():
                os.rename(root / part, replaced / part)
            os.rename(complete / part, root / part)
        shutil.rmtree(complete)
    shutil.rmtree(replaced, ignore_errors=True)


def _link(source: Path, target: Path) -> None:
    # The same file under a second name: the first is left for a resumed run, should this one be cut off now.
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)


def publish_objects(store: Store, layout: Mapping[str, str]) -> None:
    """`publish` in object storage."""
    staged = {key.removeprefix(f"{PARTIAL}/"): key for key in _staged(store)}
    parts = {final: key for final, key in staged.items() if final.split("/")[0] in PARTS}
    moves = {**parts, **layout, **dict.fromkeys(_marks(layout))}
    store.write(_PUBLISH, json.dumps(moves).encode())
    _finish_copies(store, moves)


def _finish_copies(store: Store, moves: Mapping[str, str | None]) -> None:
    """Make `moves` (final key -> key now, None for an empty object) the whole output; doing it again from anywhere is the same."""
    last = [final for final in moves if final.split("/")[-1] == SUCCESS] + ["report.json"]
    there = [stored.key for stored in store.list() if stored.key.split("/")[0] in PARTS]
    store.delete(key for key in there if key.split("/")[-1] == SUCCESS or key == "report.json")
    store.delete(key for key in there if key not in moves)
    with ThreadPoolExecutor(_COPIES) as pool:
        for finals in (set(moves) - set(last), last[:-1], last[-1:]):
            list(pool.map(lambda final: _put(store, final, moves[final]), finals))
    # From here on nothing of this run is left to go on with, and then nothing at all.
    for keys in ([RUN], [_PUBLISH], [key for key in _staged(store) if key != OBJECT]):
        store.delete(keys)


def _put(store: Store, final: str, now: str | None) -> None:
    if now is None:
        store.write(final, b"")
    elif now != final:
        store.copy(now, final)


def _marks(layout: Iterable[str]) -> set[str]:
    return {f"{final.split('/')[0]}/{SUCCESS}" for final in layout}


def _staged(store: Store) -> list[str]:
    return [stored.key for stored in store.list(PARTIAL)]
