"""What a page is made of, before it is HTML: blocks of tables, pictures and sentences."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from markupsafe import Markup

from edgesqueeze.page.svg import rect, strip

MOST_ROOM = 16
"""Characters for which the style sheet has a width."""


@dataclass(frozen=True)
class Column:
    """A column of a table; ``wide`` ones hold pictures and take what room there is."""

    title: str
    numeric: bool = True
    wide: bool = False


@dataclass(frozen=True)
class Cell:
    """A cell: its text, what it is sorted by, a picture beside the text, and what is said when pointed at.

    A cell without ``key`` is sorted by its text if it has one that is not numeric, else behind all others.
    ``kind`` is a class of the style sheet; ``room`` are the characters that the text takes at least, so that
    the pictures of a column are equally long.
    """

    text: str
    key: float | str | None = None
    picture: Markup | None = None
    tip: str = ""
    kind: str = ""
    room: int = 0


@dataclass(frozen=True)
class Table:
    """Rows below a header; the first cell of a row names it. ``folded`` is the line it is folded behind."""

    form: ClassVar[str] = "table"
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    sortable: bool = True
    folded: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Figure:
    """A picture with its title above it, and sentences below."""

    title: str
    picture: Markup
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Figures:
    """Pictures side by side, as many as there is room for.

    ``wide`` ones take a line each, their notes beside them; ``three`` stand three to a line.
    """

    form: ClassVar[str] = "figures"
    figures: Sequence[Figure]
    kind: Literal["", "wide", "three"] = ""


@dataclass(frozen=True)
class Legend:
    """Which class means what."""

    form: ClassVar[str] = "legend"
    entries: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Remarks:
    """Sentences, one under the other; ``folded`` as of a table."""

    form: ClassVar[str] = "remarks"
    lines: Sequence[str]
    folded: str = ""


@dataclass(frozen=True)
class Judgement:
    """The answer to a question; ``status`` is a class too: ``ok``, ``fired``, ``doubt`` or ``unasked``."""

    status: str
    word: str
    question: str
    sentences: Sequence[str]


@dataclass(frozen=True)
class Judgements:
    """Questions with their answers; those that hold are folded away."""

    form: ClassVar[str] = "judgements"
    open: Sequence[Judgement]
    folded: Sequence[Judgement]


@dataclass(frozen=True)
class Tile:
    """A number that is seen first."""

    title: str
    value: str
    note: str
    status: str = ""


@dataclass(frozen=True)
class Tiles:
    """Several of them."""

    form: ClassVar[str] = "tiles"
    tiles: Sequence[Tile]


@dataclass(frozen=True)
class Code:
    """A text as it is in a file, folded away behind its name."""

    form: ClassVar[str] = "code"
    folded: str
    text: str


@dataclass(frozen=True)
class Beside:
    """Tables beside each other where there is room."""

    form: ClassVar[str] = "beside"
    tables: Sequence[Table]


Part = Table | Beside | Figures | Legend | Remarks | Judgements | Tiles | Code


@dataclass(frozen=True)
class Block:
    """A card of the page: ``name`` is the end of its address, ``lead`` says how to read it."""

    name: str
    title: str
    lead: str
    parts: Sequence[Part]


def with_bars(cells: Sequence[Cell], kind: str, largest: float | None = None) -> list[Cell]:
    """Numbers with a bar beside each, as long as its share of the largest; none where there is no number."""
    keys = [cell.key for cell in cells if isinstance(cell.key, int | float)]
    most = max(keys, default=0) if largest is None else largest
    drawn = [
        replace(cell, picture=strip(rect(0, 1, max(100 * cell.key / most, 0), 8, kind)))
        if isinstance(cell.key, int | float) and most > 0
        else cell
        for cell in cells
    ]
    return aligned(drawn)


def aligned(cells: Sequence[Cell]) -> list[Cell]:
    """Cells of one column whose pictures are equally long, since their texts take the same room."""
    room = min(max((len(cell.text) for cell in cells), default=0), MOST_ROOM)
    return [replace(cell, room=room) for cell in cells]
