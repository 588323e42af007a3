"""The bake without TensorFlow: a stand-in for the network, weights files made here, the published backbone's own folder rules."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from orchard.errors import WeightsError
from orchard.network.backbones import MOBILENET_V2, Backbone
from orchard.network.bake.arrays import Array, Layout, fingerprint
from orchard.network.bake.bake import MakeNetwork, bake, find, main, vouch
from orchard.network.bake.sources import FileSource, Source
from orchard.network.weights import cached_weights_folder, check_weights

LAYOUT: Layout = {"Conv1": [(3, 2)], "Conv_1": [(2, 5)]}


@dataclass
class FakeNetwork:
    """Writes the arrays' bytes where the real one writes models, and counts how often."""

    backbone: Backbone
    layout: Layout = field(default_factory=lambda: LAYOUT)
    exports: int = 0

    def export(self, arrays: Sequence[Array], folder: Path) -> dict[str, str]:
        self.exports += 1
        for name in (self.backbone.keras_file, self.backbone.tflite_file):
            (folder / name).write_bytes(name.encode() + b"".join(array.tobytes() for array in arrays))
        return {"fake": "1.0"}


@dataclass
class BrokenSource:
    """A source that is out of reach."""

    label: str = "broken"

    def fetch(self, folder: Path) -> Path:
        raise WeightsError("cannot be reached")


@dataclass
class Bench:
    """One backbone with the weights file it expects, and what it takes to bake it."""

    backbone: Backbone
    network: FakeNetwork
    source: FileSource
    said: list[str] = field(default_factory=list)

    def make_network(self, backbone: Backbone) -> FakeNetwork:
        return self.network

    def bake(self, folder: Path, *, force: bool = False, sources: Sequence[Source] | None = None) -> bool:
        """Bake and tell whether anything had to be done."""
        wanted = sources if sources is not None else [self.source]
        return bake(
            self.backbone, folder, sources=wanted, force=force, say=self.said.append, make_network=self.make_network
        ).baked


def make_arrays(seed: int) -> list[Array]:
    random = np.random.default_rng(seed)
    return [random.random(shape, np.float32) for shapes in LAYOUT.values() for shape in shapes]


def write_weights(path: Path, seed: int) -> FileSource:
    with h5py.File(path, "w") as file:
        for name, array in zip(LAYOUT, make_arrays(seed), strict=True):
            file.create_group(name).attrs["weight_names"] = [b"kernel:0"]
            file[name]["kernel:0"] = array
    return FileSource(path=path)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    backbone = replace(MOBILENET_V2, fingerprint=fingerprint(make_arrays(0)))
    return Bench(backbone, FakeNetwork(backbone), write_weights(tmp_path / "right.h5", seed=0))


def test_bakes_a_folder_that_its_reader_accepts(bench: Bench, tmp_path: Path) -> None:
    assert bench.bake(tmp_path / "out")
    baked = check_weights(bench.backbone, str(tmp_path / "out"))
    assert baked.fingerprint == bench.backbone.fingerprint
    assert set(baked.files) == {"mobilenet_v2.tflite", "mobilenet_v2.weights.h5"}


def test_manifest_records_the_contract_the_source_and_the_tools(bench: Bench, tmp_path: Path) -> None:
    bench.bake(tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    files = manifest.pop("files")
    assert manifest == {
        "schema_version": 1,
        "backbone": "mobilenet_v2",
        "input_size": [224, 224],
        "preprocessing": {"channels": "RGB", "scale": 1 / 127.5, "offset": -1.0},
        "feature_size": 1280,
        "fingerprint": bench.backbone.fingerprint,
        "source": {"name": "file right.h5", "sha256": hashlib.sha256(bench.source.path.read_bytes()).hexdigest()},
        "tools": {"fake": "1.0"},
    }
    assert files == {name: hashlib.sha256((tmp_path / "out" / name).read_bytes()).hexdigest() for name in files}


def test_nothing_is_left_beside_the_folder_but_the_lock(bench: Bench, tmp_path: Path) -> None:
    bench.bake(tmp_path / "deep" / "er" / "out")
    assert {path.name for path in (tmp_path / "deep" / "er").iterdir()} == {"out", ".out.lock"}


def test_a_second_bake_finds_it_done(bench: Bench, tmp_path: Path) -> None:
    assert bench.bake(tmp_path / "out")
    assert not bench.bake(tmp_path / "out", sources=[])
    assert bench.network.exports == 1


def test_force_bakes_again(bench: Bench, tmp_path: Path) -> None:
    bench.bake(tmp_path / "out")
    assert bench.bake(tmp_path / "out", force=True)
    assert bench.network.exports == 2


def test_two_bakes_leave_the_same_bytes(bench: Bench, tmp_path: Path) -> None:
    for name in ("one", "two"):
        bench.bake(tmp_path / name)
    for name in ("manifest.json", "mobilenet_v2.tflite", "mobilenet_v2.weights.h5"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.parametrize("name", ["manifest.json", "mobilenet_v2.tflite", "mobilenet_v2.weights.h5"])
@pytest.mark.parametrize("damage", ["gone", "truncated", "tampered"])
def test_a_damaged_folder_is_baked_again(bench: Bench, tmp_path: Path, name: str, damage: str) -> None:
    bench.bake(tmp_path / "out")
    path = tmp_path / "out" / name
    content = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes(content[:-3] if damage == "truncated" else b"X" + content[1:])
    assert bench.bake(tmp_path / "out")
    assert path.read_bytes() == content
    assert any(line.startswith("baking again: ") for line in bench.said)


def test_a_folder_with_other_weights_is_baked_again(bench: Bench, tmp_path: Path) -> None:
    other = replace(bench.backbone, fingerprint=fingerprint(make_arrays(1)))
    bake(
        other, tmp_path / "out", sources=[write_weights(tmp_path / "other.h5", seed=1)], make_network=bench.make_network
    )
    assert bench.bake(tmp_path / "out")
    assert check_weights(bench.backbone, str(tmp_path / "out")).fingerprint == bench.backbone.fingerprint
    assert other.fingerprint in bench.said[0]


def test_an_empty_folder_is_filled(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert bench.bake(tmp_path / "out")


def test_a_folder_with_other_things_is_never_replaced(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "apple.jpg").write_bytes(b"apple")
    with pytest.raises(WeightsError, match=r"photos: holds other things \('apple.jpg'\)"):
        bench.bake(tmp_path / "photos", force=True)
    assert (tmp_path / "photos" / "apple.jpg").read_bytes() == b"apple"


def test_a_place_that_cannot_be_written_is_said(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WeightsError, match="cannot be baked there") as caught:
        bench.bake(tmp_path / "file" / "out")
    assert isinstance(caught.value.__cause__, OSError)


def test_an_existing_file_is_not_replaced(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"mine")
    with pytest.raises(WeightsError, match="cannot be baked there"):
        bench.bake(tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"mine"


def test_what_a_killed_bake_left_is_removed(bench: Bench, tmp_path: Path) -> None:
    left = tmp_path / ".out.tmp" / "baked"
    left.mkdir(parents=True)
    (left / "mobilenet_v2.tflite").write_bytes(b"half")
    bench.bake(tmp_path / "out")
    assert not (tmp_path / ".out.tmp").exists()
    assert (tmp_path / "out" / "mobilenet_v2.tflite").read_bytes() != b"half"


def test_a_failed_bake_leaves_the_folder_as_it_was(bench: Bench, tmp_path: Path) -> None:
    bench.bake(tmp_path / "out")
    before = (tmp_path / "out" / "manifest.json").read_bytes()
    with pytest.raises(WeightsError):
        bench.bake(tmp_path / "out", force=True, sources=[BrokenSource()])
    assert (tmp_path / "out" / "manifest.json").read_bytes() == before
    assert not (tmp_path / ".out.tmp").exists()


def test_a_symlinked_folder_stays_a_symlink(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    bench.bake(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    check_weights(bench.backbone, str(tmp_path / "real"))


def test_of_two_bakes_at_once_the_second_waits_and_finds_it_done(bench: Bench, tmp_path: Path) -> None:
    """The first stays in its export until the second has said that it waits."""
    exporting, waiting, outcomes = threading.Event(), threading.Event(), {}

    class SlowNetwork(FakeNetwork):
        def export(self, arrays: Sequence[Array], folder: Path) -> dict[str, str]:
            exporting.set()
            assert waiting.wait(10)
            return super().export(arrays, folder)

    bench.network = SlowNetwork(bench.backbone)

    def run_first() -> None:
        outcomes["first"] = bench.bake(tmp_path / "out")

    first = threading.Thread(target=run_first)
    first.start()
    assert exporting.wait(10)

    def say(line: str) -> None:
        if "waiting" in line:
            waiting.set()

    second = bake(bench.backbone, tmp_path / "out", sources=[], say=say, make_network=bench.make_network)
    first.join(10)
    assert (outcomes["first"], second.baked, bench.network.exports) == (True, False, 1)


def test_first_matching_source_wins_and_the_others_are_reported(bench: Bench, tmp_path: Path) -> None:
    other = write_weights(tmp_path / "other.h5", seed=1)
    sources: list[Source] = [BrokenSource(), other, bench.source, BrokenSource("never asked")]
    found = find(bench.backbone, sources, LAYOUT, folder=tmp_path, say=bench.said.append)
    assert found.source is bench.source
    assert bench.said[0] == "broken: cannot be reached"
    assert fingerprint(make_arrays(1)) in bench.said[1]
    assert bench.backbone.fingerprint in bench.said[1]
    assert len(bench.said) == 2


def test_when_no_source_matches_each_is_listed_with_its_reason(bench: Bench, tmp_path: Path) -> None:
    other = write_weights(tmp_path / "other.h5", seed=1)
    with pytest.raises(WeightsError) as caught:
        bench.bake(tmp_path / "out", sources=[BrokenSource(), other])
    message = str(caught.value)
    for part in (
        "broken: cannot be reached",
        "file other.h5: ",
        fingerprint(make_arrays(1)),
        bench.backbone.fingerprint,
        "--weights FILE",
    ):
        assert part in message
    assert "\n" not in message
    assert not (tmp_path / "out").exists()


def test_a_truncated_source_is_refused_with_its_hash_and_the_wanted_fingerprint(bench: Bench, tmp_path: Path) -> None:
    content = bench.source.path.read_bytes()[:-100]
    bench.source.path.write_bytes(content)
    with pytest.raises(WeightsError) as caught:
        bench.bake(tmp_path / "out")
    assert hashlib.sha256(content).hexdigest() in str(caught.value)
    assert bench.backbone.fingerprint in str(caught.value)


def test_a_local_file_with_other_weights_is_refused_with_both_values(bench: Bench, tmp_path: Path) -> None:
    other = write_weights(tmp_path / "other.h5", seed=1)
    with pytest.raises(WeightsError, match="--accept-fingerprint") as caught:
        vouch(bench.backbone, other, accept=False, make_network=bench.make_network)
    assert {fingerprint(make_arrays(1)), bench.backbone.fingerprint} <= set(str(caught.value).replace(",", "").split())


def test_an_unreadable_local_file_is_refused_even_if_others_are_accepted(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "bad.h5").write_bytes(b"bad")
    with pytest.raises(WeightsError) as caught:
        vouch(bench.backbone, FileSource(path=tmp_path / "bad.h5"), accept=True, make_network=bench.make_network)
    for part in (str(tmp_path / "bad.h5"), hashlib.sha256(b"bad").hexdigest(), bench.backbone.fingerprint):
        assert part in str(caught.value)


def test_an_accepted_file_is_recorded_and_has_its_own_cache_folder(bench: Bench, tmp_path: Path) -> None:
    other = write_weights(tmp_path / "other.h5", seed=1)
    make_network: MakeNetwork = bench.make_network
    accepted = vouch(bench.backbone, other, accept=True, make_network=make_network)
    outcome = bake(accepted, tmp_path / "out", sources=[other], make_network=make_network)
    assert outcome.manifest["fingerprint"] == fingerprint(make_arrays(1))
    assert cached_weights_folder(accepted) != cached_weights_folder(bench.backbone)


def write_baked(folder: Path) -> None:
    """A folder in order for the published backbone, as far as hashes go."""
    folder.mkdir(parents=True)
    contents = {MOBILENET_V2.tflite_file: b"model", MOBILENET_V2.keras_file: b"weights"}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    files = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    manifest = {"backbone": MOBILENET_V2.name, "fingerprint": MOBILENET_V2.fingerprint, "files": files}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_main_returns_at_once_where_the_cache_is_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = cached_weights_folder(MOBILENET_V2)
    write_baked(folder)
    assert main([]) == 0
    printed = capsys.readouterr().out
    assert printed == f"mobilenet_v2: already baked and verified, fingerprint {MOBILENET_V2.fingerprint}, in {folder}\n"


def test_main_prints_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_baked(tmp_path / "out")
    assert main(["--output", str(tmp_path / "out"), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["folder"], printed["baked"], printed["fingerprint"]) == (
        str(tmp_path / "out"),
        False,
        MOBILENET_V2.fingerprint,
    )


def test_main_does_not_import_tensorflow_where_nothing_is_to_do(tmp_path: Path) -> None:
    write_baked(tmp_path / "out")
    code = "import sys; from orchard.network.bake.bake import main; main(sys.argv[1:]); print(sorted({'tensorflow', 'keras', 'pyspark'} & set(sys.modules)))"
    command = [sys.executable, "-c", code, "--output", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert done.stdout.splitlines()[-1] == "[]"


def test_main_reports_a_known_error_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "apple.jpg").write_bytes(b"apple")
    assert main(["--output", str(tmp_path)], prog="orchard weights") == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines()[-1].startswith(f"orchard weights: {tmp_path}: holds other things")


@pytest.mark.parametrize("args", [["--accept-fingerprint"], ["--backbone", "vgg"], ["--no-such-flag"]])
def test_main_refuses_flags_that_cannot_work(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(args)
    assert caught.value.code == 2
    assert capsys.readouterr().err


def test_baked_files_can_be_read_by_others(bench: Bench, tmp_path: Path) -> None:
    """In the image another user runs the job."""
    before = os.umask(0o022)
    try:
        bench.bake(tmp_path / "out")
    finally:
        os.umask(before)
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o755
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "out").iterdir()} == {0o644}
