"""SVG as text: elements whose attributes are escaped, and the scales that place them.

Nothing here has a ``style`` attribute, so that the page's Content-Security-Policy can forbid them: colours
are classes, which also lets a theme and a printer change them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, isclose, log10

from markupsafe import Markup

Attribute = str | int | float
_STEPS = (1, 2, 5, 10)


def element(name: str, attributes: Mapping[str, Attribute], *children: Markup | str) -> Markup:
    """An element; text among its children is escaped, numbers have two digits behind the point."""
    written = Markup("").join(Markup(' {}="{}"').format(key, _number(v)) for key, v in attributes.items())
    content = Markup("").join(children)
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), written, content)


def chart(size: tuple[int, int], title: str, description: str, *marks: Markup) -> Markup:
    """A whole picture: read out by its title and description, and walked through with the arrow keys.

    Args:
        size: width and height of its coordinates; on the page it is as wide as there is room.
        title: its name.
        description: what it shows, in a sentence.
        marks: what is in it; those with a ``data-tip`` are stops of the arrow keys.
    """
    attributes: dict[str, Attribute] = {
        "viewBox": f"0 0 {size[0]} {size[1]}",
        "class": "chart",
        "role": "img",
        "tabindex": 0,
        "aria-label": f"{title}. {description}",
    }
    return element("svg", attributes, *marks)


def strip(*marks: Markup) -> Markup:
    """A picture in a cell of a table, 100 wide and 10 high and stretched to the cell, beside its number."""
    attributes = {
        "viewBox": "0 0 100 10",
        "preserveAspectRatio": "none",
        "class": "strip",
        "aria-hidden": "true",
    }
    return element("svg", attributes, *marks)


def rect(x: float, y: float, width: float, height: float, kind: str, tip: str = "") -> Markup:
    """A rectangle of a class; its tip, if any, is shown when it is pointed at."""
    attributes: dict[str, Attribute] = {"x": x, "y": y, "width": width, "height": height, "class": kind}
    return element("rect", attributes | ({"data-tip": tip} if tip else {}))


def line(start: tuple[float, float], end: tuple[float, float], kind: str) -> Markup:
    """A straight line of a class."""
    return element("line", {"x1": start[0], "y1": start[1], "x2": end[0], "y2": end[1], "class": kind})


def path(points: Sequence[tuple[float, float]], kind: str, *, closed: bool = False) -> Markup:
    """Straight lines through points."""
    steps = " ".join(f"{'L' if i else 'M'}{x:.4g} {y:.4g}" for i, (x, y) in enumerate(points))
    return element("path", {"d": f"{steps}{'Z' if closed else ''}", "class": kind})


def label(place: tuple[float, float], text: str, anchor: str = "middle") -> Markup:
    """A text at a point: ``start``, ``middle`` or ``end`` of it."""
    return element("text", {"x": place[0], "y": place[1], "text-anchor": anchor}, text)


@dataclass(frozen=True)
class Scale:
    """From values to places: ``low`` to ``start``, ``high`` to ``end``, evenly or by their logarithms."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        """The place of a value."""
        low, high, value = (
            (log10(self.low), log10(self.high), log10(value))
            if self.logarithmic
            else (self.low, self.high, value)
        )
        share = 0.5 if isclose(low, high) else (value - low) / (high - low)
        return self.start + share * (self.end - self.start)

    def ticks(self, most: int = 6) -> list[float]:
        """Round values from low to high, at most about so many."""
        return _decades(self.low, self.high) if self.logarithmic else _even(self.low, self.high, most)


def _even(low: float, high: float, most: int) -> list[float]:
    if not high > low:
        return [low]
    rough = (high - low) / most
    power = 10.0 ** floor(log10(rough))
    step = next(s * power for s in _STEPS if s * power >= rough * (1 - 1e-9))
    first = ceil(low / step - 1e-9)
    return [i * step for i in range(first, floor(high / step + 1e-9) + 1)]


def _decades(low: float, high: float) -> list[float]:
    steps = (1,) if high / low > 1e3 else _STEPS[:-1]
    powers = range(floor(log10(low)), ceil(log10(high)) + 1)
    return [s * 10.0**p for p in powers for s in steps if low <= s * 10.0**p <= high]


def _number(value: Attribute) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
