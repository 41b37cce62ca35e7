"""Programs of the host, run to their end."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgesqueeze.errors import DeviceError


def start(
    command: Sequence[str | Path],
    what: str,
    *,
    folder: Path,
    seconds: float = 600,
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, whatever exit code it has.

    Args:
        command: the program and its arguments; no shell reads them.
        what: what it does, for the sentence that says that it could not.
        folder: where it runs.
        seconds: how long it may take.
        environment: its whole environment; that of this process if None.

    Raises:
        DeviceError: it is not there, or takes longer.
    """
    try:
        return subprocess.run(
            [str(word) for word in command],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except OSError as error:
        raise DeviceError(f"{what} failed: {command[0]}: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise DeviceError(f"{what} took longer than {seconds:.0f} s") from error


def run(command: Sequence[str | Path], what: str, *, folder: Path, seconds: float = 600) -> str:
    """Run a program and return what it prints; the arguments are those of ``start``.

    Raises:
        DeviceError: it is not there, fails, or takes longer.
    """
    found = start(command, what, folder=folder, seconds=seconds)
    if found.returncode:
        raise DeviceError(f"{what} failed: {_last_line(found.stderr) or _last_line(found.stdout)}")
    return found.stdout


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith(("e:", "error"))]
    return (errors or lines or [""])[0 if errors else -1]
