"""The figure of a fine-tuning: loss and right answers by epoch."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from orchard.report.figures import Theme, make_axes, picture

_TOP, _MIDDLE = 142, 146  # points, of the margins of the lower and the upper axes


def draw(curve: Sequence[Mapping[str, Any]], best: int) -> bytes:
    """An SVG on white of a curve as `finetune.json` has it; epoch 0 is the parent."""
    return picture(_draw, curve, best)["light"].replace(
        b"<defs>", b'<rect width="100%" height="100%" fill="#fff"/><defs>', 1
    )


def _draw(figure: Figure, theme: Theme, curve: Sequence[Mapping[str, Any]], best: int) -> None:
    upper, lower = make_axes(figure, bottom=_MIDDLE, top=28), make_axes(figure, top=_TOP)
    epochs = [entry["epoch"] for entry in curve]
    upper.plot(
        epochs[1:], [entry["training_loss"] for entry in curve[1:]], "o-", color=theme["muted"], label="training"
    )
    if "held_out_loss" in curve[0]:
        style: dict[str, Any] = {"color": theme["accent"], "marker": "o"}
        upper.plot(epochs, [entry["held_out_loss"] for entry in curve], label="held out", **style)
        lower.plot(epochs, [entry["held_out_accuracy"] for entry in curve], **style)
    for axes in (upper, lower):
        axes.axvline(best, color=theme["line"], zorder=0)
        axes.set_xticks(epochs)
        axes.grid(axis="y")
    upper.set_ylabel("loss")
    upper.legend(loc="lower center", bbox_to_anchor=(0.5, 0.97), ncols=2)
    lower.set_ylabel("right, held out")
    lower.set_xlabel("epoch (0: the network it began with)")
