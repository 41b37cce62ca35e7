"""One TFLite file on a phone: compared and timed by our interpreter, or timed by ``benchmark_model``."""

import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgesqueeze.devices.native.interpreter import NAME, Times, read_times, read_windows
from edgesqueeze.devices.remote.measured import QUARTILES, Measured, Sustained
from edgesqueeze.devices.remote.phone import Phone, State
from edgesqueeze.errors import DeviceError, ParityError
from edgesqueeze.measure.bench.sustained import sustained_of

_MODERATE = 2
"""Android's thermal status from which on clocks are lowered."""
_LEAST_SHARE = 0.5
"""Of a processor, that our program must have had."""
_LOOK_S = 10.0
_TIMES = re.compile(
    r"Inference timings in us: Init: ([\d.e+]+), First inference: ([\d.e+]+), "
    r"Warmup \(avg\): ([\d.e+]+), Inference \(avg\): ([\d.e+]+)"
)
_SPREAD = re.compile(r"count=(\d+) .*?min=(\d+) max=(\d+) .*?std=([\d.e+]+)")


@dataclass(frozen=True)
class Subject:
    """A file: where it is here, None if it lies in the phone's folder already; what it is given and answers.

    ``inputs`` and ``answers`` are the tensors' bytes, one input behind the other, and for each its outputs.
    """

    file: str
    path: Path | None
    inputs: bytes
    answers: bytes
    count: int

    @classmethod
    def of(cls, file: str, path: Path | None, inputs: Any, outputs: Sequence[Any]) -> "Subject":
        """From arrays [N, ...]."""
        parts = (np.ascontiguousarray(out[n]).tobytes() for n in range(len(inputs)) for out in outputs)
        return cls(file, path, np.ascontiguousarray(inputs).tobytes(), b"".join(parts), len(inputs))

    @property
    def first_input(self) -> bytes:
        """What is timed."""
        return self.inputs[: len(self.inputs) // self.count]


@dataclass(frozen=True)
class Rounds:
    """How often is timed, how long without a rest; with how many threads where the program has them."""

    rounds: int = 50
    warm_up_s: float = 2.0
    sustained_s: float | None = None
    threads: int = 1


@dataclass
class _Watch:
    """States of a phone, taken beside what runs on it."""

    phone: Phone
    states: list[State] = field(default_factory=list)

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Look before, about a second after the beginning, every ten seconds, and afterwards."""
        ended = threading.Event()
        self.states.append(self.phone.state())
        thread = threading.Thread(target=self._look, args=(ended,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
        self.states.append(self.phone.state())

    def _look(self, ended: threading.Event) -> None:
        wait = 1.0
        while not ended.wait(wait):
            with suppress(DeviceError):  # what runs beside it says more
                self.states.append(self.phone.state())
            wait = _LOOK_S

    def facts(self) -> tuple[dict[str, Any], ...]:
        """As they are written down."""
        return tuple(asdict(state) for state in self.states)


def put(phone: Phone, there: str, path: Path, name: str, *, runs: bool = False) -> str:
    """Copy a file into the phone's folder; its name there.

    Raises:
        DeviceError: there is no room, or the connection is lost.
    """
    phone.push(path, f"{there}/{name}")
    if runs:
        phone.shell(["chmod", "755", f"{there}/{name}"])
    return f"{there}/{name}"


def _put_model(phone: Phone, there: str, subject: Subject) -> str:
    if subject.path is None:
        return f"{there}/{subject.file}"
    return put(phone, there, subject.path, subject.file)


def interpreted(phone: Phone, there: str, here: Path, subject: Subject, rounds: Rounds) -> Measured:
    """Let our interpreter answer and time a file; ``here`` has the program, and takes files of the moment.

    Raises:
        DeviceError: the file has something that the program does not know, or the connection is lost.
        ParityError: it answers otherwise.
    """
    program = put(phone, there, here / "infer", "infer", runs=True)
    model = _put_model(phone, there, subject)
    for name, content in (("inputs", subject.inputs), ("input", subject.first_input)):
        (here / name).write_bytes(content)
        put(phone, there, here / name, name)
    phone.shell([program, model, f"{there}/inputs", f"{there}/answers"])
    phone.pull(f"{there}/answers", here / "answers")
    if (here / "answers").read_bytes() != subject.answers:
        raise ParityError(f"{phone}: {subject.file} answers otherwise there than here")
    command = [program, model, f"{there}/input"]
    watch = _Watch(phone)
    with watch.looking():
        printed = phone.shell([*command, "--time", str(rounds.rounds), str(rounds.warm_up_s)], seconds=1800)
    row = _timed(subject.file, read_times(printed), watch)
    if rounds.sustained_s is None:
        return row
    watch = _Watch(phone)
    with watch.looking():
        seconds = 600 + 2 * rounds.sustained_s
        printed = phone.shell([*command, "--sustain", str(rounds.sustained_s)], seconds=seconds)
    return replace(row, sustained=_sustained(printed, watch))


def _timed(file: str, told: Times, watch: _Watch) -> Measured:
    low, middle, high = (float(q) for q in np.quantile(told.times_s, (0.25, 0.5, 0.75)))
    invalid = _hot(watch.states)
    if invalid is None and told.cpu_share < _LEAST_SHARE:
        invalid = f"the program had {100 * told.cpu_share:.0f} % of a processor only"
    if invalid is None and high > 1.5 * low:
        invalid = "the quartiles are more than half apart"
    ends, states = (told.first_s, told.load_s), watch.facts()
    return Measured(file, NAME, 1, middle, low, high, *ends, QUARTILES, invalid, states).valid_only()


def _sustained(printed: str, watch: _Watch) -> Sustained:
    told = read_windows(printed)
    found = sustained_of(told.ends_s, told.times_s, told.inferences, None, "")
    invalid = _hot(watch.states)
    burst, end = (found.burst_s, found.sustained_s) if invalid is None else (None, None)
    return Sustained(found.seconds, found.inferences, burst, end, invalid, watch.facts())


def benchmarked(phone: Phone, there: str, subject: Subject, rounds: Rounds) -> Measured:
    """Let LiteRT's ``benchmark_model``, which lies in the phone's folder, time a file.

    Raises:
        DeviceError: it cannot load the file, or the connection is lost.
    """
    model = _put_model(phone, there, subject)
    command = [f"{there}/benchmark_model", f"--graph={model}", f"--num_threads={rounds.threads}"]
    command += [f"--num_runs={rounds.rounds}", f"--warmup_min_secs={rounds.warm_up_s:g}"]
    watch = _Watch(phone)
    with watch.looking():
        printed = phone.shell(command, seconds=1800)
    row = read_timing(subject.file, printed, watch.states)
    return replace(row, threads=rounds.threads)


def read_timing(file: str, printed: str, states: Sequence[State]) -> Measured:
    """What ``benchmark_model`` printed of a file.

    Args:
        file: its name.
        printed: all of it.
        states: of the device before, during and after.

    Raises:
        DeviceError: it printed no times.
    """
    times, spread = _TIMES.search(printed), _SPREAD.findall(printed)
    if times is None or not spread:
        raise DeviceError(f"benchmark_model printed no times for {file}")
    init, first, _, mean = (1e-6 * float(number) for number in times.groups())
    runs, low, high, _ = spread[-1]
    numbers = (mean, 1e-6 * float(low), 1e-6 * float(high), first, init)
    between, facts = f"least and most of {runs} runs, ms their mean", tuple(asdict(state) for state in states)
    return Measured(file, "benchmark_model", 1, *numbers, between, _hot(states), facts).valid_only()


def _hot(states: Sequence[State]) -> str | None:
    hot = [state.thermal for state in states if state.thermal is not None and state.thermal >= _MODERATE]
    return f"Android's thermal status was {max(hot)}: clocks are lowered" if hot else None
