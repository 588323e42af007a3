"""The epochs: each is trained, measured on what is held out, and saved; the best one is what comes out."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from orchard.console import Reporter
from orchard.finetune.epochs import batches, plan_epoch, random_of, spread
from orchard.finetune.head import fit_head
from orchard.finetune.looks import Look, draw_look
from orchard.finetune.options import FinetuneOptions
from orchard.finetune.photo_set import PhotoSet
from orchard.finetune.state import Arrays, Curve, State
from orchard.finetune.views import Views
from orchard.network.tuning.tuner import Array, Tuner

Save = Callable[[State], None]


class Training:
    """One fine-tuning of `tuner` on `photos`, which `views` reads and changes."""

    def __init__(
        self, options: FinetuneOptions, photos: PhotoSet, tuner: Tuner, views: Views, reporter: Reporter
    ) -> None:
        self._options, self._photos, self._tuner, self._views, self._reporter = options, photos, tuner, views, reporter
        self._held_out = held_out_rows(options, photos)
        self._size = epoch_size(options, photos)

    def run(self, state: State | None, save: Save) -> State:
        """Train all epochs that `state` does not have, and save after each."""
        epochs = self._options.epochs + 1 - (len(state.curve) if state else 0)
        with self._reporter.progress(self._size * epochs) as progress:
            self._done, self._progress = 0, progress
            held_out = self._parts_held_out()
            state = state or self._begin(held_out)
            save(state)
            self._tuner.restore(state.arrays)
            while not is_finished(state.curve, self._options):
                state = self._epoch(state, held_out)
                save(state)
        return state

    def _begin(self, held_out: Array) -> State:
        """Fit the head on the parent's features of the views of epoch 0."""
        order = self._order(0)
        parts = [self._tuner.features(batch) for batch, _ in self._batches(0, order)]
        classes = self._photos.class_numbers[order]
        self._tuner.start(fit_head(np.concatenate(parts), classes, len(self._photos.names)))
        arrays = self._tuner.arrays()
        return State([self._entry(0, None, held_out)], arrays, arrays)

    def _epoch(self, state: State, held_out: Array) -> State:
        epoch, order = len(state.curve), self._order(len(state.curve))
        losses = [
            self._tuner.train(parts, self._photos.class_numbers[rows], self._rate(epoch))
            for parts, rows in self._batches(epoch, order)
        ]
        entry, arrays = self._entry(epoch, float(np.mean(losses)), held_out), self._tuner.arrays()
        self._log(entry)
        curve = [*state.curve, entry]
        return State(curve, arrays, arrays if best_epoch(curve) == epoch else state.best)

    def _rate(self, epoch: int) -> float:
        """From the first rate down to almost none, along half a cosine."""
        return self._options.rate * (1 + math.cos(math.pi * (epoch - 1) / self._options.epochs)) / 2

    def _order(self, epoch: int) -> npt.NDArray[np.int64]:
        photos, options = self._photos, self._options
        return plan_epoch(photos.trained, photos.classes, options.per_label, random_of(options.seed, epoch))

    def _batches(self, epoch: int, order: npt.NDArray[np.int64]) -> Any:
        """The parts of each batch of an epoch, (n, height, width, channels), and their rows (n,)."""

        def look(number: int) -> Look:
            return draw_look(random_of(self._options.seed, epoch, number))

        parts = self._views.parts([self._photos.photos[row] for row in order], look)
        for rows in batches(order, self._options.batch):
            yield np.stack([next(parts) for _ in rows]), rows
            self._done += len(rows)
            self._progress(self._done)

    def _parts_held_out(self) -> Array:
        photos = [self._photos.photos[row] for row in self._held_out]
        parts = list(self._views.parts(photos, lambda _: None))
        return np.stack(parts) if parts else np.zeros((0, *self._tuner.part_shape), np.float32)

    def _entry(self, epoch: int, loss: float | None, held_out: Array) -> dict[str, Any]:
        """What the curve says of an epoch."""
        found: dict[str, Any] = {"epoch": epoch, "rate": self._rate(epoch) if epoch else 0.0, "training_loss": loss}
        if len(held_out):
            found |= measure(self._tuner.probabilities(held_out), self._photos.class_numbers[self._held_out])
        return found

    def _log(self, entry: Mapping[str, Any]) -> None:
        measured = ""
        if "held_out_loss" in entry:
            measured = f", held out {entry['held_out_loss']:.3f}, {entry['held_out_accuracy']:.1%} right"
        text = f"epoch {entry['epoch']} of {self._options.epochs}: loss {entry['training_loss']:.3f}{measured}"
        self._reporter.log(text)


def epoch_size(options: FinetuneOptions, photos: PhotoSet) -> int:
    """How many photos an epoch has."""
    return len(plan_epoch(photos.trained, photos.classes, options.per_label, random_of(options.seed, 0)))


def held_out_rows(options: FinetuneOptions, photos: PhotoSet) -> npt.NDArray[np.int64]:
    """The photos that each epoch is measured on: of each label as many as an epoch has, at most."""
    rows = [spread(found, options.per_label) for found in photos.held_out.values()]
    return np.concatenate([*rows, np.zeros(0, np.int64)])


def measure(probabilities: Array, classes: npt.NDArray[np.int32]) -> dict[str, float]:
    """Loss, and share of right answers, of photos (n, classes), each class counting alike."""
    own = np.maximum(probabilities[np.arange(len(classes)), classes].astype(np.float64), 1e-12)
    right = probabilities.argmax(axis=1) == classes
    groups = [classes == number for number in np.unique(classes)]
    return {
        "held_out_loss": float(np.mean([-np.log(own[group]).mean() for group in groups])),
        "held_out_accuracy": float(np.mean([right[group].mean() for group in groups])),
    }


def best_epoch(curve: Sequence[Mapping[str, Any]]) -> int:
    """The tuned epoch with the least loss on what is held out; the last one where nothing is."""
    if len(curve) < 2 or "held_out_loss" not in curve[0]:
        return len(curve) - 1
    return min(range(1, len(curve)), key=lambda epoch: curve[epoch]["held_out_loss"])


def is_finished(curve: Curve, options: FinetuneOptions) -> bool:
    """Whether all epochs are done, or so many were no better than an earlier one as --patience says."""
    epoch = len(curve) - 1
    return epoch >= options.epochs or epoch - best_epoch(curve) >= options.patience


def averaged(tuned: Arrays, parent: Arrays, keep: float) -> dict[str, npt.NDArray[Any]]:
    """Weights between those of the parent and the tuned ones: a share `keep` of the former, by name."""
    share = np.float32(keep)
    return {
        name: share * parent[name] + (1 - share) * array if name in parent else array for name, array in tuned.items()
    }
