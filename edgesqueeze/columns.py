"""Text that fits a terminal: lines of at most a hundred columns."""

import textwrap
from collections.abc import Sequence

from tabulate import tabulate

WIDTH = 100
_GAP = 2
"""Between two columns of a table, and what tabulate puts beside a header that is wider than all below it."""
_LEAST = 12
"""Of a name, so many characters are shown at least."""


def wrapped(text: str, indent: int = 0) -> str:
    """Every line broken between words; what goes on is set in by ``indent``, of an item of a list by two."""
    lines = (
        textwrap.fill(line, WIDTH, subsequent_indent=" " * (2 if line.startswith("- ") else indent))
        for line in text.splitlines()
    )
    return "\n".join(lines)


def shortened(text: str, width: int) -> str:
    """A text that is too long without its middle: names of files differ at both ends."""
    if len(text) <= width:
        return text
    tail = (width - 1) // 2
    return f"{text[: width - 1 - tail]}…{text[len(text) - tail :]}"


def fitting(header: Sequence[str], body: Sequence[Sequence[str]]) -> int:
    """How many columns, from the left, fit beside the shortest form of the first."""
    used = _LEAST
    for count, column in enumerate(_columns(header, body), start=1):
        used += _width(column)
        if used > WIDTH:
            return count
    return len(header)


def narrow_table(header: Sequence[str], body: Sequence[Sequence[str]], tablefmt: str = "simple") -> str:
    """A table of names and numbers; names are shortened to what the numbers leave of a line."""
    room = max(WIDTH - sum(map(_width, _columns(header, body))), _LEAST)
    rows = [[shortened(row[0], room), *row[1:]] for row in body]
    names = [shortened(header[0], room - _GAP), *header[1:]]
    alignment = ("left", *("right",) * (len(header) - 1))
    return tabulate(rows, headers=names, tablefmt=tablefmt, colalign=alignment, disable_numparse=True)


def _columns(header: Sequence[str], body: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """The columns behind the first, each with its header on top."""
    return list(zip(header, *body, strict=True))[1:]


def _width(column: Sequence[str]) -> int:
    """What a column takes of a line, the gap in front of it included."""
    return _GAP + max(len(column[0]) + _GAP, *map(len, column[1:]))
