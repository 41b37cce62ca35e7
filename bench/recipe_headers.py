"""What a recipe says of itself in its header: the command, and blocks of what was measured.

A block names the folder of a committed result and has a line for each of its rows. Of several seeds each
figure is the median, with the lowest and the highest behind it where they differ.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from edgesqueeze.run.report import Report
from edgesqueeze.run.row import Row
from edgesqueeze.task.metrics.base import Unit

BLOCK = re.compile(r"# measured on (\S+) \((bench/results/[^\s()]+)\)(?:, seeds? [^:]*)?:")
_ROW = "#   "
_COMMANDS = ("# edgesqueeze ", "# python -m bench.")
TRAINED_APART = (
    "# What follows began from a checkpoint, that of `edgesqueeze train` on this recipe, whose training is "
    "the same."
)
"""Allowed in front of a block, if the result's command is just that."""


@dataclass(frozen=True)
class Block:
    """What was measured on ``data``: all lines, the first of which names ``folder``."""

    data: str
    folder: str
    lines: tuple[str, ...]
    trained_apart: bool = False


@dataclass(frozen=True)
class Header:
    """The comment that a recipe begins with; ``remarks`` are lines that are nothing of the rest."""

    description: tuple[str, ...]
    commands: tuple[str, ...]
    blocks: tuple[Block, ...]
    remarks: tuple[str, ...]


def read_header(text: str) -> Header:
    """The header of a recipe's text."""
    lines = header_lines(text)
    description: list[str] = []
    commands: list[str] = []
    blocks: list[Block] = []
    remarks: list[str] = []
    place = 0
    while place < len(lines):
        line, start = lines[place], place
        place += 1
        found = BLOCK.fullmatch(line)
        if found is not None:
            while place < len(lines) and lines[place].startswith(_ROW):
                place += 1
            apart = start > 0 and lines[start - 1] == TRAINED_APART
            blocks.append(Block(found[1], found[2], tuple(lines[start:place]), apart))
        elif line.startswith(_COMMANDS):
            commands.append(line.removeprefix("# "))
        elif not commands and not blocks:
            description.append(line)
        elif not (line == TRAINED_APART and place < len(lines) and BLOCK.fullmatch(lines[place])):
            remarks.append(line)
    return Header(tuple(description), tuple(commands), tuple(blocks), tuple(remarks))


def header_lines(text: str) -> list[str]:
    """The lines of a recipe's text before the first that is no comment."""
    lines = text.splitlines()
    end = next((place for place, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return lines[:end]


@dataclass(frozen=True)
class Figures:
    """The figures of a row, one of each run: of several seeds in their order."""

    label: str
    unit: Unit
    metrics: tuple[float, ...]
    changes: tuple[float, ...]
    sizes: tuple[int, ...] = ()
    ratios: tuple[float, ...] = ()

    @classmethod
    def of(cls, rows: Sequence[Row]) -> "Figures":
        """The figures of the rows that runs have in the same place."""
        first = rows[0]
        return cls(
            first.label,
            first.unit,
            tuple(row.primary or 0.0 for row in rows),
            tuple(row.metric_change or 0.0 for row in rows),
            tuple(row.num_bytes for row in rows if row.num_bytes is not None),
            tuple(row.compression_ratio for row in rows if row.compression_ratio is not None),
        )

    def of_run(self, place: int) -> "Figures":
        """Those of one run."""
        one = slice(place, place + 1)
        return replace(
            self,
            metrics=self.metrics[one],
            changes=self.changes[one],
            sizes=self.sizes[one],
            ratios=self.ratios[one],
        )

    def cells(self) -> list[str]:
        """Metric, change, bytes and ratio; of a simulated row the first two."""
        factor, unit = (1, "dB") if self.unit == "dB" else (100, "%")
        cells = [
            _spread([factor * value for value in self.metrics], "{:.2f}", f" {unit}"),
            _spread([factor * value for value in self.changes], "{:+.2f}"),
        ]
        if self.sizes:
            cells += [_spread(self.sizes, "{:,.0f}", " bytes"), _spread(self.ratios, "{:.2f}", "×")]
        return cells

    def line(self) -> str:
        """The row's line in a header."""
        worth, change, *size = self.cells()
        return f"{_ROW}{self.label:18} {worth}  {change}  {' '.join(size) or 'simulated'}"


def _spread(values: Sequence[float], form: str, unit: str = "") -> str:
    """The median, and the lowest and highest behind it if they are written otherwise."""
    middle, low, high = (form.format(value) for value in (median(values), min(values), max(values)))
    return f"{middle}{unit}" if low == high else f"{middle}{unit} ({low} to {high})"


def figures_of(reports: Sequence[Report]) -> list[Figures]:
    """The figures of one run, or of the same recipe with several seeds.

    Raises:
        ValueError: the runs have other rows.
    """
    labels = {tuple(row.label for row in report.rows) for report in reports}
    if len(labels) != 1:
        raise ValueError(
            "the runs have other rows: " + "; ".join(", ".join(found) for found in sorted(labels))
        )
    return [Figures.of(rows) for rows in zip(*(report.rows for report in reports), strict=True)]


def block_of(folder: str, figures: Sequence[Figures], seeds: Sequence[int] = ()) -> list[str]:
    """The lines of a block.

    Args:
        folder: of the result, from the root of the repository.
        figures: of its rows.
        seeds: of the runs, if it is of several.
    """
    which = ""
    if seeds:
        which = f", seeds {', '.join(map(str, seeds))}, median (lowest to highest)"
    first = f"# measured on {Path(folder).name} ({folder}){which}:"
    return [first, *(row.line() for row in figures)]


def block_of_result(root: Path, folder: str) -> list[str]:
    """The block of a committed result, of one run or of several seeds.

    Raises:
        OSError: a file is missing.
        ValueError: it is no JSON, or the runs have other rows.
        OutputError: a report is none.
    """
    data = _json(root / folder)
    if "seeds" not in data:
        return block_of(folder, figures_of([Report.from_json(data)]))
    runs = [Report.from_json(_json(root / f"{folder}_seed{seed}")) for seed in data["seeds"]]
    return block_of(folder, figures_of(runs), data["seeds"])


def _json(folder: Path) -> Any:
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


def with_block(text: str, block: Sequence[str], command: str) -> str:
    """A recipe's text with a block in place of the one of the same data, or behind all others.

    What stood between the block before and this one said how this one had come about, and goes with it.

    Args:
        text: of the recipe.
        block: its lines.
        command: that made the result; it takes its place behind the other commands if it is not there.
    """
    lines = header_lines(text)
    rest = text.splitlines()[len(lines) :]
    data = f"# measured on {block[0].split()[3]} "
    start = next((place for place, line in enumerate(lines) if line.startswith(data)), len(lines))
    stop = start
    if start < len(lines):
        stop += 1
        while stop < len(lines) and lines[stop].startswith(_ROW):
            stop += 1
        while start > 1 and not lines[start - 1].startswith((_ROW, *_COMMANDS)):
            start -= 1
    lines[start:stop] = block
    if f"# {command}" not in lines:
        last = max((i for i, line in enumerate(lines) if line.startswith(_COMMANDS)), default=0)
        lines.insert(last + 1, f"# {command}")
    return "\n".join([*lines, *rest]) + "\n"
