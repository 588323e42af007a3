"""The table that ends an evaluation, in the terminal. Pure."""

from collections.abc import Mapping
from typing import Any

from orchard.classifier.labels import listed
from orchard.report.text import count, percent

_FOLDERS = 3


def summary(evaluation: Mapping[str, Any], output: str | None = None) -> list[tuple[str, str]]:
    """Names and values of the table's rows, from the content of `evaluation.json`, which is in `output`."""
    error = evaluation["calibration"]["expected_calibration_error"]
    classes = evaluation["classes"]
    rows = {
        "photos": f"{evaluation['photos']:,} of {count(len(evaluation['labels']), 'label')}",
        "accuracy": f"{percent(evaluation['accuracy'])} (balanced {percent(evaluation['balanced_accuracy'])})",
        "top 3": percent(evaluation["top_3_accuracy"]) if len(classes) > 3 else "",
        "answered": _answered(evaluation["coverage"]["at_threshold"]),
        "familiar": f"{percent(evaluation['familiar'])} of the photos are within the limit",
        "calibration": f"probabilities are off by {percent(error)} on average",
        "classes": _classes(classes),
        "warning": "; ".join(warnings(evaluation)),
        "unfamiliar": _unfamiliar(evaluation["unfamiliar"]),
        "report": f"{output.rstrip('/')}/evaluation.html" if output else "",
    }
    return [(name, value) for name, value in rows.items() if value]


def _answered(at: Mapping[str, Any]) -> str:
    if not at["photos"]:
        return "none: all are unsure"
    return f"{percent(at['coverage'])}, of these {percent(at['precision'])} right; the others are unsure"


def _classes(classes: Mapping[str, Mapping[str, Any]]) -> str:
    """The classes with the lowest recall."""
    found = sorted((row["recall"], name) for name, row in classes.items() if row["recall"] is not None)
    worst = ", ".join(f"{name} {percent(recall)}" for recall, name in found[:_FOLDERS])
    return f"lowest recall: {worst}"


def warnings(evaluation: Mapping[str, Any]) -> list[str]:
    """What makes the evaluation look better than the classifier is, a phrase each."""
    found, flatters = list[str](), evaluation["flatters"]
    if (shared := flatters["shared_photos"]) == evaluation["photos"]:
        found.append(f"all {count(shared, 'photo')} were trained on: the accuracy means nothing")
    elif shared:
        pairs = [f"{row['training']} = {row['evaluated']} ({row['photos']:,})" for row in flatters["shared_folders"]]
        left = flatters["shared_folder_pairs"] - _FOLDERS  # of all pairs: the most frequent ones are listed
        more = [f"{left:,} more pairs of folders"] if left > 0 else []
        found.append(f"{count(shared, 'photo')} also in the training set: {', '.join(pairs[:_FOLDERS] + more)}")
        found.append(f"accuracy without them {percent(evaluation['accuracy_without_shared'])}")
    if both := flatters["labels_in_both"]:
        found.append(f"{count(len(both), 'label')} also in the training set")
    if flatters["random_split"]:
        found.append("held out at random: neighbouring frames are on both sides, and the accuracy means little")
    if missing := without_photos(evaluation):
        found.append(f"no photo of {listed(missing)}")
    return found


def without_photos(evaluation: Mapping[str, Any]) -> list[str]:
    """The classes that no evaluated photo is of."""
    return [name for name, row in evaluation["classes"].items() if not row["support"]]


def _unfamiliar(facts: Mapping[str, Any] | None) -> str:
    if facts is None:
        return ""
    flagged = f"{percent(facts['at_limit']['flagged'])} of {count(facts['photos'], 'photo')} flagged"
    wide = f"{percent(facts['at_90_percent_kept']['flagged'])} at the limit that keeps 90 % of the evaluated"
    missed = facts["not_told_apart"]
    names = f"; not told apart: {', '.join(missed[:_FOLDERS])}" if missed else ""
    more = f" and {len(missed) - _FOLDERS:,} more" if len(missed) > _FOLDERS else ""
    return f"{flagged}; {wide}{names}{more}"
