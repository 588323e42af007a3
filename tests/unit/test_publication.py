"""Publishing in object storage, on a store that dies after so many requests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.locks import OBJECT
from app.publication import publish_objects, roll_forward
from app.stores import LocalStore, Stored

OLD = {
    "features/_SUCCESS": "", "features/part-00000-a": "old", "features/part-00001-b": "kept", "model/metadata/_SUCCESS": "",
    "model/metadata/part": "old", "report.json": "old", "report.html": "old", "manifest/part": "old", "somebody/else": "theirs",
}  # fmt: skip
NEW = {
    "features/_SUCCESS": "", "features/part-00000-c": "new", "features/part-00001-b": "kept", "model/metadata/_SUCCESS": "",
    "model/metadata/part": "new", "report.json": "new", "report.html": "new", "manifest/part": "new", "somebody/else": "theirs",
}  # fmt: skip
LAYOUT = {"features/part-00000-c": ".partial/chunks/000000-x/part-00000-c", "features/part-00001-b": "features/part-00001-b"}


class KilledError(Exception):
    pass


class Mortal:
    """A store of objects, that can be told after how many changes the process dies."""

    def __init__(self, folder: Path) -> None:
        self.inner, self.left = LocalStore(str(folder)), 10**6

    uri = "memory"

    def change(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise KilledError

    def list(self, prefix: str = "") -> Iterator[Stored]:
        return self.inner.list(prefix)

    def read(self, key: str) -> bytes:
        return self.inner.read(key)

    def exists(self, key: str) -> bool:
        return self.inner.exists(key)

    def write(self, key: str, content: bytes) -> None:
        self.change()
        self.inner.write(key, content)

    def copy(self, source: str, target: str) -> None:
        self.change()
        self.inner.copy(source, target)

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            self.change()
            self.inner.delete([key])

    def content(self) -> dict[str, str]:
        return {stored.key: self.read(stored.key).decode() for stored in self.list()}


@pytest.fixture
def store(tmp_path: Path) -> Any:
    store = Mortal(tmp_path)
    for key, content in OLD.items():
        store.write(key, content.encode())
    staged = {key: "new" for key in NEW if key.split("/")[0] in ("model", "report.json", "report.html", "manifest") and "_" not in key}
    for key, content in {**staged, "model/metadata/_SUCCESS": "", "chunks/000000-x/part-00000-c": "new", "run.json": "{}"}.items():
        store.write(f".partial/{key}", content.encode())
    return store


def data(content: dict[str, str], folder: str = "") -> dict[str, str]:
    """What a reader finds below a folder."""
    return {key: text for key, text in content.items() if key.startswith(folder) and key[0] != "." and not key.endswith("_SUCCESS")}


def test_the_new_output_takes_the_place_of_the_old(store: Any) -> None:
    publish_objects(store, LAYOUT)
    assert store.content() == NEW


def test_the_lock_of_the_run_that_finishes_anothers_work_stays(store: Any) -> None:
    store.left = 5
    with pytest.raises(KilledError):
        publish_objects(store, LAYOUT)
    store.left = 10**6
    store.write(OBJECT, b"mine")
    roll_forward(store)
    assert store.content() == {**NEW, OBJECT: "mine"}


@pytest.mark.parametrize("changes", range(40))
def test_whenever_it_dies_the_next_run_finishes_it(store: Any, changes: int) -> None:
    store.left = changes
    try:
        publish_objects(store, LAYOUT)
    except KilledError:
        content = store.content()
        # Whoever looks for the marks is never deceived.
        for mark, folder in (("report.json", ""), ("features/_SUCCESS", "features/"), ("model/metadata/_SUCCESS", "model/metadata/")):
            assert mark not in content or data(content, folder) in (data(OLD, folder), data(NEW, folder))
    store.left = 10**6
    decided = store.exists(".partial/publish.json") or "new" in store.content()["report.json"]
    roll_forward(store)
    visible = {key: text for key, text in store.content().items() if not key.startswith(".partial")}
    assert visible == (NEW if decided else OLD)
    assert decided == (changes > 0)
    # What may be left behind is nothing that a run could go on with.
    assert ".partial/run.json" not in store.content() or not decided
