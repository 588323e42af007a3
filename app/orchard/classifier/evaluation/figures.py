"""The figures of the evaluation's page; the page has their titles and captions."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from orchard.report.figures import HEIGHT, Theme, make_axes
from orchard.report.templates import printable
from orchard.report.text import percent

MAP_HEIGHT = 400  # points, of the confusion matrix
# Names beside a heat map are legible up to so many: of more classes some are named; and so are numbers in it.
MOST_NAMES, NAME_LENGTH, MOST_NUMBERS = 33, 18, 15
_STRIP = 38  # points, of the histogram below the calibration


def calibration(figure: Figure, theme: Theme, bins: Sequence[Mapping[str, Any]]) -> None:
    """Share of right answers by probability, and below it how many photos have such a probability."""
    axes, strip = _axes(figure, bottom=58 + _STRIP), _axes(figure, top=HEIGHT - 40 - _STRIP)
    edges = [bins[0]["above"], *(part["up_to"] for part in bins)]
    heights = [part["accuracy"] or 0 for part in bins]
    axes.stairs(heights, edges, fill=True, color=theme["soft"])
    axes.plot([0, 1], [0, 1], color=theme["muted"], linewidth=1, linestyle=(0, (4, 3)))
    filled = [part for part in bins if part["count"]]
    axes.plot([p["confidence"] for p in filled], [p["accuracy"] for p in filled], "o", color=theme["accent"])
    strip.stairs([part["count"] for part in bins], edges, fill=True, color=theme["accent"])
    _share_axis(axes, "y", "right answers")
    axes.set(xlim=(0, 1), ylim=(0, 1.03))
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], [])
    _share_axis(strip, "x", "probability of the answer")
    strip.set(xlim=(0, 1))
    strip.set_ylabel("photos", labelpad=2)
    strip.set_yticks([])
    axes.grid()


def _axes(figure: Figure, **margins: int) -> Axes:
    """Axes with room for shares on both sides."""
    return make_axes(figure, left=62, right=22, **margins)


def _share_axis(axes: Axes, side: str, label: str) -> None:
    """Name one axis, and mark its shares from 0 to 100 %."""
    ticks = [0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", percent(1)]
    (axes.set_xticks if side == "x" else axes.set_yticks)(*ticks)
    (axes.set_xlabel if side == "x" else axes.set_ylabel)(label)


def coverage(figure: Figure, theme: Theme, curve: Sequence[Mapping[str, float]], at: Mapping[str, Any]) -> None:
    """Share of right answers against the share of photos that are answered, and the classifier's own threshold."""
    axes = _axes(figure)
    x, y = ([point[name] for point in curve] for name in ("coverage", "accuracy"))
    axes.plot(x, y, color=theme["accent"], linewidth=2, marker="." if len(x) == 1 else "")
    lowest = min([*y, at["precision"] or 1])
    if at["precision"] is not None:
        axes.plot(at["coverage"], at["precision"], "o", color=theme["ink"], clip_on=False)
        _name(axes, "as set up", (at["coverage"], at["precision"]), lower=at["precision"] > (1 + lowest) / 2)
    _share_axis(axes, "x", "photos answered, the most probable first")
    axes.set(xlim=(0, 1), ylim=(max(0, lowest - 0.05), 1.005))
    axes.set_ylabel("right answers")
    axes.yaxis.set_major_formatter(lambda share, _: percent(share))
    axes.grid()


def _name(axes: Axes, text: str, at: tuple[float, float], *, lower: bool) -> None:
    """Write `text` beside a point of an axis from 0 to 1, on the side where there is room."""
    right = at[0] < 0.5
    offset = (8 if right else -8, -12 if lower else 8)
    axes.annotate(text, at, offset, textcoords="offset points", ha="left" if right else "right", fontweight="bold")


def unfamiliar(figure: Figure, theme: Theme, facts: Mapping[str, Any]) -> None:
    """Share of unfamiliar photos flagged against that of evaluated ones kept, and two limits."""
    axes = _axes(figure)
    points = [{"kept": 0.0, "flagged": 1.0}, *facts["curve"]]
    axes.plot([p["kept"] for p in points], [p["flagged"] for p in points], color=theme["accent"], linewidth=2)
    # Where flags would be given at random.
    axes.plot([0, 1], [1, 0], color=theme["muted"], linewidth=1, linestyle=(0, (4, 3)))
    own, wide = facts["at_limit"], facts["at_90_percent_kept"]
    axes.plot(wide["kept"], wide["flagged"], "s", color=theme["ink"], fillstyle="none", clip_on=False)
    axes.plot(own["kept"], own["flagged"], "o", color=theme["ink"], clip_on=False)
    _name(axes, "its limit", (own["kept"], own["flagged"]), lower=True)
    _share_axis(axes, "x", "evaluated photos kept")
    _share_axis(axes, "y", "unfamiliar photos flagged")
    axes.set(xlim=(0, 1), ylim=(0, 1.03))
    axes.grid()


def confusion(figure: Figure, theme: Theme, classes: Sequence[str], counts: Sequence[Sequence[int]]) -> None:
    """The share of each class's photos (row) that each class (column) is answered for."""
    axes, matrix = make_axes(figure, left=104, bottom=92, right=6), np.array(counts, np.float64)
    strength = "90" if len(classes) <= MOST_NUMBERS else "ff"  # so that numbers can be read on it
    shares = matrix / np.maximum(1, matrix.sum(axis=1, keepdims=True))
    colors = LinearSegmentedColormap.from_list("shares", [theme["accent"] + "00", theme["accent"] + strength])
    # The square root shows a share of 1 % too.
    axes.imshow(np.sqrt(shares), cmap=colors, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    step = -(-len(classes) // MOST_NAMES)
    names = [str(printable(_shorten(name))) for name in classes[::step]]
    style: dict[str, Any] = {"fontsize": 6 if len(names) > 20 else 7.5, "parse_math": False}  # a $ is no formula
    axes.set_xticks(range(0, len(classes), step), names, rotation=90, **style)
    axes.set_yticks(range(0, len(classes), step), names, **style)
    axes.set_xlabel("answered", labelpad=2)
    axes.set_ylabel("true class", labelpad=2)
    if len(classes) <= MOST_NUMBERS:
        for row, column in np.argwhere(matrix > 0).tolist():
            axes.text(column, row, f"{counts[row][column]:,}", ha="center", va="center", fontsize=7)


def _shorten(name: str) -> str:
    """A name without its middle if it is long: names often differ by their last word."""
    half = NAME_LENGTH // 2
    return name if len(name) <= NAME_LENGTH else f"{name[:half]}…{name[1 - half :]}"
