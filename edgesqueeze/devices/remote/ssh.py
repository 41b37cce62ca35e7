"""A bundle on a device that is reached by ssh: sent, tested, timed, removed.

The program ``ssh`` is driven as its user has set it up, and made stricter: host keys are checked, and nothing
but keys, of files or an agent, is tried. One connection does everything, so that the device can clean up by
itself.
"""

import json
import os
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgesqueeze.devices.remote.address import Address
from edgesqueeze.devices.targets import Target
from edgesqueeze.errors import DeviceError, ParityError, RecipeError

MACHINES = {Target.RASPBERRY_PI: "aarch64", Target.LINUX: "x86_64"}
"""What ``uname -m`` says on the machines that a bundle with programs is for."""
_SCRIPT = Path(__file__).parent / "session.sh"
_OPTIONS = (
    *("BatchMode=yes", "StrictHostKeyChecking=yes", "PreferredAuthentications=publickey"),
    *("ForwardAgent=no", "ForwardX11=no", "ClearAllForwardings=yes", "PermitLocalCommand=no"),
    *("ConnectTimeout=15", "ServerAliveInterval=10", "ServerAliveCountMax=3", "LogLevel=ERROR"),
)
_BENCHMARK = "edgesqueeze: benchmark\n"
_DIFFERS, _SSH = 92, 255
"""Exit codes of the script where the self-test does not pass, and of ssh without a connection."""
_WHY = {
    "Host key verification failed": "its host key is not known here or has changed; connect once by hand",
    "Permission denied": "it takes none of the keys that ssh offers",
    "Connection refused": "nothing answers at that port",
    "Could not resolve hostname": "there is no host of that name",
    "No route to host": "there is no way to that host",
    "timed out": "it does not answer",
}


@dataclass(frozen=True)
class DeviceReport:
    """What a device said: the lines of the self-test, and the benchmark's JSON."""

    selftest: tuple[str, ...]
    benchmark: Mapping[str, Any]


def machine_of(target: Target) -> str:
    """What ``uname -m`` must say where a bundle is sent.

    Raises:
        RecipeError: bundles for this target have no programs to run there.
    """
    if target not in MACHINES:
        allowed = ", ".join(MACHINES)
        raise RecipeError(f"--to runs programs on the device, {target} has none; allowed: {allowed}")
    return MACHINES[target]


def run_there(
    address: Address, bundle: bytes, machine: str, python: str = "python3", seconds: float = 1800
) -> DeviceReport:
    """Send a bundle, let it test and time itself, and remove it.

    Args:
        address: of the device.
        bundle: the archive.
        machine: what ``uname -m`` must say there.
        python: the program there, a name or a path; it has numpy and a runtime.
        seconds: how long everything may take.

    Raises:
        DeviceError: the device cannot be reached or has not what the bundle needs, or the connection is lost.
        ParityError: a model answers otherwise there.
    """
    remote = ["sh", "-c", _SCRIPT.read_text(encoding="utf-8"), "sh", python, str(len(bundle)), machine]
    found = _ssh(address, shlex.join(remote), bundle, seconds)
    said, _, timed = found.stdout.decode(errors="replace").partition(_BENCHMARK)
    complaint = found.stderr.decode(errors="replace").strip()
    if found.returncode == _DIFFERS and said.rstrip().endswith("selftest FAILED"):
        different = "; ".join(said.strip().splitlines()[1:-1])
        raise ParityError(f"{address}: the self-test failed: {different}")
    if found.returncode == _SSH:
        raise DeviceError(f"{address}: {_why(complaint)}")
    if found.returncode:
        raise DeviceError(f"{address}: {_last(complaint) or f'exit code {found.returncode}'}")
    try:
        return DeviceReport(tuple(said.splitlines()), json.loads(timed))
    except ValueError as error:
        raise DeviceError(f"{address}: benchmark.py printed no JSON") from error


def _ssh(
    address: Address, command: str, content: bytes, seconds: float
) -> subprocess.CompletedProcess[bytes]:
    options = [word for option in _OPTIONS for word in ("-o", option)]
    port = [] if address.port is None else ["-p", str(address.port)]
    line = ["ssh", "-T", *options, *port, "-l", address.user, "--", address.host, command]
    try:
        return subprocess.run(
            line,
            input=content,
            capture_output=True,
            timeout=seconds,
            check=False,
            env={**os.environ, "LC_ALL": "C"},  # its errors are told apart by their words
        )
    except FileNotFoundError as error:
        raise DeviceError("there is no program ssh here; install OpenSSH's client") from error
    except subprocess.TimeoutExpired as error:
        raise DeviceError(
            f"{address} took longer than {seconds:.0f} s; it removes what it was sent"
        ) from error


def _why(complaint: str) -> str:
    for words, meaning in _WHY.items():
        if words in complaint:
            return f"{meaning} ({_last(complaint)})"
    return f"the connection was lost ({_last(complaint)}); the device removes what it was sent, run it again"


def _last(complaint: str) -> str:
    """The last sentence, of the script's own without its mark."""
    lines = [line.strip() for line in complaint.splitlines() if line.strip()]
    marked = [line for line in lines if line.startswith("edgesqueeze: ")]
    if marked and len(lines) > 1 and "No space left" in complaint:
        return f"{marked[-1].removeprefix('edgesqueeze: ')}: No space left on device"
    return (marked or lines or [""])[-1].removeprefix("edgesqueeze: ").removeprefix("error: ")
