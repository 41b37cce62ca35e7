"""Text that fits a terminal: lines of at most a hundred columns."""

import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence

from tabulate import tabulate

WIDTH = 100
_GAP = 2
"""Between two columns of a table."""
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


def ends_of_paths(names: Iterable[str]) -> dict[str, str]:
    """Each path by as much of its end as no other has, with ``…/`` in front if that is shorter."""
    parts = {name: name.split("/") for name in names}
    found = {}
    for name, own in parts.items():
        others = [other for other in parts.values() if other is not own]
        count = next((k for k in range(1, len(own)) if all(o[-k:] != own[-k:] for o in others)), len(own))
        found[name] = min(name, f"…/{'/'.join(own[-count:])}", key=len)
    return found


def fitting(header: Sequence[str], body: Sequence[Sequence[str]]) -> int:
    """How many columns, from the left, fit beside the shortest form of the first."""
    used = _LEAST
    for count, column in enumerate(_columns(header, body), start=1):
        used += _width(column)
        if used > WIDTH:
            return count
    return len(header)


def names_fit(header: Sequence[str], body: Sequence[Sequence[str]]) -> bool:
    """Whether no name has to be shortened."""
    return max(len(row[0]) for row in [header, *body]) <= _room(header, body)


def narrow_table(header: Sequence[str], body: Sequence[Sequence[str]], tablefmt: str = "simple") -> str:
    """A table of names and numbers; names are shortened to what the numbers leave of a line.

    Names that would look alike then are numbered, and stand in full below the table.
    """
    room = max(_room(header, body), _LEAST)
    shown, alike = _shown({row[0]: None for row in body}, room)
    rows = [[shown[row[0]], *row[1:]] for row in body]
    names = [shortened(header[0], room), *header[1:]]
    table = _plain(names, rows) if tablefmt == "simple" else _tabulated(names, rows, tablefmt)
    return "\n".join([table, *(["", *map(wrapped, alike)] if alike else [])])


def _shown(names: Iterable[str], room: int) -> tuple[dict[str, str], list[str]]:
    """How each name is shown, and those in full of which several would look alike."""
    shown = {name: shortened(name, room) for name in names}
    counts = Counter(shown.values())
    alike = [name for name, short in shown.items() if counts[short] > 1]
    for number, name in enumerate(alike, start=1):
        mark = f" [{number}]"
        shown[name] = shortened(name, room - len(mark)) + mark
    return shown, [f"[{number}] {name}" for number, name in enumerate(alike, start=1)]


def _plain(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """As tabulate's simple format, but without the room that it puts beside headers."""
    columns = list(zip(header, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    lines = [header, ["-" * width for width in widths], *rows]
    gap = " " * _GAP
    return "\n".join(
        gap.join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _tabulated(header: Sequence[str], rows: Sequence[Sequence[str]], tablefmt: str) -> str:
    alignment = ("left", *("right",) * (len(header) - 1))
    return tabulate(rows, headers=header, tablefmt=tablefmt, colalign=alignment, disable_numparse=True)


def _room(header: Sequence[str], body: Sequence[Sequence[str]]) -> int:
    """What the other columns leave of a line."""
    return WIDTH - sum(map(_width, _columns(header, body)))


def _columns(header: Sequence[str], body: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """The columns behind the first, each with its header on top."""
    return list(zip(header, *body, strict=True))[1:]


def _width(column: Sequence[str]) -> int:
    """What a column takes of a line, the gap in front of it included."""
    return _GAP + max(map(len, column))
