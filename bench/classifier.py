"""How well classifiers of ../shared/fruits-360 tell photos apart; writes bench/results/classifier.json and .md.

    python -m bench.classifier

Classes are the first words of the folders' names. Against Keras and scikit-learn, by a random split, and of pictures
that are of no class: near ones are other fruit on the same white ground, far ones those of `bench.pictures`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from orchard.classifier.saved import read_classifier
from orchard.network.backbones import MOBILENET_V2
from orchard.network.weights import find_weights

from bench import unfamiliarity
from bench.independent import read_photos, score
from bench.inputs import ROOT, SHARED
from bench.pictures import write_pictures

RESULTS = ROOT / "bench" / "results"
FRUITS = SHARED / "fruits-360"
# Headings of a table, and what is below them.
COLUMNS = {
    "regularization": "regularization",
    "temperature": "temperature",
    "calibration error": "calibration_error",
    "answered": "answered",
    "of these right": "precision",
}


def main() -> None:
    """Measure and write."""
    with tempfile.TemporaryDirectory(prefix="orchard-bench-") as folder:
        facts = measure(Path(folder))
    (RESULTS / "classifier.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "classifier.md").write_text(to_markdown(facts), encoding="utf-8")
    print(to_markdown(facts))


def measure(work: Path) -> dict[str, Any]:
    """All figures, from features made anew."""
    write_pictures(work / "pictures")
    inputs = {"training": FRUITS / "Training", "test": FRUITS / "Test"}
    inputs |= {"near": FRUITS / "original-size", "far": work / "pictures"}
    for name, photos in inputs.items():
        orchard("run", "--input", photos, "--output", work / name)
    training = "train", "--features", work / "training", "--labels", "first-word", "--output"
    trained = orchard(*training, work / "classifier", "--test", work / "test")
    held_out, by_chance = (
        orchard(*training, work / name, *flags)
        for name, flags in {"held-out": [], "random": ["--random-split"]}.items()
    )
    strangers = {
        name: orchard(
            *("evaluate", work / "classifier", "--features", work / "test"),
            *("--unfamiliar", work / name, "--output", work / f"of {name}"),
        )["unfamiliar"]
        for name in ("near", "far")
    }
    for found in strangers.values():  # what is long, or of this machine
        for name in ("curve", "input", "features", "version"):
            del found[name]
    return {
        "test": _scores(trained),
        "held out": _scores(held_out),
        "random split": _scores(by_chance),
        "independent": _independent(trained["classifier"]["training"]["regularization"]),
        "k": trained["classifier"]["k"],
        "regularization": trained["classifier"]["training"]["regularization"],
        "familiar": trained["evaluation"]["familiar"],
        "seconds": trained["seconds"],
        "unfamiliar": strangers,
        "measures": _measures(work, [label for label in strangers["near"]["labels"]]),
    }


def orchard(*arguments: object) -> dict[str, Any]:
    """The content of what a command prints as JSON."""
    command = [sys.executable, "-m", "orchard", *map(str, arguments), "--json"]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return found


def _scores(trained: dict[str, Any]) -> dict[str, Any]:
    """What the tables show of a training."""
    classifier, found = trained["classifier"], trained["evaluation"]
    answered = found["coverage"]["at_threshold"]
    return {
        **{name: found[name] for name in ("photos", "accuracy", "balanced_accuracy", "accuracy_without_shared")},
        "regularization": classifier["training"]["regularization"],
        "temperature": classifier["temperature"],
        "calibration_error": found["calibration"]["expected_calibration_error"],
        "answered": answered["coverage"],
        "precision": answered["precision"],
    }


def _independent(regularization: float) -> dict[str, Any]:
    weights = Path(find_weights(MOBILENET_V2, None).path(MOBILENET_V2.keras_file))
    training, test = (read_photos(FRUITS / name, weights) for name in ("Training", "Test"))
    return score(training, test, regularization)._asdict()


def _measures(work: Path, near: list[str]) -> dict[str, dict[str, float]]:
    """Measures of unfamiliarity, on the same photos."""
    of_near, far = (unfamiliarity.read(work / name) for name in ("near", "far"))
    rows = [row for label in near for row in of_near.rows[label]]
    pictures = {"near": of_near.vectors[rows], "far": far.vectors}
    model = read_classifier(str(work / "classifier")).model
    return unfamiliarity.compare(model, work / "training", work / "test", pictures)


def to_markdown(facts: dict[str, Any]) -> str:
    """The figures as tables."""
    rows = {
        "test photos, of varieties it has not seen": facts["test"],
        "the same by Keras and scikit-learn": facts["independent"],
        "varieties held out of the training photos": facts["held out"],
        "training photos split at random": facts["random split"],
    }
    lines = [
        "# The classifier",
        "",
        "Made by `python -m bench.classifier`. Keras and scikit-learn are given the regularization that Orchard chose.",
        "",
        f"| evaluated on | accuracy | balanced accuracy | {' | '.join(COLUMNS)} |",
        f"|---|---:|---:|{'---:|' * len(COLUMNS)}",
        *(_score_row(name, row) for name, row in rows.items()),
        "",
        "| pictures of no class | number | flagged at the limit | flagged where 90 % of the test photos are kept | "
        "without test photos that are also trained on | AUROC | not told apart |",
        "|---|---:|---:|---:|---:|---:|---|",
        *(_stranger_row(name, found) for name, found in facts["unfamiliar"].items()),
        "",
        "| measure, where it keeps 90 % of the test photos | near flagged | AUROC | far flagged | AUROC |",
        "|---|---:|---:|---:|---:|",
        *(
            f"| {name} | {' | '.join(f'{value:.3f}' for value in found.values())} |"
            for name, found in facts["measures"].items()
        ),
    ]
    return "\n".join(lines) + "\n"


def _score_row(name: str, row: dict[str, Any]) -> str:
    more = " | ".join(f"{row[key]:.3g}" if key in row else "" for key in COLUMNS.values())
    return f"| {name} | {row['accuracy']:.4f} | {row['balanced_accuracy']:.4f} | {more} |"


def _stranger_row(name: str, found: dict[str, Any]) -> str:
    shares = [found[key]["flagged"] for key in ("at_limit", "at_90_percent_kept", "at_90_percent_kept_without_shared")]
    cells = " | ".join(f"{share:.3f}" for share in [*shares, found["auroc"]])
    return f"| {name} | {found['photos']} | {cells} | {', '.join(found['not_told_apart'])} |"


if __name__ == "__main__":
    main()
