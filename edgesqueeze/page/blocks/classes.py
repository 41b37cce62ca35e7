"""Which classes are taken for which, and which lost most."""

from typing import Any

from edgesqueeze.page.facts import MOST_CLASSES, RunFacts
from edgesqueeze.page.view import Beside, Block, Cell, Column, Part, Table
from edgesqueeze.page.wording import NOTHING
from edgesqueeze.run.report import Row

_MOST_CONFUSIONS = 20
_SHADES = 9
_NO_ANSWER = "none"
_FIRST_CHOICE = ("recall", "IoU", "AP", "mAP")
"""The metric per class that is shown, in the order of preference; any other if there is none of these."""


def classes_block(run: RunFacts) -> Block | None:
    """The confusion matrix of the smallest file beside that of the baseline, and every class."""
    row = run.smallest or run.baseline
    confusion = row.details.get("confusion")
    per_class = row.details.get("per_class")
    if not confusion and not per_class:
        return None
    beside: list[Table] = []
    parts: list[Part] = []
    lead = f"As {row.label} answers. "
    if confusion:
        lead += (
            "A line is a true class, a column what was answered. The darker a cell, the larger its share "
            "of the class; blue cells are right, red ones wrong. "
        )
        parts.append(_confusions(run, row, confusion))
        if len(confusion) <= MOST_CLASSES:
            beside.append(_matrix(run, row, confusion))
            before = run.baseline.details.get("confusion")
            if before and run.baseline is not row:
                parts.append(_matrix(run, run.baseline, before, folded=f"The same of {run.baseline.label}"))
    if per_class:
        beside.insert(0, _per_class(run, per_class))
        lead += f"Listed from the worst on; before: as {run.baseline.label} answers. Changes in points."
    return Block("classes", "Classes", lead, [Beside(beside), *parts])


def _name(run: RunFacts, index: int) -> str:
    classes = run.report.classes
    return classes[index] if index < len(classes) else str(index)


def _per_class(run: RunFacts, per_class: dict[str, list[float | None]]) -> Table:
    metric = next((name for name in _FIRST_CHOICE if name in per_class), next(iter(per_class)))
    before = run.baseline.details.get("per_class", {}).get(metric)
    lines = []
    for index, value in enumerate(per_class[metric]):
        old = before[index] if before and index < len(before) else None
        change = None if value is None or old is None else value - old
        lines.append(
            (
                float("inf") if value is None else value,
                [
                    Cell(_name(run, index), _name(run, index), kind="name"),
                    Cell(NOTHING if value is None else f"{100 * value:.1f} %", value),
                    Cell(NOTHING if old is None else f"{100 * old:.1f} %", old),
                    Cell(
                        NOTHING if change is None else f"{round(100 * change, 1) + 0.0:+.1f}",
                        change,
                        kind=_direction(change),
                    ),
                ],
            )
        )
    rows = [cells for _, cells in sorted(lines, key=lambda entry: entry[0])]
    columns = [
        Column("class", numeric=False),
        Column(metric),
        Column("before"),
        Column("change"),
    ]
    return Table("Classes, the worst first", columns, rows, kind="tall")


def _direction(change: float | None) -> str:
    return "" if change is None or abs(change) < 0.02 else "worse" if change < 0 else "better"


def _confusions(run: RunFacts, row: Row, confusion: list[list[int]]) -> Table:
    cells = [
        (count, target, answer)
        for target, counts in enumerate(confusion)
        for answer, count in enumerate(counts)
        if count and answer != target
    ]
    rows = [
        [
            Cell(_name(run, target), _name(run, target), kind="name"),
            Cell(_answer(run, confusion, answer), _answer(run, confusion, answer)),
            Cell(f"{count:,}", count),
            Cell(f"{100 * count / sum(confusion[target]):.1f} %", count / sum(confusion[target])),
        ]
        for count, target, answer in sorted(cells, key=lambda cell: -cell[0])[:_MOST_CONFUSIONS]
    ]
    columns = [
        Column("true class", numeric=False),
        Column("answer", numeric=False),
        Column("images"),
        Column("of the class"),
    ]
    shown = min(len(cells), _MOST_CONFUSIONS)
    folded = f"What {row.label} takes for what: {shown} of {len(cells)} kinds of mistakes"
    return Table("Mistakes", columns, rows, folded=folded)


def _answer(run: RunFacts, confusion: list[list[int]], answer: int) -> str:
    return _NO_ANSWER if answer >= len(confusion) else _name(run, answer)


def _matrix(run: RunFacts, row: Row, confusion: list[list[int]], folded: str = "") -> Table:
    width = len(confusion[0])
    rows: list[list[Cell]] = []
    for target, counts in enumerate(confusion):
        total: Any = sum(counts) or 1
        name = _name(run, target)
        cells = [
            Cell(
                str(count) if count else "",
                kind=_shade(count / total, answer == target) if count else "",
                tip=f"{name} taken for {_answer(run, confusion, answer)}\n{count:,} of {total:,} images"
                if count
                else "",
            )
            for answer, count in enumerate(counts)
        ]
        rows.append([Cell(name, kind="name"), *cells])
    columns = [Column("", numeric=False), *(Column(_answer(run, confusion, a)) for a in range(width))]
    return Table(
        f"Confusion matrix of {row.label}", columns, rows, sortable=False, folded=folded, kind="matrix"
    )


def _shade(share: float, right: bool) -> str:
    return f"{'right' if right else 'wrong'} shade-{max(1, min(_SHADES, round(share * _SHADES)))}"
