"""The accuracies of a comparison of ../shared/fruits-360, by Keras, NumPy and scikit-learn; and by other splits.

    python -m bench.backbones_independent REPORT [SPLITS]

REPORT is the output of `orchard compare --labels first-word` on Training and Test. Of Orchard there are the weights,
the regularization that it chose, and the architecture of EfficientNet-Lite, which Keras does not have and which tests
compare with one in NumPy. SPLITS (default 0) are numbers of other ways to hold labels out, of the features in REPORT.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from orchard.network.backbones import BACKBONES
from orchard.network.runtimes import make_keras_model
from orchard.network.weights import find_weights

from bench.independent import Photos, Scores, read_by, read_photos, score
from bench.inputs import SHARED

FRUITS = SHARED / "fruits-360"
# Width of the photos; EfficientNet-Lite's authors take 127 from pixels and divide by 128.
SIZES = {"efficientnet_lite0": 224, "efficientnet_lite1": 240, "efficientnet_lite2": 260}
HELD_OUT = 0.27  # of the labels of each class: as in Test


class Labelled(NamedTuple):
    """Features float64 (n, size), and the labels of the photos, (n,); of equal photos one."""

    features: npt.NDArray[np.float64]
    labels: npt.NDArray[np.str_]


def main(report: str, splits: str = "0") -> None:
    """Print a line for each backbone of a report."""
    facts = json.loads(Path(report, "compare.json").read_text(encoding="utf-8"))
    for row in facts["backbones"]:
        print(json.dumps(check(Path(report), row)), flush=True)
    for found in over_splits(Path(report), [row["backbone"] for row in facts["backbones"]], int(splits)):
        print(json.dumps(found), flush=True)


def check(report: Path, row: Mapping[str, Any]) -> dict[str, Any]:
    """One backbone's k and accuracies, and by how many points the independent ones differ."""
    found = independent(row["backbone"], regularization(report, row["backbone"]))
    values = {name: row[name]["value"] for name in ("accuracy", "balanced_accuracy")}
    return {
        "backbone": row["backbone"],
        "k": [row["k"], found.k],
        **{name: [value, getattr(found, name)] for name, value in values.items()},
        "points": max(100 * abs(value - getattr(found, name)) for name, value in values.items()),
    }


def regularization(report: Path, backbone: str) -> float:
    """What the classifier of a report was trained with."""
    content = json.loads((report / backbone / "classifier" / "classifier.json").read_text(encoding="utf-8"))
    return float(content["training"]["regularization"])


def independent(backbone: str, chosen: float) -> Scores:
    """The scores of a known backbone whose weights are baked."""
    known = BACKBONES[backbone]
    path = Path(find_weights(known, None).path(known.keras_file))
    training, test = (_read(backbone, FRUITS / name, path) for name in ("Training", "Test"))
    return score(training, test, chosen)


def _read(backbone: str, folder: Path, weights: Path) -> Photos:
    if backbone == "mobilenet_v2":
        return read_photos(folder, weights)
    model = make_keras_model(BACKBONES[backbone])
    model.load_weights(str(weights))
    return read_by(model, folder, SIZES[backbone], mean=127, deviation=128)


def over_splits(report: Path, backbones: list[str], splits: int) -> Iterator[dict[str, Any]]:
    """Accuracies of all backbones, with labels of training and test photos held out at random, the same for all."""
    photos = {name: _read_features(report / name) for name in backbones if splits}
    random = np.random.default_rng(0)
    for number in range(splits):
        held_out = _hold_out(sorted(set(photos[backbones[0]].labels)), random)
        scores = {
            name: _score_split(photos[name], held_out, regularization(report, name)).accuracy for name in backbones
        }
        yield {"split": number, **{name: round(accuracy, 4) for name, accuracy in scores.items()}}


def _read_features(folder: Path) -> Labelled:
    rows = dict[str, tuple[str, Any]]()
    for part in ("train", "test"):
        table = pq.read_table(folder / part / "features", columns=["sha256", "label", "features"]).to_pylist()
        rows |= {row["sha256"]: (row["label"], row["features"]) for row in table}
    ordered = sorted(rows.items())
    return Labelled(np.array([row[1] for _, row in ordered]), np.array([row[0] for _, row in ordered]))


def _hold_out(labels: list[str], random: np.random.Generator) -> list[str]:
    kinds = sorted({label.split()[0] for label in labels})
    of_kind = [[label for label in labels if label.split()[0] == kind] for kind in kinds]
    return [label for names in of_kind for label in random.permutation(names)[: round(HELD_OUT * len(names))].tolist()]


def _score_split(photos: Labelled, held_out: list[str], chosen: float) -> Scores:
    tested = np.isin(photos.labels, held_out)
    classes = np.array([label.split()[0] for label in photos.labels])
    training, test = (Photos(photos.features[rows], classes[rows]) for rows in (~tested, tested))
    return score(training, test, chosen)


if __name__ == "__main__":
    main(*sys.argv[1:])
