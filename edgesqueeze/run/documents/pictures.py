"""Pictures of a training, as PNG. Figures are made directly, so that pyplot's global state is not touched."""

import io
from typing import TYPE_CHECKING

import numpy as np

from edgesqueeze.run.documents.confusion import Confusion
from edgesqueeze.run.documents.history import History

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI = 120
_MOST_NUMBERS = 20
"""Classes up to which every cell has room for its number."""


def draw_history(history: History) -> bytes:
    """Loss, any metric, and learning rate over the epochs, one panel each; a line where a stage begins."""
    epochs = [epoch for _, epoch in history.epochs]
    places = range(1, len(epochs) + 1)
    stages = [stage for stage, _ in history.epochs]
    starts = [place for place in places if place > 1 and stages[place - 1] != stages[place - 2]]
    curves: dict[str, list[float | None]] = {"training loss": [epoch.loss for epoch in epochs]}
    if history.split is not None:
        curves[f"{history.metric} on the {history.split} split"] = [epoch.metric for epoch in epochs]
    curves["learning rate"] = [epoch.learning_rate for epoch in epochs]
    figure = _figure(4 * len(curves), 3.6)
    for axes, (title, values) in zip(figure.subplots(1, len(curves)), curves.items(), strict=True):
        axes.plot(places, values, marker="o" if len(epochs) <= 30 else None, markersize=3)
        for start in starts:
            axes.axvline(start - 0.5, color="gray", linewidth=0.8, linestyle=":")
        axes.set_title(title)
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
    return _png(figure)


def draw_confusion(confusion: Confusion) -> bytes:
    """Every true class's answers, as shares of the class; with few classes the counts stand in the cells."""
    counts, size = confusion.counts, len(confusion.classes)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(3.0 + 0.35 * size, 16.0)
    figure = _figure(side + 1, side)
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, shrink=0.8, label="share of the true class")
    axes.set_xlabel("answer")
    axes.set_ylabel("true class")
    if size <= _MOST_NUMBERS:
        upright = all(len(name) < 3 for name in confusion.classes)
        axes.set_xticks(range(size), confusion.classes, rotation=0 if upright else 90)
        axes.set_yticks(range(size), confusion.classes)
        for row, column in np.argwhere(counts > 0):
            color = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=color, size=8)
    return _png(figure)


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure  # half a second, and only now is it wanted

    return Figure(figsize=(width, height), layout="constrained")


def _png(figure: "Figure") -> bytes:
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=_DPI)
    return data.getvalue()
