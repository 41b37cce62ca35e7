"""Several runs beside each other: all rows in one table, all points in one picture."""

from collections.abc import Hashable, Sequence

from edgesqueeze.page.blocks.rows import row_cells, row_columns
from edgesqueeze.page.blocks.trade import Point, points_of, runs_legend, scatter
from edgesqueeze.page.facts import RunFacts
from edgesqueeze.page.view import Block, Cell, Column, Figures, Part, Remarks, Table
from edgesqueeze.run.row_tables import SIMULATED

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def letter(number: int) -> str:
    """What marks the points of a run, from 1: A to Z, then its number with a stop behind it."""
    return _LETTERS[number - 1] if number <= len(_LETTERS) else f"{number}."


def together_blocks(runs: Sequence[RunFacts]) -> list[Block]:
    """The points and the table; points stand in one picture where metric and test data are the same."""
    points = [point for i, run in enumerate(runs, start=1) for point in points_of(run, i, letter(i))]
    groups: dict[Hashable, list[Point]] = {}
    for point in points:
        groups.setdefault(_measured_by(runs[point.run - 1]), []).append(point)
    names = [f"{letter(i)}: {run.name}, in {run.directory}" for i, run in enumerate(runs, start=1)]
    parts: list[Part] = [Remarks(names), runs_legend(runs)]
    parts += [Figures([scatter(group)], kind="wide") for group in groups.values()]
    if len(groups) > 1:
        parts.append(
            Remarks(["Runs with another metric, or another test split, have a picture of their own."])
        )
    lead = (
        "Letter and number say which run and which of its rows a point is. The stepped line joins the "
        "files that no other of the picture beats in both; thin lines are 95 % intervals."
    )
    return [Block("together", "All runs: metric against size", lead, parts), _table(runs)]


def _measured_by(run: RunFacts) -> Hashable:
    first, report = run.report.rows[0], run.report
    return first.primary_metric, first.unit, report.test_examples, report.environment.get("data_fingerprint")


def _table(runs: Sequence[RunFacts]) -> Block:
    metrics = list(dict.fromkeys(run.report.rows[0].primary_metric for run in runs))
    rows = [
        [
            Cell(
                f"{letter(i)}{j} {row.label}{f' ({SIMULATED})' if row.simulated else ''}",
                1000 * i + j,
                kind="name",
            ),
            Cell(run.name, run.name),
            *row_cells(row),
        ]
        for i, run in enumerate(runs, start=1)
        for j, row in enumerate(run.report.rows, start=1)
    ]
    columns = [Column("row", numeric=False), Column("run", numeric=False), *row_columns(" or ".join(metrics))]
    lead = (
        "Change, p and ratio are against each run's own baseline. Times of different runs were not taken "
        "turn by turn; compare them only where both machines were alike and quiet."
    )
    return Block(
        "all-rows", "All runs: all numbers", lead, [Table("Rows of all runs", columns, rows, kind="tall")]
    )
