"""A program on an emulated board's processor."""

import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from edgesqueeze.devices.emulation.boards import Board
from edgesqueeze.devices.emulation.counter import Counter
from edgesqueeze.devices.emulation.root import Root
from edgesqueeze.devices.processes import start

_SECONDS = 1800
"""For one program: an emulated processor is a hundred times slower."""


class Emulated:
    """An emulated board for as long as a ``with`` block lasts; each has a root folder of its own.

    A shared one would show the processor of another check.
    """

    def __init__(self, root: Root, board: Board) -> None:
        self._root, self._board = root, board
        self._folder = tempfile.TemporaryDirectory(prefix="edgesqueeze-")

    def __enter__(self) -> "Emulated":
        folder = Path(self._folder.name)
        for path in self._root.system.iterdir():
            (folder / path.name).symlink_to(path)
        self._board.write_system(folder)
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    @property
    def python(self) -> str:
        """Where the emulated Python is."""
        return str(self._root.python)

    def command(self, program: Sequence[str], counter: Counter | None = None) -> list[str]:
        """The command line that runs a program for aarch64.

        Args:
            program: its path and arguments.
            counter: what counts its instructions.
        """
        emulator = [str(self._root.emulator)] if counter is None else counter.emulator()
        return [*emulator, "-cpu", self._board.cpu, "-L", self._folder.name, *program]

    def run(
        self, program: Sequence[str], folder: Path, counter: Counter | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program for aarch64 to its end.

        Args:
            program: its path and arguments.
            folder: where it runs.
            counter: what counts its instructions.

        Raises:
            DeviceError: the emulator cannot be started, or takes too long.
        """
        # nothing of the host's: its PYTHONPATH would be looked through, its LD_PRELOAD loaded
        environment = {"PYTHONPATH": str(self._root.site), "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"}
        if counter is not None and counter.libraries is not None:
            environment["LD_LIBRARY_PATH"] = str(counter.libraries)
        what = f"running {Path(program[0]).name} on an emulated {self._board.name}"
        command = self.command(program, counter)
        return start(command, what, folder=folder, seconds=_SECONDS, environment=environment)


def why_it_ended(found: subprocess.CompletedProcess[str]) -> str:
    """One sentence about a program that failed: the signal that ended it, or what it said last."""
    if found.returncode < 0:
        name = signal.Signals(-found.returncode).name
        why = " (an instruction that this processor has not)" if name == "SIGILL" else ""
        return f"the program was ended by {name}{why}"
    lines = [line for line in found.stderr.splitlines() if line.strip()]
    return lines[-1] if lines else f"exit code {found.returncode}"
