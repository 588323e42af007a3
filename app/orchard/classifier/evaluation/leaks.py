"""Evaluated photos that the classifier has seen at its training: they make it look better than it is."""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute

from orchard.classifier.inputs import HELD_OUT, is_trained_on
from orchard.photos.copies import MAX_FOLDERS, MAX_PAIRS, short_keys
from orchard.tables import columns


class Leaks:
    """Finds the photos of an evaluation in the training set, by their bytes; give it all of them with `add`.

    It holds some 30 bytes for each training photo, besides its path.
    """

    def __init__(self, training: pa.Table) -> None:
        """From the table of `training.parquet`: path, label, sha256 and fold."""
        folds = np.array(training.column("fold").to_pylist(), np.int64)
        keys, trained = short_keys(training.column("sha256").to_pylist()), is_trained_on(folds)
        labels, rows = training.column("label").to_pylist(), np.flatnonzero(trained)
        self._rows = rows[np.argsort(keys[rows], kind="stable")]
        self._keys, self._held_out = keys[self._rows], np.sort(keys[folds == HELD_OUT])
        self._paths = training.column("path").combine_chunks()
        self._labels = {label for label, used in zip(labels, trained.tolist(), strict=True) if used}
        self._shared, self._same_path, self._seen_held_out, self._pairs = 0, 0, 0, Counter[tuple[str, str]]()

    def add(self, paths: Sequence[str], hashes: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Whether each photo, by its path and SHA-256, has the bytes of one that was trained on: (n,)."""
        keys = short_keys(hashes)
        first, last = (np.searchsorted(self._keys, keys, side) for side in ("left", "right"))
        self._seen_held_out += int(np.isin(keys, self._held_out).sum())
        shared = np.asarray(last > first)
        for row in np.flatnonzero(shared).tolist():
            rows = self._rows[first[row] : last[row]]
            self._same_path += self._has_path(rows, paths[row])
            # A blank photo may be in thousands of folders: some of them say enough.
            copies = [self._paths[i].as_py() for i in rows[:MAX_FOLDERS].tolist()]
            self._pairs.update((folder, _folder(paths[row])) for folder in sorted({_folder(path) for path in copies}))
        self._shared += int(shared.sum())
        return shared

    def _has_path(self, rows: npt.NDArray[np.int64], path: str) -> bool:
        found = self._paths.take(columns.numbers(rows, np.int64, pa.int64()))
        return bool(compute.index(found, path).as_py() >= 0)

    def facts(self, labels: Collection[str], split: str) -> dict[str, Any]:
        """What `evaluation.json` says of all this; of an evaluation of `labels`, and of the kind of `split`."""
        most = sorted(self._pairs.items(), key=lambda item: (-item[1], item[0]))[:MAX_PAIRS]
        return {
            "shared_photos": self._shared,
            "shared_under_same_path": self._same_path,
            "shared_under_other_path": self._shared - self._same_path,
            "shared_folders": [
                {"training": training, "evaluated": evaluated, "photos": photos}
                for (training, evaluated), photos in most
            ],
            "shared_folder_pairs": len(self._pairs),
            "labels_in_both": sorted(self._labels & set(labels)),
            "held_out_photos": self._seen_held_out,
            "random_split": split == "random" and self._seen_held_out > 0,
        }


def _folder(path: str) -> str:
    return path.rpartition("/")[0] or "."
