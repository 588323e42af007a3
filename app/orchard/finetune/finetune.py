"""One fine-tuning, readable top-down: read, tune epoch by epoch, bake."""

import contextlib
import json
import shlex
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from orchard.console import Reporter
from orchard.errors import OutputError
from orchard.finetune.curve import draw
from orchard.finetune.lineage import read_lineage
from orchard.finetune.machine import check_machine, disk_needed, memory_needed
from orchard.finetune.options import FinetuneOptions
from orchard.finetune.output import CURVE, FACTS, check_output, find_finished, folder_of, state_of
from orchard.finetune.photo_set import PhotoSet, list_photo_set
from orchard.finetune.state import State, load_state, save_state
from orchard.finetune.training import Training, averaged, best_epoch, epoch_size, held_out_rows
from orchard.finetune.views import Views, usable_cores
from orchard.network.backbone import Backbone
from orchard.network.bake.bake import locked, write_folder
from orchard.network.bake.models import Network
from orchard.network.choice import choose_backbone
from orchard.network.memory import free_memory
from orchard.network.tuning.tuner import Tuner
from orchard.network.weights import BakedWeights, sha256
from orchard.report.text import percent
from orchard.stopwatch import Stopwatch
from orchard.storage.stores import local_path
from orchard.versions import versions_of_features

_SMOOTHING = 0.1  # of the targets: no answer is quite certain
_WEIGHTS = "tuned.weights.h5"


def finetune(options: FinetuneOptions, reporter: Reporter) -> dict[str, Any]:
    """Tune the last blocks of a backbone on photos, and bake what comes out.

    Returns:
        The content of `finetune.json`; where the output was finished before, that of then.

    Raises:
        OrchardError: see `orchard.errors`. The epochs that ended are kept; the same call continues.
    """
    watch, folder = Stopwatch(), folder_of(options)
    backbone, parent = choose_backbone(options.backbone, options.weights)
    with _explained(options):
        check_output(options, backbone, parent, folder)
    with watch("read"):
        photos, lineage = read_lineage(options, backbone, parent, reporter)
    with _explained(options), _locked(folder, reporter):
        if found := find_finished(options, backbone, folder, lineage.key):
            reporter.log(f"{folder}: already tuned from the same photos, options and weights")
            return dict(found)
        work = Path(state_of(folder).uri)
        with watch("tune"):
            state = _tune(options, backbone, parent, photos, lineage.key, reporter)
        with watch("bake"):
            _bake(backbone, folder, work / _WEIGHTS, lineage.key, _result(lineage.facts, state), watch)
        shutil.rmtree(work, ignore_errors=True)
    return dict(json.loads((folder / FACTS).read_text("utf-8")))


def _tune(
    options: FinetuneOptions, backbone: Backbone, parent: BakedWeights, photos: PhotoSet, key: str, reporter: Reporter
) -> State:
    """Train what is not trained yet, and leave the weights in the state's folder."""
    folder = folder_of(options)
    store, facts = state_of(folder), photos.facts()
    tuner = Tuner(backbone, parent, blocks=options.blocks, smoothing=_SMOOTHING)
    before = tuner.kernels()
    _check_machine(options, parent, tuner, len(held_out_rows(options, photos)))
    if state := load_state(store, key):
        reporter.log(f"continuing after epoch {len(state.curve) - 1}")
    reporter.log(f"tuning {tuner.tuned:,} weights on {facts['trained']:,} photos, {facts['held_out']:,} held out")
    with Views(photos.source, backbone.input_size, tuner.frozen_part(), usable_cores()) as views:
        training = Training(options, photos, tuner, views, reporter)
        state = training.run(state, lambda found: save_state(store, key, found))
    if _is_worse(state):
        reporter.log("warning: what is held out is told apart less well than by the network that it began with")
    tuner.restore_weights(averaged(state.best, before, options.keep))
    tuner.save(Path(store.uri, _WEIGHTS))
    return state


def _is_worse(state: State) -> bool:
    before, after = (state.curve[epoch].get("held_out_accuracy", 0.0) for epoch in (0, best_epoch(state.curve)))
    return bool(after < before)


def _check_machine(options: FinetuneOptions, parent: BakedWeights, tuner: Tuner, held_out: int) -> None:
    memory = memory_needed(
        tuned=tuner.tuned, activations=tuner.activations, batch=options.batch, part=tuner.part_size, held_out=held_out
    )
    baked = sum(Path(parent.path(name)).stat().st_size for name in parent.files)
    check_machine(memory, disk_needed(tuned=tuner.tuned, baked=baked), folder_of(options), free_memory())


def _result(lineage: Mapping[str, Any], state: State) -> dict[str, Any]:
    """The lineage with what came out of it."""
    return {**lineage, "curve": state.curve, "best_epoch": best_epoch(state.curve)}


def _bake(
    backbone: Backbone, folder: Path, weights: Path, key: str, lineage: Mapping[str, Any], watch: Stopwatch
) -> None:
    network = Network(backbone)
    fingerprint = network.load(weights)
    source = {"name": f"orchard finetune of {lineage['parent']['fingerprint']}", "sha256": sha256(weights)}
    manifest = {"fingerprint": fingerprint, "source": source, "lineage": lineage}
    facts = {
        "schema_version": 1,
        "key": key,
        "fingerprint": fingerprint,
        **lineage,
        "versions": versions_of_features("tensorflow"),
        "seconds": watch.total(),
    }
    others = {FACTS: (json.dumps(facts, indent=1, ensure_ascii=False) + "\n").encode()}
    others[CURVE] = draw(lineage["curve"], lineage["best_epoch"])
    write_folder(backbone, network, folder, manifest, others)


@contextlib.contextmanager
def _explained(options: FinetuneOptions) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        text = f"cannot be written ({exc.strerror or exc}): make room, or choose another one"
        raise OutputError(f"--output {options.output}: {text}") from exc


@contextlib.contextmanager
def _locked(folder: Path, reporter: Reporter) -> Iterator[None]:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder, reporter.log):
        yield


def describe(options: FinetuneOptions) -> dict[str, Any]:
    """What a fine-tuning would do, without reading photos or writing; errors as of `finetune`."""
    backbone, parent = choose_backbone(options.backbone, options.weights)
    with _explained(options):
        check_output(options, backbone, parent, folder_of(options))
    photos = list_photo_set(options)
    facts = {"backbone": backbone.name, "fingerprint": parent.fingerprint, **photos.facts()}
    return {**facts, "photos_an_epoch": epoch_size(options, photos), "output": str(folder_of(options))}


def summary(facts: Mapping[str, Any], output: str) -> list[tuple[str, str]]:
    """Names and values of the lines that end a fine-tuning, from what `finetune` returns."""
    data, curve, best = facts["data"], facts["curve"], facts["best_epoch"]
    rows = [
        ("tuned on", f"{data['trained']:,} photos of {len(set(data['classes'].values())):,} classes"),
        ("epochs", f"{len(curve) - 1}, the best is {best}"),
        ("fingerprint", facts["fingerprint"]),
        ("use it", f"orchard run --backbone {shlex.quote(local_path(output))}"),
        ("seconds", f"{facts['seconds']['total']:.1f}"),
    ]
    if "held_out_loss" in curve[0]:
        before, after = curve[0], curve[best]
        accuracies = f"{percent(before['held_out_accuracy'])} right before, {percent(after['held_out_accuracy'])} after"
        text = f"{accuracies}; loss {before['held_out_loss']:.3f}, {after['held_out_loss']:.3f}"
        rows.insert(2, ("held out", text))
    return rows
