"""Times beside that of a baseline: a dot for each file, and the interval that it lies in."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from edgesqueeze.measure.bench.row import BenchRow, Ratios
from edgesqueeze.numerics.time_ratios import MARGIN, Verdict
from edgesqueeze.page.svg import Attribute, Scale, chart, element, label, line, rect
from edgesqueeze.page.view import Figure
from edgesqueeze.text.digits import short_times, significant, three_digits

VERDICTS = {
    Verdict.BETTER: ("dot-better", "better: the whole interval lies beyond 3 %"),
    Verdict.SAME: ("dot-same", "same: the whole interval lies within 3 %"),
    Verdict.WORSE: ("dot-worse", "worse"),
    Verdict.UNKNOWN: ("dot-unknown", "cannot tell"),
}
"""What a verdict is drawn as, and what it means."""
_WIDTH, _LEFT, _RIGHT, _TOP, _STEP = 380, 132, 366, 8, 20
_MOST_LETTERS = 20


@dataclass(frozen=True)
class _Dot:
    name: str
    ratios: Ratios
    ratio: float

    @property
    def ends(self) -> tuple[float, float]:
        """The ends of the interval; the ratio itself where there is none."""
        low, high = self.ratios.latency_low, self.ratios.latency_high
        return (self.ratio, self.ratio) if low is None or high is None else (low, high)

    @property
    def tip(self) -> str:
        """What is said when it is pointed at."""
        low, high = self.ends
        between = (
            "one process, no interval"
            if low == high
            else f"99 %: {three_digits(low)} to {three_digits(high)}"
        )
        return f"{self.name}\n{short_times(self.ratio)} as fast, {between}\n{self.ratios.verdict}"


def dots(rows: Sequence[BenchRow], baseline: str, title: str) -> Figure | None:
    """The files of one setting, the fastest first; None where none has a time beside the baseline's."""
    found = [
        _Dot(row.title, row.ratios, row.ratios.latency)
        for row in rows
        if row.ratios is not None and row.ratios.latency is not None
    ]
    if not found:
        return None
    found.sort(key=lambda dot: -dot.ratio)
    ends = [end for dot in found for end in dot.ends]
    across = Scale(min(*ends, 0.8) / 1.1, max(*ends, 1.25) * 1.1, _LEFT, _RIGHT, logarithmic=True)
    bottom = _TOP + _STEP * len(found)
    marks = [*_ground(across, bottom)]
    for number, dot in enumerate(found):
        marks += _marks(dot, _TOP + _STEP * (number + 0.5), across)
    marks.append(label(((_LEFT + _RIGHT) / 2, bottom + 34), f"times as fast as {_short(baseline)}"))
    verdicts = [f"{dot.name} {short_times(dot.ratio)}, {dot.ratios.verdict}" for dot in found]
    picture = chart((_WIDTH, bottom + 42), title, f"{'; '.join(verdicts)}.", *marks)
    return Figure(title, picture)


def _ground(across: Scale, bottom: float) -> list[Markup]:
    low, high = across(1 / (1 + MARGIN)), across(1 + MARGIN)
    marks = [rect(low, _TOP, high - low, bottom - _TOP, "within")]
    ticks = across.ticks()
    for value in ticks[:: -(-len(ticks) // 6)]:
        marks.append(line((across(value), _TOP), (across(value), bottom), "grid"))
        marks.append(label((across(value), bottom + 15), f"{significant(value, 3)}×"))
    return [*marks, line((across(1.0), _TOP), (across(1.0), bottom), "axis")]


def _marks(dot: _Dot, y: float, across: Scale) -> list[Markup]:
    kind, _ = VERDICTS[dot.ratios.verdict]
    low, high = dot.ends
    attributes: dict[str, Attribute] = {
        "cx": across(dot.ratio),
        "cy": y,
        "r": 4,
        "class": f"mark {kind}",
        "data-tip": dot.tip,
    }
    return [
        label((_LEFT - 8, y + 4), _short(dot.name), "end"),
        line((across(low), y), (across(high), y), f"interval {kind}"),
        element("circle", attributes),
    ]


def _short(name: str) -> str:
    """A name with its end, which tells files apart."""
    return name if len(name) <= _MOST_LETTERS else f"…{name[1 - _MOST_LETTERS :]}"
