"""What can make a machine slow for a while: load, clock, heat, time that others took. Mostly Linux tells."""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

_CPUS = Path("/sys/devices/system/cpu")
_ZONES = Path("/sys/class/thermal")
_STAT = Path("/proc/stat")
_STEAL = 8
"""The field of the first line of /proc/stat (proc(5)): ticks that the hypervisor gave to other guests."""
_THROTTLED_NOW = {0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "soft temperature limit"}
"""Bits of ``vcgencmd get_throttled`` (Raspberry Pi documentation, os/vcgencmd)."""


@dataclass(frozen=True)
class HostState:
    """A machine at one moment; None, or nothing, where the system does not tell.

    ``load`` is the one-minute load average, ``governors`` those of the cores, each once, ``mhz`` their mean
    clock, ``celsius`` the hottest zone, ``throttled`` what a Raspberry Pi says is the case now,
    ``throttle_count`` how often Intel's cores have been throttled since the start, and ``stolen_s`` how many
    seconds other guests of a virtual machine's host have taken of its cores since then.
    """

    load: float | None
    governors: tuple[str, ...]
    mhz: float | None
    celsius: float | None
    throttled: tuple[str, ...] | None
    throttle_count: int | None
    stolen_s: float | None

    def to_json(self) -> dict[str, object]:
        """All fields as plain JSON values."""
        return asdict(self)

    def sentence(self) -> str:
        """What is known, in a few words."""
        parts = [
            f"load {self.load:.2f}" if self.load is not None else "",
            f"governor {'/'.join(self.governors)}" if self.governors else "",
            f"{self.mhz:.0f} MHz" if self.mhz is not None else "",
            f"{self.celsius:.0f} °C" if self.celsius is not None else "",
            ", ".join(self.throttled or ()),
        ]
        return ", ".join(filter(None, parts)) or "nothing known"


def host_state() -> HostState:
    """The machine, now."""
    clocks = [int(text) / 1e3 for text in _texts(_CPUS, "cpu[0-9]*/cpufreq/scaling_cur_freq")]
    heats = [int(text) / 1e3 for text in _texts(_ZONES, "thermal_zone*/temp")]
    throttles = [int(text) for text in _texts(_CPUS, "cpu[0-9]*/thermal_throttle/core_throttle_count")]
    return HostState(
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        governors=tuple(dict.fromkeys(_texts(_CPUS, "cpu[0-9]*/cpufreq/scaling_governor"))),
        mhz=sum(clocks) / len(clocks) if clocks else None,
        celsius=max(heats, default=None),
        throttled=_throttled(),
        throttle_count=sum(throttles) if throttles else None,
        stolen_s=_stolen_s(),
    )


def was_throttled(states: Sequence[HostState]) -> bool:
    """Whether any of these says so, or a count has grown from the first to the last."""
    counts = [state.throttle_count for state in states if state.throttle_count is not None]
    return any(state.throttled for state in states) or (len(counts) > 1 and counts[-1] > counts[0])


def stolen_share(first: HostState, last: HostState, wall_s: float, cores: int) -> float:
    """The share of the cores' time that other guests took between two states; 0 where nothing tells."""
    if first.stolen_s is None or last.stolen_s is None or wall_s <= 0:
        return 0.0
    return (last.stolen_s - first.stolen_s) / (wall_s * cores)


def _texts(folder: Path, pattern: str) -> list[str]:
    """What the readable files of a pattern hold, in the order of their names."""
    found = []
    for path in sorted(folder.glob(pattern)):
        try:
            found.append(path.read_text(encoding="ascii").strip())
        except OSError:  # a zone whose sensor is asleep
            continue
    return found


def _throttled() -> tuple[str, ...] | None:
    try:
        done = subprocess.run(
            ["vcgencmd", "get_throttled"], capture_output=True, text=True, timeout=5, check=True
        )
        bits = int(done.stdout.strip().partition("=")[2], 16)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return tuple(name for bit, name in _THROTTLED_NOW.items() if bits >> bit & 1)


def _stolen_s() -> float | None:
    try:
        fields = _STAT.read_text(encoding="ascii").splitlines()[0].split()
        return int(fields[_STEAL]) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError):
        return None
