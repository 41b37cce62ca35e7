"""How a metric and a change of it are written."""

from edgesqueeze.task.metrics.base import Unit
from edgesqueeze.text.digits import significant


def written(value: float | None, unit: Unit) -> str:
    """A metric in its unit."""
    if value is None:
        return "–"
    match unit:
        case "share":
            return f"{100 * value:.2f} %"
        case "dB":
            return f"{value:.2f} dB"
        case "number":
            return significant(value, 5)


def written_change(change: float, unit: Unit, sign: str = "") -> str:
    """A change in its unit; ``sign`` is "+" where gains are marked too."""
    match unit:
        case "share":
            return f"{100 * change:{sign}.2f} points"
        case "dB":
            return f"{change:{sign}.2f} dB"
        case "number":
            return significant(change, 3, sign)
