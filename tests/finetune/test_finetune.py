"""A whole fine-tuning of a tiny network: what comes out, again, continued, elsewhere; and what cannot work."""

from __future__ import annotations

import io
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from orchard.console import Reporter
from orchard.errors import InputError, OrchardError, OutputError, UsageError, WeightsError
from orchard.finetune.finetune import describe, finetune, summary
from orchard.finetune.options import FinetuneOptions
from orchard.network.bake.interpreting import open_model
from orchard.network.bake.models import verify
from orchard.network.choice import is_folder
from orchard.network.runtimes import make_keras_model, make_predict
from orchard.network.tuning.tuner import Tuner
from orchard.network.weights import BakedWeights, check_weights

from tests.finetune.conftest import Options
from tests.finetune.tiny import TINY

pytestmark = pytest.mark.filterwarnings("ignore")  # of Keras' own deprecations
FILES = ("manifest.json", "tiny.tflite", "tiny.weights.h5", "curve.svg")


def contents(folder: str | Path) -> dict[str, bytes]:
    return {name: Path(folder, name).read_bytes() for name in FILES}


def layers(weights: BakedWeights) -> dict[str, list[np.ndarray]]:
    model = make_keras_model(TINY)
    model.load_weights(weights.path(TINY.keras_file))
    return {layer.name: layer.get_weights() for layer in model.layers if layer.weights}


def command(options: FinetuneOptions) -> list[str]:
    """The command line of options, in a process that knows the tiny network."""
    words = [
        word
        for name in ("input", "output", "weights", "backbone", "blocks", "epochs", "batch", "per_label", "rate", "seed")
        for word in (f"--{name.replace('_', '-')}", str(getattr(options, name)))
    ]
    return [sys.executable, "-m", "tests.finetune.tiny", "finetune", *words]


@pytest.fixture(scope="module")
def finished(options: Options) -> FinetuneOptions:
    """The options of a fine-tuning that has ended."""
    chosen = options()
    finetune(chosen, Reporter(io.StringIO()))
    return chosen


def test_finetune_gives_a_baked_backbone_with_its_lineage(finished: FinetuneOptions, tiny: Path) -> None:
    tuned, parent = check_weights(TINY, finished.output), check_weights(TINY, str(tiny))
    manifest = json.loads(Path(finished.output, "manifest.json").read_text())
    assert manifest["fingerprint"] == tuned.fingerprint != parent.fingerprint
    lineage = manifest["lineage"]
    assert lineage["parent"] == {"backbone": "tiny", "fingerprint": parent.fingerprint}
    assert (lineage["data"]["photos"], lineage["data"]["uri"]) == (48, finished.input)
    assert lineage["options"] == {**finished.recorded(), "labels": "folder"}
    assert [entry["epoch"] for entry in lineage["curve"]] == [0, 1, 2]
    assert verify(TINY, Path(finished.output)) < 1e-4


def test_the_parts_are_those_of_the_whole_network(finished: FinetuneOptions, tiny: Path) -> None:
    """The frozen blocks in LiteRT and the others in TensorFlow, one after the other."""
    tuner = Tuner(TINY, check_weights(TINY, str(tiny)), blocks=1, smoothing=0.1)
    pixels = np.random.default_rng(1).integers(0, 256, (3, 32, 32, 3), np.uint8)
    run = open_model(tuner.frozen_part())
    parts = np.stack([np.asarray(run(photo)[0][0], np.float32) for photo in pixels])
    assert parts.shape[1:] == tuner.part_shape
    expected = make_predict(TINY, "litert", str(tiny))(pixels)
    np.testing.assert_allclose(tuner.features(parts), expected, atol=1e-4)


def test_only_kernels_of_the_last_blocks_change(finished: FinetuneOptions, tiny: Path) -> None:
    before, after = (layers(check_weights(TINY, folder)) for folder in (str(tiny), finished.output))
    changed = {name for name in before if not all(map(np.array_equal, before[name], after[name]))}
    assert changed == {"block_2_conv", "top_conv"}


def test_the_same_call_says_that_it_is_done(finished: FinetuneOptions, reporter: Reporter, lines: io.StringIO) -> None:
    before = contents(finished.output)
    facts = finetune(finished, reporter)
    assert facts["fingerprint"] == json.loads(before["manifest.json"])["fingerprint"]
    assert dict(summary(facts, "out"))["fingerprint"] == facts["fingerprint"]
    assert contents(finished.output) == before
    assert "already tuned" in lines.getvalue().splitlines()[-1]


def test_without_holdout_the_last_epoch_comes_out_and_another_seed_asks_before_it_replaces(
    options: Options, reporter: Reporter
) -> None:
    first = options(epochs=1, holdout=0.0)
    facts = finetune(first, reporter)
    assert (facts["best_epoch"], facts["data"]["held_out"]) == (1, 0)
    assert "held_out_loss" not in facts["curve"][0]
    other = replace(first, seed=1)
    with pytest.raises(OutputError, match="--overwrite"):
        finetune(other, reporter)
    assert finetune(replace(other, overwrite=True), reporter)["fingerprint"] != facts["fingerprint"]


def test_the_same_bits_in_another_process(options: Options, finished: FinetuneOptions) -> None:
    other = options()
    subprocess.run(command(other), check=True, timeout=300, capture_output=True)
    assert contents(finished.output) == contents(other.output)


@pytest.mark.slow
@pytest.mark.parametrize("epochs_before", [1, 2])
def test_a_killed_process_continues_to_the_same_bits(options: Options, reporter: Reporter, epochs_before: int) -> None:
    whole, killed = options(epochs=4), options(epochs=4)
    finetune(whole, reporter)
    with subprocess.Popen(command(killed), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if f"epoch {epochs_before} of 4" in line:
                process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not os.path.exists(killed.output)
    again = io.StringIO()
    finetune(killed, Reporter(again))
    assert "continuing after epoch" in again.getvalue()
    assert contents(whole.output) == contents(killed.output)
    assert {path.name for path in Path(killed.output).parent.iterdir()} == {"tuned", ".tuned.lock"}


@pytest.mark.slow
def test_of_two_at_once_the_second_finds_it_done(options: Options) -> None:
    chosen = options(epochs=3)
    both = [subprocess.Popen(command(chosen), stderr=subprocess.PIPE, text=True) for _ in range(2)]
    ends = [process.communicate(timeout=300)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sorted("already tuned" in end for end in ends) == [False, True]


def test_a_tuned_backbone_is_a_parent_and_photos_that_cannot_be_read_are_left_out(
    options: Options, reporter: Reporter, finished: FinetuneOptions, tmp_path: Path
) -> None:
    shutil.copytree(finished.input, tmp_path / "photos")
    (tmp_path / "photos/Banana/99.jpg").write_bytes(b"no photo")
    chosen = options(input=str(tmp_path / "photos"), epochs=1, backbone=finished.output, weights=None)
    facts = finetune(chosen, reporter)
    assert (facts["data"]["photos"], facts["data"]["rejected"]) == (48, {"not_an_image": 1})
    assert facts["parent"]["fingerprint"] == check_weights(TINY, finished.output).fingerprint


def test_none_of_the_photos_can_be_read(options: Options, reporter: Reporter, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(5):
            (tmp_path / "photos" / name / f"{number}.jpg").write_bytes(b"no photo")
    with pytest.raises(InputError, match="none of its 10 photos"):
        finetune(options(input=str(tmp_path / "photos")), reporter)


def test_a_folder_with_other_files_is_in_the_way(options: Options, reporter: Reporter, tmp_path: Path) -> None:
    (tmp_path / "tuned").mkdir()
    (tmp_path / "tuned/letter.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(OrchardError, match="tuned"):
            finetune(options(output=str(tmp_path / "tuned"), overwrite=overwrite), reporter)
    assert (tmp_path / "tuned/letter.txt").read_text() == "mine"


def test_a_file_is_in_the_way(options: Options, reporter: Reporter, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for output in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OutputError, match="--output"):
            finetune(options(output=str(output)), reporter)


def test_what_is_in_the_way_is_said_before_a_photo_is_read(
    options: Options, reporter: Reporter, lines: io.StringIO, finished: FinetuneOptions, tmp_path: Path
) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters/letter.txt").write_text("mine")
    refused = [
        (options(output=str(tmp_path / "letters")), "letter.txt"),
        (options(output=finished.output, seed=1), "--overwrite"),
        (options(output=finished.output, backbone=finished.output, weights=None, overwrite=True), "to begin with"),
        (options(output=f"{finished.input}/Banana/tuned"), "is inside --input"),
    ]
    for chosen, why in refused:
        for act in (describe, lambda asked: finetune(asked, reporter)):
            with pytest.raises(OrchardError, match=why):
                act(chosen)
    assert "reading" not in lines.getvalue()
    assert describe(finished)["output"] == finished.output


def test_a_damaged_output_is_made_again_if_asked(
    options: Options, reporter: Reporter, finished: FinetuneOptions, tmp_path: Path
) -> None:
    chosen = options(output=str(tmp_path / "tuned"))
    shutil.copytree(finished.output, chosen.output)
    Path(chosen.output, TINY.tflite_file).write_bytes(b"half")
    with pytest.raises(WeightsError, match=r"SHA-256 .*--overwrite makes it again"):
        finetune(chosen, reporter)
    finetune(replace(chosen, overwrite=True), reporter)
    assert contents(chosen.output) == contents(finished.output)


def test_what_to_call_next_names_the_folder(finished: FinetuneOptions, reporter: Reporter) -> None:
    facts = finetune(finished, reporter)
    for output in ("mobilenet_v2", "my net", "/a/b"):  # the first is a known name, too
        *_, path = shlex.split(dict(summary(facts, output))["use it"])
        assert (is_folder(path), path) == (True, os.path.abspath(output))


@pytest.mark.slow
def test_a_full_disk_ends_it_and_the_same_call_continues(
    options: Options, reporter: Reporter, lines: io.StringIO, small_disk: Path
) -> None:
    chosen, filler = options(output=str(small_disk / "tuned")), small_disk / "filler"
    for size in (3_140_000, 2_950_000):  # too much for the state; enough for that, not for the backbone
        filler.write_bytes(bytes(size))
        with pytest.raises(OutputError, match="tuned"):
            finetune(chosen, reporter)
    filler.unlink()
    finetune(chosen, reporter)
    assert "continuing after epoch" in lines.getvalue()


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"blocks": 3}, UsageError),
        ({"backbone": "unknown"}, UsageError),
        ({"output": "s3://bucket/tuned"}, UsageError),
        ({"weights": "/nowhere"}, WeightsError),
        ({"labels": "first-letter"}, InputError),
    ],
)
def test_what_cannot_work(
    options: Options, reporter: Reporter, changes: dict[str, object], error: type[OrchardError]
) -> None:
    with pytest.raises(error) as raised:
        finetune(options(**changes), reporter)
    assert len(str(raised.value).splitlines()) == 1


def test_describe_writes_nothing(options: Options) -> None:
    chosen = options()
    plan = describe(chosen)
    assert (plan["trained"], plan["held_out"], plan["photos_an_epoch"]) == (36, 8, 16)
    assert not [*Path(chosen.output).parent.iterdir()]


def test_dry_run_needs_no_tensorflow(options: Options) -> None:
    code = (
        "import sys; from tests.finetune.tiny import BACKBONES, TINY, main; BACKBONES['tiny'] = TINY; "
        "code = main(sys.argv[1:]); sys.exit(code or 'tensorflow' in sys.modules)"
    )
    words = [*command(options())[3:], "--dry-run", "--json"]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert (done.returncode, json.loads(done.stdout)["backbone"]) == (0, "tiny")
