"""Metric against size: every file a point, with those that no other file beats in both."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import isfinite

from markupsafe import Markup

from edgesqueeze.page.facts import RunFacts
from edgesqueeze.page.svg import Scale, chart, element, label, line, path
from edgesqueeze.page.view import Block, Figure, Figures, Legend
from edgesqueeze.page.wording import size_text, tick_text
from edgesqueeze.run.report import Row
from edgesqueeze.run.row_tables import metric_text
from edgesqueeze.task.metrics.wording import written
from edgesqueeze.text.digits import times

_SIZE = (520, 300)
_LEFT, _RIGHT, _TOP, _BOTTOM = 74, 500, 16, 246
_MOST_NAMED = 3
"""Points on each other up to which each is named."""
COLOURS = 6
"""Classes ``run-1`` to ``run-6`` of the style sheet; the seventh run of a page is drawn as the first."""


@dataclass(frozen=True)
class Point:
    """A row with a file: what its mark says beside it, and which run it is of, from 1."""

    mark: str
    run: int
    row: Row
    size: int
    value: float


def points_of(run: RunFacts, number: int, prefix: str = "") -> list[Point]:
    """The rows that have a file and a finite metric."""
    return [
        Point(f"{prefix}{i}", number, row, row.num_bytes, row.primary)
        for i, row in enumerate(run.report.rows, start=1)
        if row.num_bytes is not None and row.primary is not None and isfinite(row.primary)
    ]


def pareto_front(points: Sequence[Point]) -> list[Point]:
    """The points of which no other is at least as small and as good, and better in one; by size."""
    front: list[Point] = []
    for point in sorted(points, key=lambda p: (p.size, -_goodness(p))):
        if not front or _goodness(point) > _goodness(front[-1]):
            front.append(point)
    return front


def trade_block(run: RunFacts) -> Block | None:
    """The points of one run."""
    points = points_of(run, 1)
    if len(points) < 2:
        return None
    metric = points[0].row.primary_metric
    lead = (
        f"Further left is smaller, further up is a larger {metric}"
        f"{'' if points[0].row.higher_is_better else ', of which less is better'}. "
        "The stepped line joins the files that no other beats in both."
    )
    if any(point.row.interval is not None for point in points):
        lead += " Thin lines are 95 % intervals: where they overlap, the difference may be chance."
    return Block(
        "trade",
        f"Trade-off: {metric} against size",
        lead,
        [Figures([replace(scatter(points), title="")], kind="wide")],
    )


def scatter(points: Sequence[Point]) -> Figure:
    """The picture of points of one metric, which is that of the first."""
    first = points[0].row
    sizes = [p.size for p in points]
    across = Scale(min(sizes) / 1.5, max(sizes) * 1.5, _LEFT, _RIGHT, logarithmic=True)
    up = _value_scale(points)
    marks = [*_grid(across, up, first)]
    front = pareto_front(points)
    steps = [(across(front[0].size), up(front[0].value))]
    for before, point in pairwise(front):
        steps += [(across(point.size), up(before.value)), (across(point.size), up(point.value))]
    marks.append(path(steps, "front"))
    marks += [mark for point in points for mark in _whisker(point, across, up)]
    marks += [_mark(point, across, up) for point in points]
    marks += _labels(points, across, up)
    names = ", ".join(dict.fromkeys(p.row.label for p in front))
    title = f"{first.primary_metric} against size"
    description = f"{len(points)} files; not beaten in both: {names}."
    key = [f"{p.mark} {p.row.label}: {written(p.value, p.row.unit)}, {size_text(p.size)}" for p in points]
    return Figure(title, chart(_SIZE, title, description, *marks), key)


def runs_legend(runs: Sequence[RunFacts]) -> Legend:
    """Which colour is which run."""
    return Legend([(run_class(i), run.name) for i, run in enumerate(runs, start=1)])


def run_class(number: int) -> str:
    """The class of a run's marks."""
    return f"run-{(number - 1) % COLOURS + 1}"


def _goodness(point: Point) -> float:
    return point.value if point.row.higher_is_better else -point.value


def _value_scale(points: Sequence[Point]) -> Scale:
    values = [p.value for p in points]
    values += [end for p in points if p.row.interval for end in (p.row.interval.low, p.row.interval.high)]
    values = [value for value in values if isfinite(value)]
    low, high = min(values), max(values)
    room = (high - low) * 0.06 or abs(high) * 0.06 or 1.0
    return Scale(low - room, high + room, _BOTTOM, _TOP)


def _grid(across: Scale, up: Scale, row: Row) -> list[Markup]:
    marks = []
    for value in up.ticks(5):
        marks += [line((_LEFT, up(value)), (_RIGHT, up(value)), "grid")]
        marks += [label((_LEFT - 6, up(value) + 4), written(value, row.unit), "end")]
    ticks = across.ticks()
    every = -(-len(ticks) // 5)
    for value in ticks[::every]:
        marks += [line((across(value), _TOP), (across(value), _BOTTOM), "grid")]
        marks += [label((across(value), _BOTTOM + 18), tick_text(value))]
    middle = (_LEFT + _RIGHT) / 2
    return [*marks, label((middle, _BOTTOM + 42), "size of the file, logarithmic")]


def _whisker(point: Point, across: Scale, up: Scale) -> list[Markup]:
    interval = point.row.interval
    if interval is None or not (isfinite(interval.low) and isfinite(interval.high)):
        return []
    x = across(point.size)
    return [line((x, up(interval.low)), (x, up(interval.high)), f"whisker-line {run_class(point.run)}")]


def _mark(point: Point, across: Scale, up: Scale) -> Markup:
    row = point.row
    ratio = f", {times(row.compression_ratio)}" if row.compression_ratio else ""
    tip = f"{point.mark} {row.label}\n{row.primary_metric} {metric_text(row)}\n{row.num_bytes:,} bytes{ratio}"
    attributes: dict[str, str | float] = {
        "cx": across(point.size),
        "cy": up(point.value),
        "r": 5,
        "class": f"mark {run_class(point.run)}",
        "data-tip": tip,
    }
    return element("circle", attributes)


def _labels(points: Sequence[Point], across: Scale, up: Scale) -> list[Markup]:
    """The marks of points that lie on each other stand beside each other."""
    groups: list[tuple[float, float, list[str]]] = []
    for point in points:
        x, y = across(point.size), up(point.value)
        near = next((g for g in groups if abs(g[0] - x) < 16 and abs(g[1] - y) < 12), None)
        if near is None:
            groups.append((x, y, [point.mark]))
        else:
            near[2].append(point.mark)
    middle = (_LEFT + _RIGHT) / 2
    labels = []
    for x, y, names in groups:
        text = ", ".join(names) if len(names) <= _MOST_NAMED else f"{names[0]} and {len(names) - 1} more"
        labels.append(
            label((x + 8, y - 7), text, "start") if x < middle else label((x - 8, y - 7), text, "end")
        )
    return labels
