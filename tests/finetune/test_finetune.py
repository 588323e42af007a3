"""A whole fine-tuning of a tiny network: what comes out, again, continued, elsewhere; and what cannot work."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from orchard.console import Reporter
from orchard.errors import InputError, OrchardError, OutputError, UsageError, WeightsError
from orchard.finetune.finetune import describe, finetune, summary
from orchard.finetune.options import FinetuneOptions
from orchard.network.bake.models import verify
from orchard.network.runtimes import make_keras_model
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


def test_finetune_gives_a_baked_backbone_with_its_lineage(options: Options, reporter: Reporter, tiny: Path) -> None:
    chosen = options()
    facts = finetune(chosen, reporter)
    tuned, parent = check_weights(TINY, chosen.output), check_weights(TINY, str(tiny))
    manifest = json.loads(Path(chosen.output, "manifest.json").read_text())
    assert manifest["fingerprint"] == tuned.fingerprint == facts["fingerprint"] != parent.fingerprint
    lineage = manifest["lineage"]
    assert lineage["parent"] == {"backbone": "tiny", "fingerprint": parent.fingerprint}
    assert (lineage["data"]["photos"], lineage["data"]["uri"]) == (48, chosen.input)
    assert lineage["options"]["epochs"] == 2
    assert [entry["epoch"] for entry in lineage["curve"]] == [0, 1, 2]
    assert verify(TINY, Path(chosen.output)) < 1e-4
    assert dict(summary(facts, "out"))["fingerprint"] == tuned.fingerprint


def test_only_kernels_of_the_last_blocks_change(options: Options, reporter: Reporter, tiny: Path) -> None:
    chosen = options()
    finetune(chosen, reporter)
    before, after = (layers(check_weights(TINY, folder)) for folder in (str(tiny), chosen.output))
    changed = {name for name in before if not all(map(np.array_equal, before[name], after[name]))}
    assert changed == {"block_2_conv", "top_conv"}


def test_the_same_call_says_that_it_is_done(options: Options, reporter: Reporter, lines: io.StringIO) -> None:
    chosen = options()
    first = finetune(chosen, reporter)
    before = contents(chosen.output)
    assert finetune(chosen, reporter) == first
    assert contents(chosen.output) == before
    assert "already tuned" in lines.getvalue().splitlines()[-1]


def test_another_seed_gives_other_weights_and_asks_before_replacing(options: Options, reporter: Reporter) -> None:
    first = finetune(options(), reporter)["fingerprint"]
    with pytest.raises(OutputError, match="--overwrite"):
        finetune(options(seed=1), reporter)
    assert finetune(options(seed=1, overwrite=True), reporter)["fingerprint"] != first


def test_the_same_bits_in_another_process(options: Options, reporter: Reporter, tmp_path: Path) -> None:
    chosen = options()
    finetune(chosen, reporter)
    other = options(output=str(tmp_path / "other"))
    subprocess.run(command(other), check=True, timeout=300, capture_output=True)
    assert contents(chosen.output) == contents(other.output)


@pytest.mark.slow
@pytest.mark.parametrize("epochs_before", [1, 2])
def test_a_killed_process_continues_to_the_same_bits(
    options: Options, reporter: Reporter, tmp_path: Path, epochs_before: int
) -> None:
    whole, killed = options(epochs=4), options(epochs=4, output=str(tmp_path / "killed"))
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
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".finetune")]


@pytest.mark.slow
def test_of_two_at_once_the_second_finds_it_done(options: Options, tmp_path: Path) -> None:
    chosen = options(epochs=3)
    both = [subprocess.Popen(command(chosen), stderr=subprocess.PIPE, text=True) for _ in range(2)]
    ends = [process.communicate(timeout=300)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sorted("already tuned" in end for end in ends) == [False, True]


def test_without_holdout_the_last_epoch_comes_out(options: Options, reporter: Reporter) -> None:
    facts = finetune(options(holdout=0.0), reporter)
    assert (facts["best_epoch"], facts["data"]["held_out"]) == (2, 0)
    assert "held_out_loss" not in facts["curve"][0]


def test_photos_that_cannot_be_read_are_left_out(
    options: Options, reporter: Reporter, lines: io.StringIO, turned: Path, tmp_path: Path
) -> None:
    for source in turned.rglob("*.jpg"):
        target = tmp_path / "photos" / source.relative_to(turned)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
    (tmp_path / "photos/Banana/99.jpg").write_bytes(b"no photo")
    facts = finetune(options(input=str(tmp_path / "photos"), epochs=1), reporter)
    assert (facts["data"]["photos"], facts["data"]["rejected"]) == (48, {"not_an_image": 1})


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
            finetune(options(overwrite=overwrite), reporter)
    assert (tmp_path / "tuned/letter.txt").read_text() == "mine"


def test_a_file_is_in_the_way(options: Options, reporter: Reporter, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for output in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OutputError, match="--output"):
            finetune(options(output=str(output)), reporter)


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


def test_describe_writes_nothing(options: Options, tmp_path: Path) -> None:
    plan = describe(options())
    assert (plan["trained"], plan["held_out"], plan["photos_an_epoch"]) == (36, 8, 16)
    assert not any(path.name.startswith((".", "tuned")) for path in tmp_path.iterdir())


def test_dry_run_needs_no_tensorflow(options: Options) -> None:
    code = (
        "import sys; from tests.finetune.tiny import BACKBONES, TINY, main; BACKBONES['tiny'] = TINY; "
        "code = main(sys.argv[1:]); sys.exit(code or 'tensorflow' in sys.modules)"
    )
    words = [*command(options())[3:], "--dry-run", "--json"]
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert (done.returncode, json.loads(done.stdout)["backbone"]) == (0, "tiny"), time.monotonic() - started
