"""Putting a whole output in place of an earlier one.

In a folder the new one is whole in `.partial/`, becomes `.complete/` by one rename, from which on it is the one that counts, and its parts
change places with the old ones, that go by `.replaced/`. Staging inside the folder works where the folder is a mount point, which cannot
be renamed.

In object storage, where nothing can be renamed, one object `.partial/publish-ab12.json` says where everything goes and which keys of the
old output go; once it is there, the new output is the one that counts. What marks the old one as finished goes first, then its tables;
the new objects are copied inside the storage, what marks them as finished last.

If the process dies in between, the next run goes on where it stopped (`roll_forward`). If it was only suspended, and goes on itself
after that, it does no harm. Before each step it makes sure that the place is still its own, and what it had begun by then comes to
nothing: it deletes what the plan says and not what is there; it copies from names that no other process writes at, and that have gone
before another run begins; a plan is void when one of its sources has gone.

What cannot be excluded, since object storage deletes without conditions: a process is suspended after it was told that the place is its
own, and before its request to delete the old marks is done. It then takes them off the output that has been put in place since, which is
whole, but looks unfinished. The like goes for a copy inside the storage that takes longer than another's whole run.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from orchard.errors import OutputError
from orchard.legacy.locks import OBJECT
from orchard.legacy.stage import PARTIAL, RUN
from orchard.photos.source import local_path
from orchard.storage.stores import LocalStore, Store
from orchard.tables.parquet import SUCCESS

PARTS = ("manifest", "features", "components", "rejected", "model", "report.json", "report.html")
_COMPLETE, _REPLACED = ".complete", ".replaced"
STAGES = (PARTIAL, _COMPLETE, _REPLACED)
_REPORT = "report.json"
_PLAN = re.compile(rf"{re.escape(PARTIAL)}/publish-\w+\.json")
# Copies under way at once; each is one request.
_COPIES = 16
# A change to some keys.
_Step = tuple[Callable[[Iterable[str]], None], Iterable[str]]


@dataclass(frozen=True)
class Plan:
    """What makes a whole output of what is in object storage.

    Attributes:
        moves: final key -> key now, of everything; the same where it stays.
        old: the keys of the output that was there when this was decided.
    """

    moves: Mapping[str, str]
    old: Sequence[str]


def publish(store: Store, moves: Mapping[str, str], check: Callable[[], None]) -> None:
    """Make the files of `moves` (final key -> key now) the whole output, in place of what is there.

    Args:
        check: raises `OutputError` when the output is not this run's any more.
    """
    if isinstance(store, LocalStore):
        store.sync(moves.values())  # before anything of the old output goes
        _publish_folder(Path(local_path(store.uri)), moves)
    else:
        publish_objects(store, moves, check)


def roll_forward(store: Store, check: Callable[[], None]) -> None:
    """Finish what a run began that had a whole output; nothing where there is none."""
    if isinstance(store, LocalStore):
        _finish_moves(Path(local_path(store.uri)))
    else:
        with _nothing_missing(store, check):
            if decided := _find_plan(store):
                _finish_copies(store, *decided, check)


def is_decided(store: Store) -> bool:
    """Whether the staged output is the one that counts already, and only waits to be put in place."""
    return not isinstance(store, LocalStore) and _find_plan(store) is not None


def _publish_folder(root: Path, moves: Mapping[str, str]) -> None:
    for final, now in moves.items():
        _link(root / now, root / PARTIAL / final)
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


def publish_objects(store: Store, moves: Mapping[str, str], check: Callable[[], None]) -> None:
    """`publish` in object storage."""
    there, key = _keys(store), f"{PARTIAL}/publish-{uuid.uuid4().hex[:8]}.json"
    plan = Plan(moves, sorted(final for final in there if final.split("/")[0] in PARTS))
    with _nothing_missing(store, check):
        if gone := set(moves.values()) - there:
            raise FileNotFoundError(min(gone))
        check()
        store.write(key, json.dumps(asdict(plan)).encode())
        _finish_copies(store, key, plan, check)


@contextlib.contextmanager
def _nothing_missing(store: Store, check: Callable[[], None]) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as exc:
        check()  # whoever has taken over has cleared up
        raise OutputError(
            f"--output {store.uri}: has lost a part of the new output, {exc}: start again with --overwrite"
        ) from exc


def _find_plan(store: Store) -> tuple[str, Plan] | None:
    """A plan whose sources are all there, and where it is."""
    plans = [key for key in _keys(store, PARTIAL) if _PLAN.fullmatch(key)]
    there = _keys(store) if plans else set()
    for key in plans:
        plan = Plan(**json.loads(store.read(key)))
        if there.issuperset(plan.moves.values()):
            return key, plan
    return None


def _finish_copies(store: Store, key: str, plan: Plan, check: Callable[[], None]) -> None:
    """Carry out the plan that is at `key`; doing it again from anywhere is the same."""
    staged = [key for key in _keys(store, PARTIAL) if key != OBJECT]
    # From here on nothing of this run is left to go on with, and then nothing at all.
    clearing: list[_Step] = [(store.delete, [RUN]), (store.delete, [key]), (store.delete, staged)]
    for change, keys in (*([] if _is_in_place(store, plan) else _moving(store, plan)), *clearing):
        check()
        change(keys)


def _is_in_place(store: Store, plan: Plan) -> bool:
    # The report goes last. Where it is, no mark is taken off again: another process may be about to delete the plan to put it back by. But
    # one that was late with the report may have put it where another had taken marks off, and died.
    return (
        store.exists(_REPORT)
        and store.read(_REPORT) == store.read(plan.moves[_REPORT])
        and _keys(store).issuperset(plan.moves)
    )


def _moving(store: Store, plan: Plan) -> list[_Step]:
    marks, copy = [final for final in plan.moves if _is_mark(final)], functools.partial(_copy, store, plan.moves)
    return [
        (store.delete, filter(_is_mark, plan.old)),
        (store.delete, (final for final in plan.old if final not in plan.moves)),
        (copy, plan.moves.keys() - set(marks)),
        (copy, (mark for mark in marks if mark != _REPORT)),
        (copy, [_REPORT]),
    ]


def _copy(store: Store, moves: Mapping[str, str], finals: Iterable[str]) -> None:
    with ThreadPoolExecutor(_COPIES) as pool:
        list(
            pool.map(
                lambda final: store.copy(moves[final], final), (final for final in finals if moves[final] != final)
            )
        )


def _is_mark(final: str) -> bool:
    return final == _REPORT or final.split("/")[-1] == SUCCESS


def _keys(store: Store, prefix: str = "") -> set[str]:
    return {stored.key for stored in store.list(prefix)}
