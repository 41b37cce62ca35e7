"""How numbers are written on a page."""

from collections.abc import Sequence

_PREFIXES = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
NOTHING = "–"


def size_text(num_bytes: float | None) -> str:
    """Bytes with three digits: 38.1 kB is 38,050 bytes."""
    if num_bytes is None:
        return NOTHING
    for factor, unit in _PREFIXES:
        if num_bytes >= 0.9995 * factor:
            return f"{_three_digits(num_bytes / factor)} {unit}"
    return f"{num_bytes:.0f} B"


def tick_text(num_bytes: float) -> str:
    """A round number of bytes, for an axis."""
    factor, unit = next((pair for pair in _PREFIXES if num_bytes >= pair[0]), (1.0, "B"))
    return f"{num_bytes / factor:g} {unit}"


def count_text(value: int | None) -> str:
    """All digits, in groups."""
    return NOTHING if value is None else f"{value:,}"


def share_text(part: float, whole: float) -> str:
    """Percent."""
    return f"{100 * part / whole:.1f} %" if whole else NOTHING


def time_text(seconds: float | None) -> str:
    """Milliseconds with three digits; microseconds below a tenth."""
    if seconds is None:
        return NOTHING
    return f"{_three_digits(1e3 * seconds)} ms" if seconds >= 1e-4 else f"{_three_digits(1e6 * seconds)} µs"


def shape_text(shape: Sequence[int]) -> str:
    """Dimensions with a cross between them."""
    return "×".join(map(str, shape)) or "scalar"


def _three_digits(value: float) -> str:
    before_the_point = len(f"{value:.0f}") if value >= 0.9995 else 0
    return f"{value:,.{max(0, 3 - before_the_point)}f}"
