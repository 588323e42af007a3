"""The plot of a comparison; the page has its title and caption."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from orchard.compare.contents import MANY
from orchard.report.figures import Theme, make_axes
from orchard.report.templates import printable
from orchard.report.text import percent

PLOT_HEIGHT = 300  # points


def accuracy_against_dollars(
    figure: Figure, theme: Theme, rows: Sequence[Mapping[str, Any]], frontier: Sequence[str]
) -> None:
    """Accuracy with its interval against the price of `MANY` photos; the frontier is in colour and joined."""
    axes = make_axes(figure, left=56, bottom=44)
    prices = {row["backbone"]: row["dollars"][str(MANY)] for row in rows}
    shown = [row for row in rows if prices[row["backbone"]] is not None]
    best = sorted((prices[row["backbone"]], row["accuracy"]["value"]) for row in shown if row["backbone"] in frontier)
    axes.plot(*zip(*best, strict=True), color=theme["accent"], linewidth=1.5, linestyle=(0, (4, 3)))
    middle = (min(prices[row["backbone"]] for row in shown) + max(prices[row["backbone"]] for row in shown)) / 2
    for row in shown:
        price, accuracy = prices[row["backbone"]], row["accuracy"]
        _draw(axes, price, accuracy, theme["accent" if row["backbone"] in frontier else "muted"])
        # Lower ends are farther apart than the values, which the line joins.
        end = accuracy["value"] if accuracy["low"] is None else accuracy["low"]
        _name(axes, row["backbone"], (price, end), right=price <= middle)
    axes.margins(x=0.1)
    axes.set(xlabel=f"US dollars for {MANY:,} photos", ylabel="accuracy")
    axes.xaxis.set_major_formatter("{x:.3f}")
    axes.locator_params("x", nbins=5)
    axes.yaxis.set_major_formatter(lambda share, _: percent(share))
    axes.grid(axis="y")


def _draw(axes: Axes, price: float, accuracy: Mapping[str, Any], color: str) -> None:
    """One backbone: its interval as a line, its value as a point."""
    if accuracy["low"] is not None:
        limits = accuracy["low"], accuracy["high"]
        axes.plot([price, price], limits, color=color, linewidth=1.2, marker="_")
    axes.plot(price, accuracy["value"], "o", color=color)


def _name(axes: Axes, name: str, at: tuple[float, float], *, right: bool) -> None:
    """Write a name beside a point, on the side where there is room."""
    side: dict[str, Any] = {"textcoords": "offset points", "ha": "left" if right else "right", "parse_math": False}
    axes.annotate(str(printable(name)), at, (6 if right else -6, 2), fontsize=9, **side)
