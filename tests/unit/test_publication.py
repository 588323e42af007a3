"""Publishing in object storage, by processes that die or are suspended at any change that they make."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pytest
from orchard.errors import OutputError
from orchard.legacy.ledger import RunRecord
from orchard.legacy.locks import OBJECT, nothing_to_check
from orchard.legacy.output import Output
from orchard.legacy.publication import publish_objects, roll_forward
from orchard.legacy.stage import Stage, sha256
from orchard.storage.stores import Stored

Content = Mapping[str, str]


def whole(mark: str, *features: str) -> Content:
    """All of an output, made by one run but for some files of features."""
    made = ("model/metadata/part", "report.json", "report.html", "manifest/part-00000.snappy.parquet", "rejected/part")
    marks = [f"{folder}/_SUCCESS" for folder in ("manifest", "features", "rejected", "model/metadata")]
    own = f"features/part-00000-{mark}"
    kept = {f"features/part-00000-{feature}": feature for feature in features}
    return {**dict.fromkeys(made, mark), **dict.fromkeys(marks, ""), own: mark, **kept, "somebody/else": "theirs"}


OLD, NEW = whole("old", "older"), whole("new", "older")


class KilledError(BaseException):
    pass


class Process:
    """One process's way to objects that others share. `kill_after`: how many more changes it makes; see `suspend` as well."""

    uri = "memory"

    def __init__(self, objects: dict[str, bytes], kill_after: int = 10**6) -> None:
        self.objects, self.kill_after = objects, kill_after
        self.requests, self.at, self.late = 0, -1, False
        self.meanwhile: Callable[[], None] = nothing_to_check
        self.caught: list[str] = []
        self._running = threading.RLock()

    def suspend(self, at: int, late: bool, meanwhile: Callable[[], None]) -> None:
        """Have something go on while this process stands still: at which of its requests, and whether that arrives only afterwards."""
        self.at, self.late, self.meanwhile = at, late, meanwhile

    @contextlib.contextmanager
    def _request(self, *keys: str) -> Iterator[None]:
        with self._running:
            caught, self.requests = self.requests == self.at, self.requests + 1
            if caught and self.late:
                self.meanwhile()
            yield
            if caught:
                self.caught = [*keys]
                if not self.late:
                    self.meanwhile()

    def _change(self) -> None:
        self.kill_after -= 1
        if self.kill_after < 0:
            raise KilledError

    def list(self, prefix: str = "") -> Iterator[Stored]:
        folder = f"{prefix}/" if prefix else ""
        return iter([Stored(key, len(self.objects[key])) for key in sorted(self.objects) if key.startswith(folder)])

    def read(self, key: str) -> bytes:
        if key not in self.objects:
            raise FileNotFoundError(key)
        return self.objects[key]

    def exists(self, key: str) -> bool:
        return key in self.objects

    def write(self, key: str, content: bytes) -> None:
        with self._request():
            self._change()
            self.objects[key] = content

    def copy(self, source: str, target: str) -> None:
        with self._request():
            self._change()
            if source not in self.objects:
                raise FileNotFoundError(source)
            self.objects[target] = self.objects[source]

    def delete(self, keys: Iterable[str]) -> None:
        wanted = [*keys]
        with self._request(*wanted):
            for key in wanted:
                self._change()
                self.objects.pop(key, None)

    def content(self) -> dict[str, str]:
        return {key: content.decode() for key, content in self.objects.items()}

    def visible(self) -> Content:
        return {key: text for key, text in self.content().items() if not key.startswith(".partial")}


def process(content: Content) -> Any:
    return Process({key: text.encode() for key, text in content.items()})


def run(store: Any, mark: str, kept: Iterable[str], check: Callable[[], None] = nothing_to_check) -> dict[str, str]:
    """Everything that a run does before it publishes; where all of its output goes."""
    output = Output(store, True, None, Stage(store, check))
    record = RunRecord(created="now", identity={}, manifest=sha256(mark.encode()), partitions=1, chunks=1)
    output.begin(record, mark.encode())
    features = f"{output.stage.attempt('chunks/000000')}/part"
    store.write(features, mark.encode())
    made = dict.fromkeys(("rejected/part", "model/metadata/part", "report.json", "report.html"), mark.encode())
    output.stage.write({**made, **dict.fromkeys(("rejected/_SUCCESS", "model/metadata/_SUCCESS"), b"")})
    return output.stage.seal(record, {f"features/part-00000-{mark}": features, **{key: key for key in kept}})


@pytest.fixture
def store() -> Any:
    return process(OLD)


KEPT = ["features/part-00000-older"]


def check_not_deceived(content: Content, *outputs: Content) -> None:
    """Whoever looks for the marks takes nothing for finished that is not."""
    for mark, folder in (
        ("report.json", ""),
        ("features/_SUCCESS", "features/"),
        ("model/metadata/_SUCCESS", "model/metadata/"),
    ):
        assert mark not in content or data(content, folder) in [data(output, folder) for output in outputs]


def data(content: Content, folder: str = "") -> Content:
    """What a reader finds below a folder."""
    return {
        key: text
        for key, text in content.items()
        if key.startswith(folder) and key[0] != "." and not key.endswith("_SUCCESS")
    }


def test_the_new_output_takes_the_place_of_the_old(store: Any) -> None:
    publish_objects(store, run(store, "new", KEPT), nothing_to_check)
    assert store.content() == NEW


def test_the_lock_of_the_run_that_finishes_anothers_work_stays(store: Any) -> None:
    moves = run(store, "new", KEPT)
    store.kill_after = 5
    with pytest.raises(KilledError):
        publish_objects(store, moves, nothing_to_check)
    store.kill_after = 10**6
    store.write(OBJECT, b"mine")
    roll_forward(store, nothing_to_check)
    assert store.content() == {**NEW, OBJECT: "mine"}


@pytest.mark.parametrize("changes", range(40))
def test_whenever_it_dies_the_next_run_finishes_it(store: Any, changes: int) -> None:
    moves = run(store, "new", KEPT)
    store.kill_after = changes
    try:
        publish_objects(store, moves, nothing_to_check)
    except KilledError:
        check_not_deceived(store.content(), OLD, NEW)
    store.kill_after = 10**6
    roll_forward(store, nothing_to_check)
    assert store.visible() == (NEW if changes else OLD)
    # What may be left behind is nothing that a run could go on with.
    assert ".partial/run.json" not in store.content() or not changes


def test_what_has_gone_is_missed_before_anything_is_touched(store: Any) -> None:
    moves = run(store, "new", KEPT)
    store.delete([moves["report.html"]])
    with pytest.raises(OutputError, match=r"has lost a part of the new output, .*report\.html"):
        publish_objects(store, moves, nothing_to_check)
    assert store.visible() == OLD


class Place:
    """Who holds the output."""

    holder = "new"

    def check(self, name: str) -> Callable[[], None]:
        def check() -> None:
            if self.holder != name:
                raise OutputError("another run has taken over")

        return check


def whole_run(store: Any, place: Place, mark: str, *, extends: bool) -> None:
    check = place.check(mark)
    roll_forward(store, check)
    kept = [stored.key for stored in store.list("features") if "part" in stored.key] if extends else []
    publish_objects(store, run(store, mark, kept, check), check)


# As many requests as the first makes, and more changes than the second makes.
REQUESTS, CHANGES = 30, 45


def test_it_is_suspended_and_killed_everywhere() -> None:
    first, second = process(OLD), process(OLD)
    whole_run(first, Place(), "new", extends=True)
    whole_run(second, Place(), "new", extends=False)
    assert first.requests < REQUESTS
    assert 10**6 - second.kill_after < CHANGES


@pytest.mark.parametrize("extends", [False, True], ids=["replaces", "extends"])
@pytest.mark.parametrize("late", [False, True], ids=["after a request", "before a request"])
@pytest.mark.parametrize("at", range(REQUESTS))
def test_whenever_it_is_suspended_what_others_do_meanwhile_is_left_alone(at: int, late: bool, extends: bool) -> None:
    theirs = [whole("theirs", *others) for others in ([("old", "older"), ("old", "older", "new")] if extends else [()])]
    news, alone = whole("new", "old", "older"), process(OLD)
    whole_run(alone, Place(), "new", extends=True)
    total = alone.requests
    for killed in (10**6, *range(at % 3, CHANGES, 3)):
        first, place = process(OLD), Place()
        second: Any = Process(first.objects, killed)

        def meanwhile(second: Any = second, place: Place = place) -> None:
            place.holder = "theirs"
            with contextlib.suppress(KilledError):
                whole_run(second, place, "theirs", extends=extends)

        first.suspend(at, late, meanwhile)
        finished = False
        with contextlib.suppress(OutputError):
            whole_run(first, place, "new", extends=True)
            finished = True
        check_not_deceived(first.content(), OLD, news, *theirs)
        # Every request but the last is followed, sooner or later, by a look at who holds the place.
        assert finished == (at >= total - 1)
        roll_forward(first, nothing_to_check)
        allowed = [news] if at >= total else theirs if second.kill_after >= 0 else [OLD, news, *theirs]
        if late and "report.json" in first.caught:  # what cannot be excluded: see `orchard.legacy.publication`
            allowed += [{key: text for key, text in output.items() if key not in first.caught} for output in allowed]
        assert first.visible() in allowed
