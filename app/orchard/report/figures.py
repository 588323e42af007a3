"""The report's figures, by Matplotlib without pyplot's global state; the page has their titles and legends."""

import io
import math
import re
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from orchard.report.text import duration, percent

# The colours of a figure on a light and on a dark page; the same as the pages' own, see base.html.
THEMES = {
    "light": {"ink": "#22272e", "muted": "#5a6472", "line": "#d4d9df", "accent": "#0072b2", "soft": "#8fc1de"},
    "dark": {"ink": "#e4e8ec", "muted": "#a3adb8", "line": "#353c45", "accent": "#55aee2", "soft": "#2f6386"},
}
Theme = Mapping[str, str]
# Okabe-Ito without black and yellow, which vanish on a dark or a white page, and two more.
COLORS = ("#0b74b5", "#e08a00", "#009e73", "#cc5f9f", "#d55e00", "#49a8dc", "#8a6bbe", "#8f7a2e")
# With Matplotlib's marker and the legend's: one more than there are colours, so that no two groups look the same.
LOOKS = list(zip(COLORS * 2, "os^DvPX<*" * 2, "●■▲◆▼✚✖◀★" * 2, strict=False))
# Labels, and the first two components (n, 2), of some photos.
Points = tuple[Sequence[str], NDArray[np.floating]]

WIDTH, HEIGHT = 400, 252  # points
MAX_GROUPS, MAX_BARS, MAX_VECTOR_POINTS = len(LOOKS), 40, 400

_STYLE: dict[str, Any] = {
    "font.sans-serif": ["DejaVu Sans"],  # comes with Matplotlib and is wide: what fits in it fits in the reader's font
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "svg.fonttype": "none",  # text stays text, which is smaller than outlines
    "svg.hashsalt": "orchard",  # the same data gives the same bytes
}
_MUTED = ("axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")


def picture(draw: Callable[..., None], *data: Any, height: int = HEIGHT) -> dict[str, bytes]:
    """What `draw(figure, theme, *data)` draws in `WIDTH` x `height` points, as SVG, by the name of the theme."""
    pictures = {}
    for name, theme in THEMES.items():
        style: Any = {"text.color": theme["ink"], "grid.color": theme["line"], **dict.fromkeys(_MUTED, theme["muted"])}
        with matplotlib.rc_context(), warnings.catch_warnings(), io.BytesIO() as buffer:
            # The reader's fonts draw the text, which may have characters that Matplotlib's font lacks.
            warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
            matplotlib.rcdefaults()  # whatever the settings on this machine
            matplotlib.rcParams.update(_STYLE | style)
            figure = Figure(figsize=(WIDTH / 72, height / 72))
            draw(figure, theme, *data)
            figure.savefig(buffer, format="svg", dpi=144, metadata={"Date": None})
            pictures[name] = buffer.getvalue()
    return pictures


def make_axes(figure: Figure, *, left: int = 48, bottom: int = 40, right: int = 12, top: int = 8) -> Axes:
    """Axes with these margins, in points."""
    height = figure.get_figheight() * 72
    return figure.add_axes((left / WIDTH, bottom / height, 1 - (left + right) / WIDTH, 1 - (bottom + top) / height))


def _bars(axes: Axes, values: Sequence[float], first: int, **style: Any) -> None:
    """Bars from position `first` on; above `MAX_BARS` as one outline, which is light for thousands too."""
    if len(values) <= MAX_BARS:
        axes.bar(np.arange(len(values)) + first, values, width=0.8, **style)
    else:
        edges = np.arange(len(values) + 1) + first - 0.5
        axes.stairs(values, edges, fill=True, rasterized=len(values) > MAX_VECTOR_POINTS, **style)


def variance(figure: Figure, theme: Theme, pca: Mapping[str, Any]) -> None:
    """The share of the variance of each component, their sum, k and the target; `pca` is that of `report.json`."""
    k, cumulative, total = pca["k"], pca["cumulative"], len(pca["cumulative"])
    axes, shown = make_axes(figure, top=30), min(total, max(12, math.ceil(1.8 * k)))
    axes.plot(range(1, shown + 1), cumulative[:shown], color=theme["accent"], linewidth=2, label="cumulative")
    _bars(axes, pca["explained_variance_ratio"][:shown], 1, color=theme["soft"], label="each component")
    _mark(axes, theme, k, cumulative[k - 1], pca["variance_target"], right=k > 0.6 * shown)
    axes.set(xlim=(0.4, shown + 0.6), ylim=(0, 1.03))
    axes.set_xlabel("component" if shown == total else f"component (the first {shown:,} of {total:,})")
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", percent(1)])
    axes.locator_params("x", integer=True)
    axes.grid(axis="y")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderpad=0)


def _mark(axes: Axes, theme: Theme, k: int, kept: float, target: float | None, *, right: bool) -> None:
    """Mark k and the target, with labels where the curve is not: it depends on whether k is at the `right`."""
    axes.plot([k, k], [0, kept], "o-", markevery=[1], color=theme["ink"], linewidth=1)
    side: dict[str, Any] = {"ha": "right" if right else "left", "va": "center", "textcoords": "offset points"}
    at, offset = (k, min(0.45, kept / 2)), (-6 if right else 6, 0)
    axes.annotate(f"k = {k:,}\n{percent(kept)}", at, offset, fontweight="bold", **side)
    if target is not None:
        axes.axhline(target, color=theme["muted"], linewidth=1, linestyle=(0, (4, 3)))
        side |= {"ha": "left", "va": "bottom"} if right else {"ha": "right", "va": "top"}
        side |= {"xycoords": axes.get_yaxis_transform(), "color": theme["muted"]}
        axes.annotate(f"target {percent(target)}", (0.01 if right else 0.99, target), (0, 3 if right else -3), **side)


@dataclass(frozen=True)
class Group:
    """Points of one colour and marker: `rows` are their indices, `glyph` is the marker as a character."""

    name: str
    varieties: int
    rows: NDArray[np.intp]
    color: str = "#9aa1a9"
    marker: str = "."
    glyph: str = "•"


def group(labels: Sequence[str]) -> list[Group]:
    """Points by variety, or by the first word of its name if there are many; the smallest ones are "other", first."""
    names = sorted(set(labels))
    kinds = {name: re.split(r"[\s_\-\d]", name, maxsplit=1)[0] or name for name in names}
    if len(names) <= MAX_GROUPS or len(set(kinds.values())) == 1:
        kinds = {name: name for name in names}
    largest = sorted(kind for kind, _ in Counter(kinds[label] for label in labels).most_common(MAX_GROUPS))
    numbers = {name: largest.index(kind) if kind in largest else -1 for name, kind in kinds.items()}
    varieties, index = Counter(numbers.values()), np.array([numbers[label] for label in labels], np.intp)
    groups = [Group(kind, varieties[i], np.flatnonzero(index == i), *LOOKS[i]) for i, kind in enumerate(largest)]
    return [Group("other", varieties[-1], np.flatnonzero(index < 0)), *groups] if varieties[-1] else groups


def scatter(figure: Figure, theme: Theme, groups: list[Group], xy: NDArray[np.floating], shares: list[float]) -> None:
    """Each photo on PC 1 and PC 2, xy (n, 2), by their shares of the variance; with one share, a row for each group."""
    axes, flat = make_axes(figure), len(shares) < 2
    size = float(np.clip(150 / math.sqrt(max(1, len(xy))), 3, 6))
    # Past a few hundred points, one image inside the SVG is smaller than a path for each.
    style: dict[str, Any] = {"markeredgewidth": 0, "alpha": 0.8, "rasterized": len(xy) > MAX_VECTOR_POINTS}
    for row, part in enumerate(groups):
        y = np.full(len(part.rows), -row) if flat else xy[part.rows, 1]
        axes.plot(xy[part.rows, 0], y, part.marker, color=part.color, markersize=size, **style)
    axes.set_xlabel(f"PC 1 ({percent(shares[0])} of the variance)")
    axes.set_ylabel("one row for each colour" if flat else f"PC 2 ({percent(shares[1])})", labelpad=2)
    if flat:
        axes.set_yticks([])
    axes.grid()


def partitions(figure: Figure, theme: Theme, pairs: Sequence[Sequence[int]]) -> None:
    """Photos in each partition, from (partition, photos) pairs: those of partitions 0, 1, 2 and so on."""
    axes, photos = make_axes(figure, left=54), [pair[1] for pair in pairs]
    _bars(axes, photos, 0, color=theme["accent"])
    if len(photos) <= 12:
        axes.bar_label(axes.containers[0], fmt="{:,.0f}", padding=2)  # type: ignore[arg-type]
    room = max(0.6, 2 - len(photos) / 2)  # a single bar does not fill the figure
    axes.set(xlim=(-room, len(photos) - 1 + room), ylim=(0, max(1, *photos) * 1.12))
    axes.set(xlabel="partition", ylabel="photos")
    axes.locator_params(integer=True)
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.grid(axis="y")


def seconds(figure: Figure, theme: Theme, stages: Mapping[str, float]) -> None:
    """How long each stage took, by its name, from top to bottom."""
    axes, longest = make_axes(figure, left=112, right=70, bottom=6), max(stages.values())
    colors = [theme["accent"] if value == longest else theme["soft"] for value in stages.values()]
    bars = axes.barh(list(stages), list(stages.values()), height=0.7, color=colors)
    axes.bar_label(bars, [duration(value) for value in stages.values()], padding=4)
    axes.invert_yaxis()
    axes.spines.bottom.set_visible(False)
    axes.set_xticks([])
    axes.tick_params(axis="y", length=0, labelcolor=theme["ink"])
