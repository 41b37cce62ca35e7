"""The learning curves of every stage that trained."""

from collections.abc import Sequence
from math import isfinite

from edgesqueeze.page.facts import RunFacts
from edgesqueeze.page.svg import Scale, chart, element, label, line, path
from edgesqueeze.page.view import Block, Figure, Figures
from edgesqueeze.run.documents.history import History
from edgesqueeze.text.digits import significant

_SIZE = (310, 170)
_WIDE = 30
"""From this ratio of the largest to the smallest value on an axis is logarithmic."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 302, 10, 130


def training_block(run: RunFacts) -> Block | None:
    """A picture for the loss of each stage, and one for its metric where there is a validation split."""
    figures = [figure for history in run.histories for figure in _figures(history)]
    if not figures:
        return None
    lead = "Mean training loss of every epoch, stage by stage"
    lead += (
        ", and the metric over the validation split."
        if any(history.split for history in run.histories)
        else ". The task has no validation split, so epochs have no metric: the test split is for tables."
    )
    return Block("training", "Training", lead, [Figures(figures, kind="three")])


def _figures(history: History) -> list[Figure]:
    stage = history.epochs[0][0]
    epochs = [epoch for _, epoch in history.epochs]
    numbers = [epoch.number for epoch in epochs]
    found = [_curve(f"{stage}: training loss", numbers, [epoch.loss for epoch in epochs])]
    if history.split is not None:
        values = [epoch.metric for epoch in epochs]
        found.append(_curve(f"{stage}: {history.metric}, {history.split} split", numbers, values))
    rates = [epoch.learning_rate for epoch in epochs]
    notes = (f"learning rate from {rates[0]:.2g} to {rates[-1]:.2g}",)
    return [Figure(figure.title, figure.picture, notes) for figure in found]


def _curve(title: str, numbers: Sequence[int], values: Sequence[float | None]) -> Figure:
    known = [(n, v) for n, v in zip(numbers, values, strict=True) if v is not None and isfinite(v)]
    if not known:
        return Figure(title, chart(_SIZE, title, "No epoch has a finite value."))
    low, high = min(v for _, v in known), max(v for _, v in known)
    room = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
    across = Scale(numbers[0], numbers[-1], _LEFT, _RIGHT)
    up = Scale(low - room, high + room, _BOTTOM, _TOP)
    if low > 0 and high / low > _WIDE:
        title, up = f"{title}, logarithmic", Scale(low / 1.3, high * 1.3, _BOTTOM, _TOP, logarithmic=True)
    marks = []
    for value in up.ticks(4):
        marks += [line((_LEFT, up(value)), (_RIGHT, up(value)), "grid")]
        marks += [label((_LEFT - 6, up(value) + 4), significant(value, 3), "end")]
    for value in across.ticks(6):
        if value == int(value):
            marks.append(label((across(value), _BOTTOM + 18), str(int(value))))
    marks.append(label(((_LEFT + _RIGHT) / 2, _BOTTOM + 36), "epoch"))
    marks.append(path([(across(n), up(v)) for n, v in known], "curve"))
    marks += [
        element(
            "circle",
            {
                "cx": across(n),
                "cy": up(v),
                "r": 2.5,
                "class": "mark run-1",
                "data-tip": f"epoch {n}\n{significant(v, 5)}",
            },
        )
        for n, v in known
    ]
    (first, begin), (last, end) = known[0], known[-1]
    description = f"From {significant(begin, 4)} in epoch {first} to {significant(end, 4)} in epoch {last}."
    return Figure(title, chart(_SIZE, title, description, *marks))
