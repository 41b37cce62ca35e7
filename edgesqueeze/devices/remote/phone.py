"""An Android device that adb reaches: its state, its files, its shell."""

import re
import secrets
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from edgesqueeze.devices.processes import start
from edgesqueeze.errors import DeviceError, RecipeError

PREFIX = "adb:"
_SERIAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]*")
_PLACE = "/data/local/tmp"
"""Where adb's user may write, and run what it wrote."""
_ABI = "arm64-v8a"
_MACHINE = """
sed 's/^/load: /' /proc/loadavg
grep '^MemAvailable:' /proc/meminfo
cd /sys/devices/system/cpu || exit 0
sed 's/^/governor: /' cpu0/cpufreq/scaling_governor
for one in cpu[0-9]*/cpufreq/scaling_cur_freq; do sed 's/^/khz: /' "$one"; done
"""
_LOST = ("device offline", "no devices/emulators found", "device not found", "connect failed", "closed")
_STATES = {
    "authorizing": "it has not accepted this computer: unlock it and allow USB debugging",
    "unauthorized": "it has not accepted this computer: unlock it and allow USB debugging",
    "offline": "it does not answer; unplug it and plug it in again",
    "no permissions": "this user may not use it; see https://developer.android.com/tools/device",
}


@dataclass(frozen=True)
class State:
    """Battery, heat, clocks and load; None of what the device does not say.

    ``thermal`` is Android's status: 0 none, 1 light, 2 moderate, from which on clocks are lowered, to 6.
    ``mhz`` is the clock of the fastest core just now.
    """

    battery_percent: int | None
    battery_celsius: float | None
    powered: bool | None
    thermal: int | None
    governor: str | None = None
    mhz: float | None = None
    load: float | None = None
    available_mb: int | None = None


@dataclass(frozen=True)
class Facts:
    """What a device is."""

    model: str
    android: str
    sdk: str
    abi: str
    page_bytes: int | None


def parse_serial(device: str) -> str | None:
    """The serial number behind ``adb:``, None where there is none: the one device that is connected.

    Raises:
        RecipeError: it is none that adb could be given safely.
    """
    serial = device.removeprefix(PREFIX)
    if not device.startswith(PREFIX) or (serial and _SERIAL.fullmatch(serial) is None):
        raise RecipeError(f"an Android device is adb: or adb:SERIAL, found {device}")
    return serial or None


class Phone:
    """A device by its serial number, as ``adb devices`` has it."""

    def __init__(self, serial: str) -> None:
        self.serial = serial

    def __str__(self) -> str:
        return f"{PREFIX}{self.serial}"

    def shell(self, words: Sequence[str], seconds: float = 600) -> str:
        """Run a program there, and return what it prints.

        Raises:
            DeviceError: it fails, or the connection is lost.
        """
        return self._adb(["shell", shlex.join(words)], words[0], seconds)

    def says(self, words: Sequence[str]) -> str:
        """What a program there prints, empty if it fails: of facts that not every device has.

        Raises:
            DeviceError: the connection is lost.
        """
        return self._adb(["shell", f"{shlex.join(words)} 2>/dev/null || true"], words[0], 60)

    def push(self, path: Path, name: str) -> None:
        """Copy a file there.

        Raises:
            DeviceError: there is no room, or the connection is lost.
        """
        self._adb(["push", str(path), name], f"copying {path.name}", 600)

    def pull(self, name: str, path: Path) -> None:
        """Copy a file here.

        Raises:
            DeviceError: it is not there, or the connection is lost.
        """
        self._adb(["pull", name, str(path)], f"fetching {name}", 600)

    def _adb(self, words: Sequence[str], what: str, seconds: float) -> str:
        command = ["adb", "-s", self.serial, *words]
        found = start(command, f"{self}: {what}", folder=Path.cwd(), seconds=seconds)
        if found.returncode == 0:
            return found.stdout
        lines = [line.strip() for line in (found.stderr + found.stdout).splitlines() if line.strip()]
        complaint = lines[-1] if lines else f"exit code {found.returncode}"
        if _devices().get(self.serial) != "device" or any(lost in complaint for lost in _LOST):
            raise DeviceError(
                f"{self}: the connection was lost while {what} was under way; run it again. What was sent "
                f"may be left in {_PLACE}/edgesqueeze-*"
            )
        raise DeviceError(f"{self}: {what} failed: {complaint.removeprefix('adb: error: ')}")

    def facts(self) -> Facts:
        """What it is."""
        names = ("ro.product.model", "ro.build.version.release", "ro.build.version.sdk", "ro.product.cpu.abi")
        model, android, sdk, abi = (self.says(["getprop", name]).strip() for name in names)
        return Facts(model, android, sdk, abi, _number(self.says(["getconf", "PAGE_SIZE"])))

    def state(self) -> State:
        """What it says of itself just now."""
        battery, thermal = self.says(["dumpsys", "battery"]), self.says(["dumpsys", "thermalservice"])
        machine = self.says(["sh", "-c", _MACHINE])
        clocks = [int(number) for number in re.findall(r"(?m)^khz: (\d{1,9})$", machine)]
        load, free = _value(machine, "load"), _number(_value(machine, "MemAvailable"))
        heat = _number(_value(battery, "temperature"))
        powered = re.findall(r"(?m)^\s*\w+ powered: (true|false)", battery)
        return State(
            battery_percent=_number(_value(battery, "level")),
            battery_celsius=None if heat is None else heat / 10,
            powered="true" in powered if powered else None,
            thermal=_number(_value(thermal, "Thermal Status")),
            governor=_value(machine, "governor") or None,
            mhz=max(clocks) / 1000 if clocks else None,
            load=float(load) if re.fullmatch(r"\d{1,6}\.\d+", load) else None,
            available_mb=None if free is None else free // 1024,
        )

    @contextmanager
    def folder(self) -> Iterator[str]:
        """A new folder there, which is removed however the ``with`` block ends."""
        name = f"{_PLACE}/edgesqueeze-{secrets.token_hex(8)}"
        self.shell(["mkdir", name])
        try:
            yield name
        except BaseException:
            with suppress(DeviceError):  # the first error says more
                command = ["adb", "-s", self.serial, "shell", f"rm -rf {name}"]
                start(command, "cleaning up", folder=Path.cwd(), seconds=30)
            raise
        self.shell(["rm", "-rf", name])


def find_phone(serial: str | None) -> Phone:
    """The device of this serial number, or the one that is there.

    Raises:
        DeviceError: there is none, there are several, or it does not let us in.
    """
    found = _devices()
    if serial is None and len(found) > 1:
        names = ", ".join(f"{PREFIX}{name}" for name in found)
        raise DeviceError(f"adb has {len(found)} devices; name one of {names}")
    if serial is None and not found:
        raise DeviceError("adb finds no device; connect one and allow USB debugging on it")
    serial = next(iter(found)) if serial is None else serial
    if serial not in found:
        raise DeviceError(f"adb finds no device {serial}; it finds {', '.join(found) or 'none'}")
    state = found[serial]
    if state != "device":
        why = next((text for name, text in _STATES.items() if state.startswith(name)), state)
        raise DeviceError(f"{PREFIX}{serial}: {why}")
    phone = Phone(serial)
    abi = phone.facts().abi
    if abi != _ABI:
        raise DeviceError(f"{phone}: its processor is {abi or 'not named'}, the programs are for {_ABI}")
    return phone


def _devices() -> dict[str, str]:
    """Serial numbers and what adb says of them."""
    found = start(["adb", "devices"], "asking adb for its devices", folder=Path.cwd(), seconds=60)
    if found.returncode:
        raise DeviceError(f"adb does not start: {found.stderr.strip()[-200:]}")
    lines = [line.split("\t", 1) for line in found.stdout.splitlines() if "\t" in line]
    return {line[0]: line[1] for line in lines}


def _value(text: str, name: str) -> str:
    found = re.search(rf"(?m)^\s*{re.escape(name)}:\s*(\S+)", text)
    return "" if found is None else found[1]


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"-?[0-9]{1,9}", text.strip()) else None
