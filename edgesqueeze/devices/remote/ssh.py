"""A bundle on a device that is reached by ssh: sent, tested, timed, removed.

The program ``ssh`` is driven as its user has set it up, and made stricter: host keys are checked, and nothing
but keys, of files or an agent, is tried. One connection does everything, so that the device can clean up by
itself. A copy that may go on where it stopped is asked for by name: what arrived of it then stays there until
the next try, and another connection asks how much that is.
"""

import hashlib
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
_SCRIPT, _HELD = (Path(__file__).parent / name for name in ("session.sh", "held.sh"))
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
class Session:
    """What is wished of a visit: ``options`` of benchmark.py, how long everything may take.

    ``resume``: a copy that was cut goes on where it stopped, and one that is cut leaves what arrived.
    """

    options: tuple[str, ...] = ()
    seconds: float = 1800
    resume: bool = False


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
    address: Address, bundle: bytes, machine: str, python: str = "python3", session: Session | None = None
) -> DeviceReport:
    """Send a bundle, let it test and time itself, and remove it.

    Args:
        address: of the device.
        bundle: the archive.
        machine: what ``uname -m`` must say there; several with spaces between.
        python: the program there, a name or a path; it has numpy and a runtime.
        session: what else is wished.

    Raises:
        DeviceError: the device cannot be reached or has not what the bundle needs, or the connection is lost.
        ParityError: a model answers otherwise there.
    """
    wished = Session() if session is None else session
    digest = hashlib.sha256(bundle).hexdigest()
    held = _held(address, bundle, digest, python) if wished.resume else None
    words = [python, str(len(bundle)), machine, digest, "-" if held is None else str(held), *wished.options]
    remote = ["sh", "-c", _SCRIPT.read_text(encoding="utf-8"), "sh", *words]
    found = _ssh(address, shlex.join(remote), bundle[held or 0 :], wished)
    said, _, timed = found.stdout.decode(errors="replace").partition(_BENCHMARK)
    complaint = found.stderr.decode(errors="replace").strip()
    if found.returncode == _DIFFERS and said.rstrip().endswith("selftest FAILED"):
        different = "; ".join(said.strip().splitlines()[1:-1])
        raise ParityError(f"{address}: the self-test failed: {different}")
    if found.returncode == _SSH:
        raise DeviceError(f"{address}: {_why(complaint, resume=wished.resume)}")
    if found.returncode:
        raise DeviceError(f"{address}: {_last(complaint) or f'exit code {found.returncode}'}")
    try:
        return DeviceReport(tuple(said.splitlines()), json.loads(timed))
    except ValueError as error:
        raise DeviceError(f"{address}: benchmark.py printed no JSON") from error


def _held(address: Address, bundle: bytes, digest: str, python: str) -> int:
    """How many bytes of a bundle are there already; 0 where what is there does not begin it."""
    remote = ["sh", "-c", _HELD.read_text(encoding="utf-8"), "sh", python, digest]
    found = _ssh(address, shlex.join(remote), b"", Session(seconds=120))
    if found.returncode == _SSH:
        raise DeviceError(f"{address}: {_why(found.stderr.decode(errors='replace'), resume=True)}")
    words = found.stdout.decode(errors="replace").split()
    size = int(words[0]) if len(words) == 2 and words[0].isdigit() else 0
    begins = 0 < size <= len(bundle) and hashlib.sha256(bundle[:size]).hexdigest() == words[1]
    return size if begins else 0


def _ssh(
    address: Address, command: str, content: bytes, session: Session
) -> subprocess.CompletedProcess[bytes]:
    options = [word for option in _OPTIONS for word in ("-o", option)]
    port = [] if address.port is None else ["-p", str(address.port)]
    line = ["ssh", "-T", *options, *port, "-l", address.user, "--", address.host, command]
    try:
        return subprocess.run(
            line,
            input=content,
            capture_output=True,
            timeout=session.seconds,
            check=False,
            env={**os.environ, "LC_ALL": "C"},  # its errors are told apart by their words
        )
    except FileNotFoundError as error:
        raise DeviceError("there is no program ssh here; install OpenSSH's client") from error
    except subprocess.TimeoutExpired as error:
        left = "run it again, a copy goes on where it stopped"
        left = left if session.resume else "it removes what it was sent"
        raise DeviceError(f"{address} took longer than {session.seconds:.0f} s; {left}") from error


def _why(complaint: str, *, resume: bool) -> str:
    for words, meaning in _WHY.items():
        if words in complaint:
            return f"{meaning} ({_last(complaint)})"
    next_time = "the device removes what it was sent, run it again"
    if resume:
        next_time = "run it again, the copy goes on where it stopped"
    return f"the connection was lost ({_last(complaint)}); {next_time}"


def _last(complaint: str) -> str:
    """The last sentence, of the script's own without its mark."""
    lines = [line.strip() for line in complaint.splitlines() if line.strip()]
    marked = [line for line in lines if line.startswith("edgesqueeze: ")]
    if marked and len(lines) > 1 and "No space left" in complaint:
        return f"{marked[-1].removeprefix('edgesqueeze: ')}: No space left on device"
    return (marked or lines or [""])[-1].removeprefix("edgesqueeze: ").removeprefix("error: ")
