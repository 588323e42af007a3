"""The report's figures: data in, a `Drawing` out, and `to_svg` or `to_png` to make it bytes.

Every function is pure, and the same data gives the same bytes. Matplotlib is imported inside, so that importing this module is cheap; its
`Figure` is used directly, never pyplot, which keeps global state and wants a display. Colours are of the Okabe-Ito set, which people with
any colour vision can tell apart; markers and labels say the same again, for black-and-white print.
"""

from __future__ import annotations

import math
import re
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import Locator

# The colours that a page may replace by its own, for dark mode: see `orchard.report.page`.
INK, MUTED, GRID, ACCENT, ACCENT_SOFT = "#22272e", "#5a6472", "#d4d9df", "#0072b2", "#8fc1de"
# Okabe-Ito without black and yellow, which vanish on a dark and on a white page, then two more that stay apart from them.
PALETTE = ("#0b74b5", "#e08a00", "#009e73", "#cc5f9f", "#d55e00", "#49a8dc", "#8a6bbe", "#8f7a2e")
# As many as the palette has colours, plus one: then (i mod 8, i mod 9) does not repeat before 72.
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", "*")
OTHERS = "#9aa1a9"

WIDTH, HEIGHT = 400, 280
MAX_LEGEND = 16
MAX_KINDS = 11
MAX_VECTOR_POINTS = 400
MAX_BARS = 40

_NBSP = "\N{NO-BREAK SPACE}"

_STYLE: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": [
        "DejaVu Sans"
    ],  # ships with Matplotlib and is wider than most: what fits in it fits in the reader's font
    "font.size": 10.5,
    "text.color": INK,
    "text.parse_math": False,  # a label may hold a dollar sign
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 10,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "legend.frameon": False,
    "legend.fontsize": 10,
    "legend.borderpad": 0,
    "legend.borderaxespad": 0,
    "legend.handletextpad": 0.4,
    "svg.fonttype": "none",  # text stays text: small, searchable, in the page's font
}


@dataclass(frozen=True)
class Drawing:
    """A figure that is still to be drawn.

    Attributes:
        name: short and unique on a page; salts the ids in the SVG.
        title: the finding, drawn above the figure.
        height: in points, as is `WIDTH`.
        draw: puts everything but the title on a figure.
    """

    name: str
    title: str
    height: int
    draw: Callable[[Figure], None]


# --- Drawing to bytes -----------------------------------------------------------------------------------------------------------------


def to_svg(drawing: Drawing) -> bytes:
    """An SVG with transparent background and no ids but those it refers to, unique to the drawing's name."""
    svg = _save(drawing, format="svg", dpi=144, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type"))).decode()
    # Matplotlib's style rule is for every element; inside a page it would reach the page's own.
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, count=1, flags=re.DOTALL)
    svg = svg.replace("<svg ", '<svg style="stroke-linejoin: round; stroke-linecap: butt" ', 1)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = replace_in_tags(svg, {"'DejaVu Sans', sans-serif": "system-ui, sans-serif"})
    return re.sub(r"\n\s*", "\n", svg).encode()


def replace_in_tags(svg: str, new: Mapping[str, str]) -> str:
    """`svg` with each key replaced by its value, except in the text between tags, which is the reader's."""

    def replaced(match: re.Match[str]) -> str:
        tag = match.group()
        for old, text in new.items():
            tag = tag.replace(old, text)
        return tag

    return re.sub(r"<[^>]+>", replaced, svg)


def to_png(drawings: Sequence[Drawing], *, columns: int = 2, scale: int = 2) -> bytes:
    """One PNG of all drawings in rows, on white, at `scale` pixels a point."""
    from PIL import Image

    pictures = [
        Image.open(BytesIO(_save(drawing, format="png", dpi=72 * scale, facecolor="white"))) for drawing in drawings
    ]
    rows = [pictures[start : start + columns] for start in range(0, len(pictures), columns)]
    heights = [max(picture.height for picture in row) for row in rows]
    gap = 14 * scale
    sheet = Image.new("RGB", (columns * (WIDTH * scale + gap) + gap, sum(heights) + gap * (len(rows) + 1)), "white")
    for i, row in enumerate(rows):
        for j, picture in enumerate(row):
            sheet.paste(picture, (gap + j * (WIDTH * scale + gap), gap * (i + 1) + sum(heights[:i])))
    buffer = BytesIO()
    sheet.quantize(128).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _save(drawing: Drawing, **options: Any) -> bytes:
    """Draw under our own style, whatever matplotlibrc the machine has."""
    import matplotlib
    from matplotlib.figure import Figure

    buffer = BytesIO()
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        rules: Any = _STYLE | {"svg.hashsalt": drawing.name}  # the stubs know settings by their literal names only
        matplotlib.rcParams.update(rules)
        # An emoji is measured as a box here, and drawn by the reader's own fonts.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = Figure(figsize=(WIDTH / 72, drawing.height / 72))
        figure.text(1 / WIDTH, 1 - 6 / drawing.height, drawing.title, fontsize=12, fontweight="bold", va="top")
        drawing.draw(figure)
        figure.savefig(buffer, **options)
    return buffer.getvalue()


def _nothing(name: str, title: str) -> Drawing:
    """A title alone, for data that is not there."""
    return Drawing(name, title, 30, lambda figure: None)


def _axes(
    figure: Figure, *, left: int = 46, bottom: int = 40, right: int = 12, top: int = 34, height: int = HEIGHT
) -> Axes:
    """Axes with these margins, in points."""
    return figure.add_axes(
        (left / WIDTH, bottom / height, (WIDTH - left - right) / WIDTH, (height - bottom - top) / height)
    )


def _whole_numbers() -> Locator:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(nbins="auto", steps=[1, 2, 2.5, 5, 10], integer=True)


# --- Text -----------------------------------------------------------------------------------------------------------------------------


def printable(text: str) -> str:
    """`text` without what neither XML nor UTF-8 can hold: control characters and lone surrogates."""
    return re.sub("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]", "\N{REPLACEMENT CHARACTER}", text)


def percent(share: float) -> str:
    """0.906 -> '90.6 %', 0.9 -> '90 %', with a space that does not break."""
    return f"{share * 100:.1f}".removesuffix(".0") + f"{_NBSP}%"


def count(number: int, noun: str, plural: str | None = None) -> str:
    """1 -> '1 photo', 90000 -> '90,000 photos'."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def duration(seconds: float) -> str:
    """A time at the precision a reader needs: '0.04 s', '6.1 s', '42 s', '3 min 20 s', '2 h 5 min'; a unit stays with its number."""
    if seconds < 9.95:
        return f"{seconds:.{2 if seconds < 0.095 else 1}f}{_NBSP}s"
    whole = round(seconds)
    if whole < 100:
        return f"{whole}{_NBSP}s"
    large, small, units = (
        (*divmod(whole, 60), ("min", "s")) if whole < 3600 else (*divmod(whole // 60, 60), ("h", "min"))
    )
    return f"{large}{_NBSP}{units[0]}" + (f" {small}{_NBSP}{units[1]}" if small else "")


def _short(text: str, limit: int) -> str:
    text = printable(text)
    return text if len(text) <= limit else text[: limit - 1] + "…"


# --- Explained variance ---------------------------------------------------------------------------------------------------------------


def variance(ratio: Sequence[float], cumulative: Sequence[float], *, k: int, target: float | None) -> Drawing:
    """What each component adds, what the first ones keep together, and where `k` stands.

    Args:
        ratio, cumulative: share of the variance by component and up to it, of the same length, at least `k`.
        k: components kept.
        target: the share asked for; None when `k` was.
    """
    shown = min(len(ratio), max(12, math.ceil(1.8 * k)))
    kept = float(cumulative[k - 1])

    def draw(figure: Figure) -> None:
        axes = _axes(figure, top=56)
        numbers = np.arange(1, shown + 1)
        each = axes.stairs(ratio[:shown], np.arange(shown + 1) + 0.5, fill=True, color=ACCENT_SOFT)
        if shown <= MAX_BARS:
            each.remove()
            each = axes.bar(numbers, ratio[:shown], width=0.8, color=ACCENT_SOFT)[0]
        (together,) = axes.plot(numbers, cumulative[:shown], color=ACCENT, linewidth=2)
        _mark_target(axes, target, low=k > 0.6 * shown)
        _mark_k(axes, k, kept, left=k > 0.6 * shown)
        _percent_axis(axes, shown)
        axes.set_xlabel("component" if shown == len(ratio) else f"component (the first {shown:,} of {len(ratio):,})")
        handles = [together, each]
        axes.legend(handles, ["all up to this one", "this one"], loc="lower left", bbox_to_anchor=(0, 1.02), ncols=2)

    return Drawing(
        "variance",
        f"{count(k, 'component')} {'keeps' if k == 1 else 'keep'} {percent(kept)} of the variance",
        HEIGHT,
        draw,
    )


def _mark_target(axes: Axes, target: float | None, *, low: bool) -> None:
    """A line at the target; its label goes where the curve is not: right of k below the line, or, with `low`, left of k above it."""
    if target is None:
        return
    axes.axhline(target, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    x, side, offset, vertical = (0.01, "left", 3, "bottom") if low else (0.99, "right", -3, "top")
    axes.annotate(
        f"target {percent(target)}",
        (x, target),
        xycoords=("axes fraction", "data"),
        xytext=(0, offset),
        textcoords="offset points",
        ha=side,
        va=vertical,
        color=MUTED,
        fontsize=10,
    )


def _mark_k(axes: Axes, k: int, kept: float, *, left: bool) -> None:
    axes.plot([k, k], [0, kept], color=INK, linewidth=1)
    axes.plot([k], [kept], "o", color=INK, markersize=6)
    text = f"k = {k:,}\n{percent(kept)}"
    offset = (-6, 0) if left else (6, 0)
    axes.annotate(
        text,
        (k, min(0.45, kept / 2)),
        xytext=offset,
        textcoords="offset points",
        ha="right" if left else "left",
        va="center",
        fontweight="bold",
    )


def _percent_axis(axes: Axes, shown: int) -> None:
    axes.set_xlim(0.4, shown + 0.6)
    axes.set_ylim(0, 1.03)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", percent(1)])
    axes.grid(axis="y")
    axes.xaxis.set_major_locator(_whole_numbers())


# --- PC 1 x PC 2 ----------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Group:
    """Points of one colour and marker. Attributes: text for the legend; rows of the points."""

    text: str
    rows: NDArray[np.intp]
    color: str
    marker: str


def scatter(labels: Sequence[str], xy: NDArray[np.floating], *, shares: Sequence[float]) -> Drawing:
    """Each photo on the first two components, coloured by variety; by kind (first word of the name) when the varieties are many.

    Args:
        labels: variety of each point.
        xy: (n, 2), the first two components of each.
        shares: share of the variety of the first components; when only one is kept, each group gets a row of its own instead of PC 2.
    """
    if not labels:
        return _nothing("scatter", "No photos to show")
    groups, heading = _group(labels)
    flat = len(shares) < 2
    legend_rows = math.ceil(len(groups) / _columns(groups)) + bool(heading)
    height = HEIGHT + 35 + 15 * legend_rows

    def draw(figure: Figure) -> None:
        axes = _axes(figure, bottom=52 + 15 * legend_rows, height=height)
        for row, group in enumerate(groups):
            _points(axes, group, xy, row=row if flat else None, total=len(labels))
        axes.set_xlabel(f"PC 1 ({percent(shares[0])} of the variance)")
        axes.set_ylabel("no PC 2: one row a colour" if flat else f"PC 2 ({percent(shares[1])})", labelpad=2)
        if flat:
            axes.set_yticks([])
            axes.margins(y=0.15)
        axes.grid()
        _legend(axes, groups, heading, top=-38 / (height - 86 - 15 * legend_rows))

    if flat:
        return Drawing("scatter", "Only one component was kept: there is no PC 2", height, draw)
    return Drawing("scatter", f"PC 1 and PC 2 show {percent(sum(shares[:2]))} of the variance", height, draw)


def _points(axes: Axes, group: _Group, xy: NDArray[np.floating], *, row: int | None, total: int) -> None:
    size = 6.0 if total <= 300 else 4.5 if total <= 1500 else 3.2
    y = xy[group.rows, 1] if row is None else np.full(len(group.rows), -row)
    axes.plot(
        xy[group.rows, 0],
        y,
        linestyle="none",
        marker=group.marker,
        color=group.color,
        markersize=size,
        markeredgewidth=0,
        alpha=0.85 if total <= 1500 else 0.6,
        # Past a few hundred, one picture inside the SVG is lighter than a path a point.
        rasterized=total > MAX_VECTOR_POINTS,
    )


def _legend(axes: Axes, groups: Sequence[_Group], heading: str, *, top: float) -> None:
    from matplotlib.lines import Line2D

    keys = [
        Line2D([], [], linestyle="none", marker=group.marker, color=group.color, markersize=6, markeredgewidth=0)
        for group in groups
    ]
    legend = axes.legend(
        keys,
        ["." for _ in groups],
        title=heading or None,
        loc="upper left",
        bbox_to_anchor=(-0.1, top),
        ncols=_columns(groups),
        columnspacing=1.2,
        alignment="left",
        labelspacing=0.35,
    )
    legend.get_title().set(fontsize=10, color=MUTED)
    # Set afterwards: a label that starts with "_" would be left out.
    for text, group in zip(legend.get_texts(), groups, strict=True):
        text.set_text(group.text)


def _columns(groups: Sequence[_Group]) -> int:
    longest = max((len(group.text) for group in groups), default=1)
    return max(1, min(4, WIDTH // (7 * longest + 26)))


def _group(labels: Sequence[str]) -> tuple[list[_Group], str]:
    """Groups to colour, and a heading that says by what when it is not plainly by variety."""
    names = sorted(set(labels))
    if len(names) <= MAX_LEGEND:
        return _colored(labels, {name: name for name in names}, names), ""
    kinds = {name: _kind(name) for name in names}
    by = "first word of the name" if 1 < len(set(kinds.values())) < len(names) else "variety"
    if by == "variety":
        kinds = {name: name for name in names}
    photos = Counter(kinds[label] for label in labels)
    top = sorted(photos, key=lambda kind: (-photos[kind], kind))[:MAX_KINDS]
    return _colored(labels, kinds, sorted(top)), f"{len(names):,} varieties, coloured by {by}"


def _kind(name: str) -> str:
    """'Apple Red 2' -> 'Apple', 'apple_hit_1' -> 'apple'."""
    match = re.match(r"[^\s_\-\d]+", name)
    return match.group() if match else name


def _colored(labels: Sequence[str], group_of: Mapping[str, str], names: Sequence[str]) -> list[_Group]:
    """One group for each of `names`, and one for all the others when there are any, first so that it is drawn underneath."""
    number = {name: i for i, name in enumerate(names)}
    index = np.array([number.get(group_of[label], -1) for label in labels], dtype=np.intp)
    sizes = Counter(group_of.values())
    groups = [
        _Group(
            _legend_text(name, sizes[name]),
            np.flatnonzero(index == i),
            PALETTE[i % len(PALETTE)],
            MARKERS[i % len(MARKERS)],
        )
        for i, name in enumerate(names)
    ]
    others = sum(size for name, size in sizes.items() if name not in number)
    return (
        [_Group(count(others, "other variety", "other varieties"), np.flatnonzero(index < 0), OTHERS, "."), *groups]
        if others
        else groups
    )


def _legend_text(name: str, varieties: int) -> str:
    return _short(name, 26) + (f" ({varieties})" if varieties > 1 else "")


# --- Partitions -----------------------------------------------------------------------------------------------------------------------


def partitions(pairs: Sequence[Sequence[int]]) -> Drawing:
    """Photos in each partition, from (partition, photos) pairs; above `MAX_BARS`, as a band from the smallest to the largest."""
    if not pairs:
        return _nothing("partitions", "No partitions were recorded")
    photos = np.array([pair[1] for pair in pairs], dtype=np.int64)

    def draw(figure: Figure) -> None:
        axes = _axes(figure, left=54)
        if len(photos) <= MAX_BARS:
            _partition_bars(axes, [str(pair[0]) for pair in pairs], photos)
        else:
            _partition_band(axes, photos)
        axes.set_ylim(0, max(1, int(photos.max())) * 1.12)
        axes.yaxis.set_major_locator(_whole_numbers())
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.grid(axis="y")
        axes.set_ylabel("photos")

    return Drawing("partitions", _partitions_title(photos), HEIGHT, draw)


def _partitions_title(photos: NDArray[np.int64]) -> str:
    if len(photos) == 1:
        return f"One partition did all {count(int(photos[0]), 'photo')}"
    low, high = int(photos.min()), int(photos.max())
    size = count(high, "photo") if low == high else f"{low:,} to {count(high, 'photo')}"
    return f"{len(photos):,} partitions of {size}"


def _partition_bars(axes: Axes, names: Sequence[str], photos: NDArray[np.int64]) -> None:
    positions = np.arange(len(photos))
    bars = axes.bar(positions, photos, width=0.7, color=ACCENT)
    if len(photos) <= 12:
        axes.bar_label(bars, [f"{number:,}" for number in photos], padding=2, fontsize=10)
    step = max(1, math.ceil(len(photos) / 14))
    axes.set_xticks(positions[::step], names[::step])
    axes.set_xlim(
        -0.5 - max(0, 3 - len(photos)) / 2, len(photos) - 0.5 + max(0, 3 - len(photos)) / 2
    )  # one bar is not a wall
    axes.tick_params(axis="x", length=0)
    axes.set_xlabel("partition")


def _partition_band(axes: Axes, photos: NDArray[np.int64]) -> None:
    """Runs of neighbours share a step, so that 5,000 partitions are as light as 200."""
    edges = np.unique(np.linspace(0, len(photos), min(len(photos), 200) + 1).astype(np.intp))
    largest, smallest = np.maximum.reduceat(photos, edges[:-1]), np.minimum.reduceat(photos, edges[:-1])
    if (largest != smallest).any():
        axes.stairs(largest, edges, fill=True, color=ACCENT_SOFT, label="largest")
    axes.stairs(smallest, edges, fill=True, color=ACCENT)
    axes.set_xlim(0, len(photos))
    axes.set_xlabel(
        "partition, in order (dark: smallest of its neighbours, light: largest)"
        if (largest != smallest).any()
        else "partition, in order"
    )


# --- Time -----------------------------------------------------------------------------------------------------------------------------

STAGES = {
    "start": "starting Spark",
    "list": "listing",
    "featurize": "featurizing",
    "fit": "fitting PCA",
    "transform": "projecting",
    "model": "saving the model",
    "report": "reporting",
}


def seconds(by_stage: Mapping[str, float]) -> Drawing:
    """How long each stage took, in the order given; `total`, when it is there, shows what no stage accounts for."""
    stages = {STAGES.get(name, _short(name, 18)): value for name, value in by_stage.items() if name != "total"}
    total = by_stage.get("total", sum(stages.values()))
    rest = total - sum(stages.values())
    if rest > 0.02 * total:
        stages["everything else"] = rest
    longest = max(stages, key=lambda name: stages[name], default="")
    if not longest:
        return _nothing("seconds", "No times were recorded")
    height = max(120, 70 + 27 * len(stages))

    def draw(figure: Figure) -> None:
        axes = _axes(figure, left=112, right=70, bottom=12, top=36, height=height)
        colors = [ACCENT if name == longest else ACCENT_SOFT for name in stages]
        bars = axes.barh(list(stages), list(stages.values()), height=0.7, color=colors)
        axes.bar_label(bars, [duration(value) for value in stages.values()], padding=4, fontsize=10)
        axes.invert_yaxis()
        axes.spines.bottom.set_visible(False)
        axes.set_xticks([])
        axes.tick_params(axis="y", length=0, labelcolor=INK)

    return Drawing(
        "seconds",
        f"{longest[:1].upper()}{longest[1:]} took {duration(stages[longest])} of {duration(total)}",
        height,
        draw,
    )
