"""Writes the evaluation: the page, and last of all evaluation.json.

Importing this module takes half a second: of Matplotlib, Jinja2 and compiling the template.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from orchard.classifier.evaluation import figures
from orchard.classifier.evaluation.text import without_photos
from orchard.classifier.saved import EVALUATION, EVALUATION_PAGE
from orchard.errors import UsageError
from orchard.photos.source import open_source
from orchard.report.contents import read_jpegs
from orchard.report.figures import picture
from orchard.report.templates import load
from orchard.storage.stores import Store

# Of so many classes at most, the confusion matrix is a table of numbers; else it is a picture.
TABLE_CLASSES = 6
MOST_CONFUSIONS, MOST_LABELS = 15, 200


def write_evaluation(store: Store, evaluation: Mapping[str, Any]) -> None:
    """Write `evaluation.html` and `evaluation.json`, given the content of the latter.

    Raises:
        OutputError: the storage fails.
        ValueError: a number that JSON has not, NaN for one; nothing is written then.
    """
    text = json.dumps(evaluation, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    store.write(EVALUATION_PAGE, fill(evaluation, _read_mistakes(evaluation)).encode())
    store.write(EVALUATION, text.encode("utf-8", "backslashreplace"))  # as JSON escapes what is not UTF-8


def _read_mistakes(evaluation: Mapping[str, Any]) -> dict[str, bytes]:
    """JPEGs of the mistakes by path, of those that can still be read."""
    uri, paths = evaluation["evaluated"]["input"], [mistake["path"] for mistake in evaluation["mistakes"]]
    if uri is None:
        return {}
    try:
        return read_jpegs(open_source(uri, patient=False), paths)
    except UsageError:
        return {}


def fill(evaluation: Mapping[str, Any], jpegs: Mapping[str, bytes]) -> str:
    """The page's HTML, of the content of `evaluation.json` and JPEGs by path."""
    matrix, coverage, unfamiliar = (evaluation[name] for name in ("confusion_matrix", "coverage", "unfamiliar"))
    classes, counts = matrix["classes"], matrix["counts"]
    labels = sorted(evaluation["labels"].items(), key=lambda item: (item[1]["accuracy"], item[0]))
    as_picture = len(classes) > TABLE_CLASSES
    return _TEMPLATE.render(
        facts=evaluation,
        classes=classes,
        without_photos=without_photos(evaluation),
        counts=counts,
        heat_map=as_picture and picture(figures.confusion, classes, counts, height=figures.MAP_HEIGHT),
        confusions=confusions(classes, counts)[:MOST_CONFUSIONS],
        calibration=picture(figures.calibration, evaluation["calibration"]["bins"]),
        coverage=picture(figures.coverage, coverage["curve"], coverage["at_threshold"]),
        unfamiliar=unfamiliar and picture(figures.unfamiliar, unfamiliar),
        labels=labels[:MOST_LABELS],
        mistakes=[(mistake, jpegs.get(mistake["path"])) for mistake in evaluation["mistakes"]],
    )


def confusions(classes: Sequence[str], counts: Sequence[Sequence[int]]) -> list[tuple[str, str, int, float]]:
    """True class, answered class, number and share of its photos; of wrong answers, the most frequent first."""
    found = [
        (true, answered, number, number / sum(row))
        for true, row in zip(classes, counts, strict=True)
        for answered, number in zip(classes, row, strict=True)
        if number and true != answered
    ]
    return sorted(found, key=lambda item: (-item[2], item[:2]))


_TEMPLATE = load("classifier/evaluation/page.html")
