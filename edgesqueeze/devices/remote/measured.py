"""What was measured on a device, as tables and as JSON. A measurement that is not valid has no number."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from tabulate import tabulate

from edgesqueeze.text.columns import narrow_table, wrapped
from edgesqueeze.text.printable import printable_lines

_UNKNOWN = "?"
_HEADER = ("file", "runtime", "threads", "ms", "between", "first ms", "load ms")
_SUSTAINED_HEADER = ("file", "runtime", "threads", "s", "burst ms", "sustained ms", "slower")
_SUSTAINED_NOTE = (
    "Without a rest: burst is the median of the first 5 seconds, sustained that of the last third, both of "
    "windows of a second."
)
_FACTS = (
    *(("cpu", "{}"), ("governor", "governor {}"), ("mhz", "{:.0f} MHz"), ("celsius", "{:.0f} °C")),
    *(
        ("battery_celsius", "battery {:.0f} °C"),
        ("battery_percent", "battery {} %"),
        ("powered", "powered {}"),
    ),
    *(("thermal", "thermal status {}"), ("throttled", "throttled {:#x}"), ("load", "load {:.2f}")),
    ("available_mb", "{} MB free"),
)
"""What is said of a state, where the device says it."""


@dataclass(frozen=True)
class Sustained:
    """One file for ``seconds`` without a rest; ``invalid`` says why its times are None."""

    seconds: float
    inferences: int
    burst_s: float | None
    sustained_s: float | None
    invalid: str | None
    states: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Measured:
    """One file in one runtime with so many threads, in seconds; ``invalid`` says why they are None.

    ``between`` says what ``low_s`` and ``high_s`` are, and of what ``time_s`` is the middle. ``states`` are
    the device's before, during and after.
    """

    file: str
    runtime: str
    threads: int
    time_s: float | None
    low_s: float | None
    high_s: float | None
    first_s: float | None
    load_s: float | None
    between: str
    invalid: str | None
    states: tuple[Mapping[str, Any], ...] = ()
    sustained: Sustained | None = None

    def valid_only(self) -> "Measured":
        """The same without numbers if it is not valid."""
        if self.invalid is None:
            return self
        return replace(self, time_s=None, low_s=None, high_s=None, first_s=None, load_s=None)


@dataclass(frozen=True)
class DeviceBench:
    """What a device said: ``about`` in words what it is, ``missing`` why which files have no row."""

    device: str
    about: str
    rows: tuple[Measured, ...]
    missing: Mapping[str, str] = field(default_factory=dict)

    def text(self) -> str:
        """Tables for a terminal, and what was found beside times."""
        rows = [_cells(row) for row in self.rows]
        parts = [printable_lines(f"{self.device}: {self.about}"), narrow_table(_HEADER, rows)]
        long = [_sustained_cells(row) for row in self.rows if row.sustained is not None]
        if long:
            parts += [narrow_table(_SUSTAINED_HEADER, long), wrapped(_SUSTAINED_NOTE)]
        return "\n\n".join([*parts, *(wrapped(printable_lines(text)) for text in self._notes())])

    def markdown(self) -> str:
        """The same in Markdown."""
        parts = [f"{self.device}: {self.about}", _table(_HEADER, [_cells(row) for row in self.rows])]
        long = [_sustained_cells(row) for row in self.rows if row.sustained is not None]
        if long:
            parts += [_table(_SUSTAINED_HEADER, long), _SUSTAINED_NOTE]
        return printable_lines("\n\n".join([*parts, *self._notes()]))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    def _notes(self) -> list[str]:
        notes = [f"between: {', '.join(sorted({row.between for row in self.rows}))}."]
        invalid = [f"- {_name(row)}: invalid, {row.invalid}" for row in self.rows if row.invalid is not None]
        long = [(row, row.sustained) for row in self.rows if row.sustained is not None]
        invalid += [
            f"- {_name(row)}, sustained: invalid, {s.invalid}" for row, s in long if s.invalid is not None
        ]
        missing = [f"- {name}: {why}" for name, why in self.missing.items()]
        notes += ["\n".join([*invalid, *missing])] if invalid or missing else []
        states = [state for row in self.rows for state in row.states]
        return notes + ([f"Before: {said_of(states[0])}. After: {said_of(states[-1])}."] if states else [])


def measured_there(row: Mapping[str, Any]) -> Measured:
    """A row that benchmark.py has printed."""
    sustained = row["sustained"]
    return Measured(
        file=row["file"],
        runtime=row["runtime"],
        threads=row["threads"],
        time_s=row["median_s"],
        low_s=row["p25_s"],
        high_s=row["p75_s"],
        first_s=row["first_s"],
        load_s=row["load_s"],
        between=QUARTILES,
        invalid=row["invalid"],
        states=(row["before"], *row["during"], row["after"]),
        sustained=None
        if sustained is None
        else Sustained(**{**sustained, "states": tuple(sustained["states"])}),
    ).valid_only()


QUARTILES = "the quartiles of the rounds, ms their median"


def said_of(state: Mapping[str, Any]) -> str:
    """What a device says of itself at one moment."""
    known = [(form, state.get(name)) for name, form in _FACTS]
    return ", ".join(form.format(value) for form, value in known if value is not None)


def _name(row: Measured) -> str:
    return f"{row.file} ({row.runtime}, {row.threads} thread{'s' if row.threads > 1 else ''})"


def _cells(row: Measured) -> list[str]:
    low, high = _milliseconds(row.low_s), _milliseconds(row.high_s)
    between = _UNKNOWN if row.low_s is None else f"{low}–{high}"
    ends = [_milliseconds(row.first_s), _milliseconds(row.load_s)]
    return [row.file, row.runtime, str(row.threads), _milliseconds(row.time_s), between, *ends]


def _sustained_cells(row: Measured) -> list[str]:
    found = row.sustained
    assert found is not None
    slower = _UNKNOWN
    if found.burst_s and found.sustained_s:
        slower = f"{found.sustained_s / found.burst_s:.3f}×"
    times = [_milliseconds(found.burst_s), _milliseconds(found.sustained_s)]
    return [row.file, row.runtime, str(row.threads), f"{found.seconds:.0f}", *times, slower]


def _milliseconds(seconds: float | None) -> str:
    return _UNKNOWN if seconds is None else f"{1e3 * seconds:.3f}"


def _table(header: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    alignment = ("left", "left", *("right",) * (len(header) - 2))
    return tabulate(body, headers=header, tablefmt="github", colalign=alignment, disable_numparse=True)
