"""How numbers are written for readers: large ones in groups and never with an exponent."""

from math import isclose, isfinite

_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def significant(value: float, digits: int, sign: str = "") -> str:
    """A number with so many digits that count: 0.0123, 1.5e-07, 1,470.

    Args:
        value: any number.
        digits: how many; zeros at the end are left out behind the point and written before it.
        sign: "+" where gains are marked too.
    """
    text = f"{value:{sign},.{digits}g}"
    return f"{float(text):{sign},.0f}" if "e+" in text and isfinite(value) else text


def times(value: float, decimals: int = 2) -> str:
    """A ratio: 0.85×, 1,373.68×."""
    return f"{value:,.{decimals}f}×"


def three_digits(value: float) -> str:
    """A number with three digits that count, zeros at the end too: 0.847, 1.00, 23.5, 1,370."""
    if not 0.1 <= value < 999.5:
        return significant(value, 3)
    before_the_point = len(f"{value:.0f}") if value >= 0.9995 else 0
    return f"{value:.{3 - before_the_point}f}"


def short_times(value: float) -> str:
    """A ratio with three digits: 0.847×, 23.5×, 1,370×."""
    return f"{three_digits(value)}×"


def short_count(value: int) -> str:
    """A count with three digits and a prefix of SI: 266 k, 1.81 G."""
    for factor, prefix in _PREFIXES:
        if value >= 0.9995 * factor:
            return f"{three_digits(value / factor)} {prefix}"
    return str(value)


def limit(value: float) -> str:
    """The end of a range: whole where it is, or else with four digits that count: 65,535, -0.4242."""
    return f"{value:,.0f}" if isclose(value, round(value)) else significant(value, 4)


def span(low: float, high: float, digits: int) -> str:
    """From one number to another: 0.012 to 1.5."""
    return f"{significant(low, digits)} to {significant(high, digits)}"
