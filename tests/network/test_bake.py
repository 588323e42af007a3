"""The steps of a bake without TensorFlow: a network of the test's own, and weights files made here."""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest
from orchard.errors import WeightsError
from orchard.network.backbones import MOBILENET_V2, Backbone
from orchard.network.bake.bake import bake
from orchard.network.bake.models import Network
from orchard.network.bake.sources import Source, from_file
from orchard.network.weights import check_weights

FILES = (MOBILENET_V2.tflite_file, MOBILENET_V2.keras_file)


class FakeNetwork(Network):
    """Takes a file's hash for the fingerprint, and writes its bytes where the real one writes models."""

    def __init__(self, backbone: Backbone) -> None:
        self.content = b""

    def load(self, path: Path) -> str:
        self.content = path.read_bytes()
        return fingerprint(path)

    def export(self, folder: Path) -> dict[str, str]:
        for name in FILES:
            (folder / name).write_bytes(name.encode() + self.content)
        return {"fake": "1.0"}


def fingerprint(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_weights(path: Path, content: bytes) -> Source:
    path.write_bytes(content)
    return from_file(path)


def unreachable(folder: Path) -> NoReturn:
    raise WeightsError("unreachable")


class Oven:
    """A backbone, the weights file that it expects, and the lines that its bakes logged."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "right.h5"
        self.source = write_weights(self.path, b"right" * 1000)
        self.other = write_weights(folder / "other.h5", b"other" * 1000)
        self.backbone = replace(MOBILENET_V2, fingerprint=fingerprint(self.path))
        self.broken = Source("broken", unreachable)
        self.lines: list[str] = []

    def bake(self, folder: Path, *sources: Source, force: bool = False) -> bool:
        chosen = sources or (self.source,)
        return bake(self.backbone, folder, chosen, self.lines.append, force=force, make=FakeNetwork)


@pytest.fixture
def oven(tmp_path: Path) -> Oven:
    return Oven(tmp_path)


def test_bake_writes_a_folder_that_check_weights_accepts(oven: Oven, tmp_path: Path) -> None:
    assert oven.bake(tmp_path / "deep" / "out")
    baked = check_weights(oven.backbone, str(tmp_path / "deep" / "out"))
    assert (baked.fingerprint, set(baked.files)) == (oven.backbone.fingerprint, set(FILES))
    assert {path.name for path in (tmp_path / "deep").iterdir()} == {"out", ".out.lock"}
    assert len(oven.lines) == 1


def test_manifest_records_the_contract_the_source_and_the_tools(oven: Oven, tmp_path: Path) -> None:
    oven.bake(tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    files = manifest.pop("files")
    assert manifest == {
        "schema_version": 1,
        "backbone": "mobilenet_v2",
        "input_size": [224, 224],
        "preprocessing": {"channels": "RGB", "scale": 1 / 127.5, "offset": -1.0},
        "feature_size": 1280,
        "fingerprint": oven.backbone.fingerprint,
        "source": {"name": "file right.h5", "sha256": hashlib.sha256(oven.path.read_bytes()).hexdigest()},
        "licence": "Apache-2.0",
        "tools": {"fake": "1.0"},
    }
    assert files == {name: hashlib.sha256((tmp_path / "out" / name).read_bytes()).hexdigest() for name in files}


def test_bake_again_does_nothing_unless_forced(oven: Oven, tmp_path: Path) -> None:
    assert oven.bake(tmp_path / "out")
    first = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert not oven.bake(tmp_path / "out", oven.broken)
    assert oven.bake(tmp_path / "out", force=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == first


@pytest.mark.parametrize("name", ["manifest.json", *FILES])
@pytest.mark.parametrize("damage", ["gone", "truncated", "changed"])
def test_bake_repairs_a_damaged_folder(oven: Oven, tmp_path: Path, name: str, damage: str) -> None:
    oven.bake(tmp_path / "out")
    path = tmp_path / "out" / name
    content = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes(content[:-3] if damage == "truncated" else b"X" + content[1:])
    assert oven.bake(tmp_path / "out")
    assert path.read_bytes() == content


def test_bake_replaces_other_weights(oven: Oven, tmp_path: Path) -> None:
    published = oven.backbone
    oven.backbone = replace(published, fingerprint=fingerprint(tmp_path / "other.h5"))
    oven.bake(tmp_path / "out", oven.other)
    oven.backbone = published
    assert oven.bake(tmp_path / "out")
    assert check_weights(published, str(tmp_path / "out")).fingerprint == published.fingerprint


def test_bake_never_replaces_a_folder_with_other_files(oven: Oven, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "apple.jpg").write_bytes(b"apple")
    with pytest.raises(WeightsError, match=r"apple\.jpg.*--output"):
        oven.bake(tmp_path / "photos", force=True)
    assert (tmp_path / "photos" / "apple.jpg").read_bytes() == b"apple"


@pytest.mark.parametrize("name", ["file", "file/out"])
def test_bake_where_it_cannot_write(oven: Oven, tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    with pytest.raises(WeightsError, match="--output"):
        oven.bake(tmp_path / name)
    assert (tmp_path / "file").read_bytes() == b"mine"


def test_bake_removes_what_a_killed_one_left(oven: Oven, tmp_path: Path) -> None:
    (tmp_path / ".out.tmp").mkdir()
    (tmp_path / ".out.tmp" / "part").write_bytes(b"half")
    oven.bake(tmp_path / "out")
    assert not (tmp_path / ".out.tmp").exists()
    assert not (tmp_path / "out" / "part").exists()


def test_a_failed_bake_leaves_the_folder_as_it_was(oven: Oven, tmp_path: Path) -> None:
    oven.bake(tmp_path / "out")
    before = (tmp_path / "out" / "manifest.json").read_bytes()
    with pytest.raises(WeightsError):
        oven.bake(tmp_path / "out", oven.broken, force=True)
    assert (tmp_path / "out" / "manifest.json").read_bytes() == before
    assert not (tmp_path / ".out.tmp").exists()


def test_of_two_bakes_at_once_the_second_waits_and_finds_it_done(oven: Oven, tmp_path: Path) -> None:
    """The first stays in its export until the second has logged that it waits."""
    exporting, waiting, baked = threading.Event(), threading.Event(), list[bool]()

    class SlowNetwork(FakeNetwork):
        def export(self, folder: Path) -> dict[str, str]:
            exporting.set()
            assert waiting.wait(10)
            return super().export(folder)

    def run_first() -> None:
        sources, log = [oven.source], oven.lines.append
        baked.append(bake(oven.backbone, tmp_path / "out", sources, log, make=SlowNetwork))

    first = threading.Thread(target=run_first)
    first.start()
    assert exporting.wait(10)
    second = bake(oven.backbone, tmp_path / "out", [], lambda line: waiting.set(), make=FakeNetwork)
    first.join(10)
    assert (baked, second) == ([True], False)


def test_the_first_matching_source_wins(oven: Oven, tmp_path: Path) -> None:
    oven.bake(tmp_path / "out", oven.broken, oven.other, oven.source, oven.broken)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["source"]["name"] == "file right.h5"


def test_when_no_source_matches_each_is_listed_with_its_reason(oven: Oven, tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        oven.bake(tmp_path / "out", oven.broken, oven.other)
    other = fingerprint(tmp_path / "other.h5")
    for part in ("broken: unreachable", "other.h5", other, oven.backbone.fingerprint, "--weights"):
        assert part in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_without_a_fingerprint_only_a_vouched_file_is_taken(oven: Oven, tmp_path: Path) -> None:
    published = oven.backbone.fingerprint
    oven.backbone = replace(oven.backbone, fingerprint="")
    with pytest.raises(WeightsError, match=published):
        oven.bake(tmp_path / "out")
    assert oven.bake(tmp_path / "out", oven.source, replace(oven.other, vouched=True))
    assert check_weights(oven.backbone, str(tmp_path / "out")).fingerprint == fingerprint(tmp_path / "other.h5")
    assert not oven.bake(tmp_path / "out", oven.broken)
