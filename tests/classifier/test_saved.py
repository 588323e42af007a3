"""The saved classifier: what is written comes back, whatever is killed; and what is refused as one."""

from __future__ import annotations

import functools
import json
import shutil
import timeit
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchard.classifier.model import Model
from orchard.classifier.pointer import FOLDER, check_facts, format_pointer, hash_facts
from orchard.classifier.saved import (
    Saved,
    _content_files,
    check_settings,
    open_classifier_output,
    read_classifier,
    read_classifier_from,
    read_training,
    write_classifier,
)
from orchard.errors import InputError, OrchardError, OutputError, UsageError
from orchard.storage.stores import LocalStore, Store
from orchard.tables import columns

from tests.classifier.examples import FACTS, SETTINGS, TRAINING, make_model

ONE, OTHER = make_model(seed=1), make_model(4, seed=2)


def training(photos: int = 6) -> pa.Table:
    names = [f"a/{number}.jpg" for number in range(photos)]
    folds = columns.integers([number % 4 - 2 for number in range(photos)])
    texts = {name: columns.strings(names) for name in ("path", "label", "sha256")}
    return pa.table({**texts, "fold": folds})


def write(store: Store, model: Model, **facts: Any) -> dict[str, Any]:
    return write_classifier(store, model, training(), {**FACTS, **facts}, spark_version="3.5.6")


def contents(store: Store) -> dict[str, bytes]:
    return {key: store.read(key) for key in store.list("")}


def is_same(saved: Saved, model: Model) -> bool:
    features = np.random.default_rng(0).normal(size=(9, len(model.projection.mean)))
    one, other = saved.model.predict(features), model.predict(features)
    return saved.model.classes == model.classes and all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("probabilities", "unfamiliarity", "unsure")
    )


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_write_classifier_and_read_classifier(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    uri = f"{request.getfixturevalue('bucket')}/a b/c" if kind == "s3" else str(tmp_path / "a b")
    facts = write(open_classifier_output(uri), ONE)
    saved = read_classifier(uri)
    assert saved.facts == facts == json.loads(saved.store.read("classifier.json"))
    assert is_same(saved, ONE)
    assert saved.model.settings == SETTINGS
    assert read_training(saved).equals(training())
    before = contents(saved.store)
    assert sorted(before) == sorted(["classifier.json", *(f"{facts['folder']}/{path}" for path in facts["files"])])
    write(open_classifier_output(uri), OTHER)  # replaces it, and nothing of it is left
    assert is_same(read_classifier(uri), OTHER)
    write(open_classifier_output(uri), ONE)
    assert contents(saved.store) == before


def test_write_classifier_facts(tmp_path: Path) -> None:
    facts = write(LocalStore(str(tmp_path)), ONE)
    assert facts == {
        "schema_version": 1,
        "folder": facts["folder"],
        "pipeline": f"{facts['folder']}/pipeline",
        "files": facts["files"],
        "classes": list(ONE.classes),
        "settings": SETTINGS,
        "threshold": ONE.threshold,
        "limit": ONE.limit,
        "k": 4,
        "feature_size": 12,
        **FACTS,
        "sha256": hash_facts(facts),
    }
    references = np.load(tmp_path / facts["folder"] / "references.npy")
    assert references.dtype == np.float32
    np.testing.assert_array_equal(references, ONE.references)
    assert (tmp_path / facts["pipeline"] / "metadata" / "part-00000").is_file()


@given(st.lists(st.integers(1, 5), max_size=4))
def test_content_files_equal_tables(sizes: list[int]) -> None:
    whole = training(sum(sizes))
    starts = np.cumsum([0, *sizes]).tolist()
    pieces = pa.concat_tables([whole.slice(0, 0), *(whole.slice(at, n) for at, n in zip(starts, sizes, strict=False))])
    assert _content_files(ONE, pieces, "3.5.6") == _content_files(ONE, whole, "3.5.6")


class Quick(LocalStore):
    """A folder that does not wait for the disk."""

    def write(self, key: str, content: bytes) -> None:
        path = Path(self.uri, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


@dataclass(frozen=True)
class Dying(Quick):
    """A folder of a process that is killed in its n-th write or delete of one file: it leaves half of a file."""

    left: list[int] = field(default_factory=lambda: [10**9])

    def write(self, key: str, content: bytes) -> None:
        if self._dies():
            super().write(f"{key}.1.tmp", content[: len(content) // 2])
            raise KeyboardInterrupt
        super().write(key, content)

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            if self._dies():
                raise KeyboardInterrupt
            super().delete([key])

    def _dies(self) -> bool:
        self.left[0] -= 1
        return self.left[0] < 0


@pytest.mark.parametrize("first", [True, False], ids=["first training", "another one"])
def test_write_classifier_killed(first: bool, tmp_path: Path) -> None:
    write(LocalStore(str(tmp_path / "clean")), OTHER)
    expected = contents(LocalStore(str(tmp_path / "clean")))
    outcomes, steps = [], 0
    while True:
        uri = str(tmp_path / f"killed-{steps}")
        if not first:
            write(Quick(uri), ONE)
            for name in ("evaluation.json", "evaluation.html"):
                Quick(uri).write(name, b"of the earlier classifier")
        try:
            write(Dying(uri, left=[steps]), OTHER)
        except KeyboardInterrupt:
            outcomes.append(outcome(uri))
        else:
            break
        write(Quick(open_classifier_output(uri).uri), OTHER)
        assert contents(LocalStore(uri)) == expected
        steps += 1
    files = len(expected)  # one write each, classifier.json being the last one
    assert outcomes[:files] == ["none" if first else "earlier"] * files
    assert outcomes[files:] == ([] if first else ["new"] * (files - 1 + 2))


def outcome(uri: str) -> str:
    try:
        saved = read_classifier(uri)
    except InputError:
        return "none"
    return "earlier" if is_same(saved, ONE) else "new" if is_same(saved, OTHER) else "mixed"


def test_write_classifier_keeps_other_files(tmp_path: Path) -> None:
    write(LocalStore(str(tmp_path)), ONE)
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "model-of-mine").mkdir()
    (tmp_path / "model-of-mine" / "a").write_text("mine")
    write(open_classifier_output(str(tmp_path)), OTHER)
    assert (tmp_path / "notes.txt").exists()
    assert (tmp_path / "model-of-mine" / "a").exists()


def test_write_classifier_deletes_what_killed_trainings_left(tmp_path: Path) -> None:
    """Even folders that nothing was written to yet."""
    (tmp_path / "model-0123456789ab" / "pipeline").mkdir(parents=True)
    (tmp_path / "model-0123456789ac").mkdir()
    (tmp_path / "model-0123456789ac" / "references.npy.17.tmp").write_bytes(b"x")
    facts = write(open_classifier_output(str(tmp_path)), ONE)
    assert {path.name for path in tmp_path.iterdir()} == {"classifier.json", facts["folder"]}


def test_read_classifier_during_training(tmp_path: Path) -> None:
    """Between classifier.json and the files that it lists, a training replaces both."""
    store = LocalStore(str(tmp_path))
    earlier = write(store, ONE)
    pointer = store.read("classifier.json")
    write(store, OTHER)
    newer = store.read("classifier.json")

    class Late(LocalStore):
        given = 0

        def read(self, key: str) -> bytes:
            if key == "classifier.json" and not Late.given:
                Late.given = 1
                return pointer
            return super().read(key)

    saved = read_classifier_from(Late(str(tmp_path)))
    assert saved.facts == json.loads(newer) != earlier
    assert is_same(saved, OTHER)


@pytest.mark.parametrize("damage", ["flip", "cut", "delete"])
def test_read_classifier_damaged_files(damage: str, tmp_path: Path) -> None:
    facts = write(LocalStore(str(tmp_path / "whole")), ONE)
    for path in facts["files"]:
        shutil.copytree(tmp_path / "whole", tmp_path / "hurt")
        file = tmp_path / "hurt" / facts["folder"] / path
        content = file.read_bytes()
        if damage == "delete":
            file.unlink()
        elif content:
            file.write_bytes(content[:-1] if damage == "cut" else bytes([content[0] ^ 1]) + content[1:])
        else:
            file.write_bytes(b"x")
        with pytest.raises(InputError, match=rf"^classifier .*{facts['folder']}") as raised:
            read_training(read_classifier(str(tmp_path / "hurt")))
        assert "\n" not in str(raised.value)
        shutil.rmtree(tmp_path / "hurt")


def test_read_training_missing(tmp_path: Path) -> None:
    facts = write(LocalStore(str(tmp_path)), ONE)
    (tmp_path / facts["folder"] / "training.parquet").unlink()
    saved = read_classifier(str(tmp_path))
    with pytest.raises(InputError, match=r"training\.parquet"):
        read_training(saved)


def test_open_output_with_a_link_to_nothing(tmp_path: Path) -> None:
    (tmp_path / "classifier.json").symlink_to("nowhere")
    with pytest.raises(OutputError, match=r"classifier\.json cannot be read"):
        open_classifier_output(str(tmp_path))


FOREIGN = {
    "empty": {},
    "a run's output": {"features/_delta_log/0.json": b"", "report.json": b"{}"},
    "other files": {"photo.jpg": b"x"},
    "unfinished": {"model-0123456789ab/references.npy": b"x"},
    "no JSON": {"classifier.json": b"\xff"},
    "a list": {"classifier.json": b"[1]"},
    "other JSON": {"classifier.json": b'{"weights": 3}'},
    "newer": {"classifier.json": b'{"schema_version": 2, "folder": "model-0123456789ab"}'},
    "no folder": {"classifier.json": b'{"schema_version": 1, "folder": "../../etc"}'},
    "no files": {"classifier.json": b'{"schema_version": 1, "folder": "model-0123456789ab"}'},
    "odd files": {"classifier.json": b'{"schema_version": 1, "folder": "model-0123456789ab", "files": 3}'},
}


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_read_classifier_foreign(name: str, kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    uri = str(tmp_path) if kind == "folder" else request.getfixturevalue("bucket")
    store = open_classifier_output(uri)
    for key, content in FOREIGN[name].items():
        store.write(key, content)
    with pytest.raises(InputError, match=f"^classifier {uri}") as raised:
        read_classifier(uri)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "change",
    [
        *({"threshold": value} for value in ("high", float("nan"), None, True, 0.5)),
        *({"limit": value} for value in (None, float("inf"), 1e9)),
        {"classes": ["A", "B", "C"]},
        {"temperature": 2.0},
        {"sha256": None},
        {"sha256": "0" * 64},
        {"more": 1},
    ],
    ids=repr,
)
def test_read_classifier_changed_facts(change: dict[str, Any], tmp_path: Path) -> None:
    facts = write(Quick(str(tmp_path)), ONE)
    (tmp_path / "classifier.json").write_text(json.dumps({**facts, **change}))
    with pytest.raises(InputError, match=r"classifier\.json") as raised:
        read_classifier(str(tmp_path))
    assert "\n" not in str(raised.value)
    open_classifier_output(str(tmp_path))  # the advice, to train again, is of use


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, None) for name in ("classes", "files", "pipeline", "settings", "threshold", "limit", "training")),
        *((name, 3) for name in ("classes", "files", "pipeline", "settings", "training")),
        *((f"settings.{name}", None) for name in SETTINGS),
        *((f"training.{name}", None) for name in TRAINING),
        *((f"training.{name}", []) for name in ("mapping", "split", "precision", "input", "test")),
        ("classes", [1, 2, 3]),
        ("training.mapping", {"a": None}),
        ("training.split.kind", None),
        ("training.precision.wanted", "much"),
        ("training.photos", True),
    ],
)
@pytest.mark.parametrize("change", ["replaced", "removed"])
def test_check_facts(name: str, value: Any, change: str, facts: str) -> None:
    """A value of another type, or none at all, whose hash is right."""
    changed = json.loads(facts)
    check_facts(changed)
    *above, key = name.split(".")
    inner = functools.reduce(dict.__getitem__, above, changed)
    inner[key] = value
    if change == "removed":
        del inner[key]
    changed["sha256"] = hash_facts(changed)
    if change == "removed" and key in ("input", "test"):
        check_facts(changed)
        return
    with pytest.raises(ValueError, match=name.split(".")[0]):
        check_facts(changed)


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The content of a classifier.json."""
    return json.dumps(write(Quick(str(tmp_path_factory.mktemp("facts"))), ONE))


@given(st.dictionaries(st.text(), st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()))
def test_hash_facts(facts: dict[str, Any]) -> None:
    """Of what is read back, whatever the order of its keys."""
    content = json.loads(format_pointer(facts))
    assert content["sha256"] == hash_facts(content) == hash_facts(dict(reversed(facts.items())))


def test_check_facts_is_fast(tmp_path: Path) -> None:
    mapping = {f"Label {number}": "Class" for number in range(300)}
    written = write(Quick(str(tmp_path)), ONE, training={**TRAINING, "mapping": mapping})
    assert min(timeit.repeat(lambda: check_facts(written), number=1, repeat=20)) < 1e-3


class Crowded(Quick):
    """A folder into which another training writes, which deletes the files of this one before its pointer comes."""

    def list(self, prefix: str) -> list[str]:
        if FOLDER.fullmatch(prefix.rstrip("/")) and not (Path(self.uri) / "classifier.json").exists():
            self.delete([key for key in super().list(prefix) if key.endswith("references.npy")])
        return super().list(prefix)


def test_write_classifier_two_trainings(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=rf"^--output {tmp_path}.*references\.npy"):
        write(Crowded(str(tmp_path)), ONE)
    assert not (tmp_path / "classifier.json").exists()


def test_open_classifier_output_not_writable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder" / "classifier.json").mkdir(parents=True)
    for place in ("file", "file/new", "folder"):
        with pytest.raises(OutputError, match=f"^--output {tmp_path / place}"):
            open_classifier_output(str(tmp_path / place))


def test_read_classifier_refused(tmp_path: Path, bucket: str) -> None:
    (tmp_path / "file").write_bytes(b"x")
    places: list[tuple[str, type[OrchardError]]] = [
        (str(tmp_path / "file"), InputError),
        (str(tmp_path / "none"), InputError),
        (f"{bucket}-nowhere/x", OutputError),
        ("gs://fruit/x", UsageError),
    ]
    for uri, error in places:
        with pytest.raises(error, match=f"^classifier {uri}"):
            read_classifier(uri)


@pytest.mark.parametrize(
    ("files", "refused"),
    [
        ({}, False),
        ({".DS_Store": b""}, False),
        ({"model-0123456789ab/references.npy": b"x", "classifier.json.17.tmp": b"{"}, False),
        ({"notes.txt": b""}, True),
        (FOREIGN["a run's output"], True),
        ({"evaluation.json": b"{}"}, True),
        ({"model-0123456789ab/a": b"x", "evaluation.json": b"{}", "evaluation.html": b""}, False),
        ({"model-0123456789ab/a": b"x", "evaluation.json": b"{}", "notes.txt": b""}, True),
        (FOREIGN["odd files"], False),
        (FOREIGN["other JSON"], True),
        (FOREIGN["newer"], True),
    ],
)
def test_open_classifier_output_refuses(files: dict[str, bytes], refused: bool, tmp_path: Path) -> None:
    for key, content in files.items():
        LocalStore(str(tmp_path)).write(key, content)
    if refused:
        with pytest.raises(OutputError, match=f"^--output {tmp_path}"):
            open_classifier_output(str(tmp_path))
        return
    facts = write(open_classifier_output(str(tmp_path)), ONE)
    assert {path.name for path in tmp_path.iterdir() if path.name != ".DS_Store"} == {
        "classifier.json",
        facts["folder"],
    }


def test_check_settings(tmp_path: Path) -> None:
    write(LocalStore(str(tmp_path)), ONE)
    saved = read_classifier(str(tmp_path))
    check_settings(saved, {**SETTINGS, "runtime": "tensorflow", "more": "x"}, "--features there")
    for name in ("backbone", "fingerprint", "decoding"):
        for settings in ({**SETTINGS, name: "other"}, {key: value for key, value in SETTINGS.items() if key != name}):
            with pytest.raises(InputError, match=f"^--features there: {name} "):
                check_settings(saved, settings, "--features there")


def test_write_classifier_infinite(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write(LocalStore(str(tmp_path / "new")), ONE, temperature=float("inf"))
    assert not (tmp_path / "new").exists()
