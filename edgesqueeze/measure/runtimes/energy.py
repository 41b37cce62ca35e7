"""Energy that a machine counts by itself: RAPL of Intel's and AMD's processors, INA power meters."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

_POWERCAP = Path("/sys/class/powercap")
_HWMON = Path("/sys/class/hwmon")
_MICRO = 1e-6


@dataclass
class EnergyMeter:
    """Joules since it was made, of the whole machine, idle power included.

    A RAPL counter counts microjoules and starts again at its range (Linux, power/powercap/powercap.rst). An
    INA meter tells microwatts (hwmon/ina2xx.rst): its power is summed up from one :meth:`update` to the next.
    """

    counters: tuple[tuple[Path, int], ...]
    """Files of RAPL's packages, and the range of each."""
    meters: tuple[Path, ...]
    """Files of INA meters; they count only where there is no RAPL."""
    clock: Callable[[], float] = perf_counter

    def __post_init__(self) -> None:
        self._last = [_number(path) for path, _ in self.counters]
        self._time = self.clock()
        self.joules = 0.0

    @property
    def source(self) -> str:
        """What counts, for a table; empty where nothing does."""
        return "RAPL" if self.counters else "INA" if self.meters else ""

    def update(self) -> None:
        """Take in what was used since the last time; often enough that no counter comes around twice."""
        now = self.clock()
        if self.counters:
            for place, (path, reach) in enumerate(self.counters):
                count = _number(path)
                self.joules += (count - self._last[place]) % max(reach, 1) * _MICRO
                self._last[place] = count
        else:
            self.joules += sum(map(_number, self.meters)) * _MICRO * (now - self._time)
        self._time = now


def energy_meter(powercap: Path = _POWERCAP, hwmon: Path = _HWMON) -> EnergyMeter:
    """The meter of this machine; one without a source where nothing is readable, as for other than root."""
    counters = [
        (package / "energy_uj", _number(package / "max_energy_range_uj") + 1)
        for package in sorted(powercap.glob("intel-rapl:[0-9]*"))
        if package.name.count(":") == 1 and _is_readable(package / "energy_uj")
    ]
    meters = [
        folder / "power1_input"
        for folder in sorted(hwmon.glob("hwmon*"))
        if _text(folder / "name").startswith("ina") and _is_readable(folder / "power1_input")
    ]
    return EnergyMeter(tuple(counters), tuple(meters))


def _is_readable(path: Path) -> bool:
    return _text(path).isdigit()


def _number(path: Path) -> int:
    text = _text(path)
    return int(text) if text.isdigit() else 0


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
