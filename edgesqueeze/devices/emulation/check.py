"""Whether a run's files load on an emulated board's processor, and answer there as they did here."""

import signal
import subprocess
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from edgesqueeze.devices.bundle import write_bundle
from edgesqueeze.devices.emulation.boards import Board
from edgesqueeze.devices.emulation.root import Root, ready_root
from edgesqueeze.devices.processes import start
from edgesqueeze.devices.targets import Target
from edgesqueeze.errors import OutputError, ParityError
from edgesqueeze.formats.names import RUNNABLE, FileFormat
from edgesqueeze.run.rundir import open_run

_SECONDS = 1800
"""For one file: an emulated processor is a hundred times slower."""


@dataclass(frozen=True)
class FileCheck:
    """What one file's self-test said."""

    file: str
    passed: bool
    what: str


@dataclass(frozen=True)
class EmulatedCheck:
    """What the self-tests of a run's files said on an emulated board. Nothing here says how fast one is."""

    board: Board
    versions: dict[str, str]
    files: tuple[FileCheck, ...]

    def text(self) -> str:
        """A line for the board, and one for every file."""
        number, python = self.versions["qemu"], self.versions["python"]
        first = f"{self.board.name}, emulated: {self.board.cpu} by qemu {number}, Python {python}"
        lines = [f"  {'ok' if found.passed else 'FAILED'}  {found.what}" for found in self.files]
        return "\n".join([first, *lines])

    def to_json(self) -> dict[str, object]:
        """The same as plain JSON values."""
        return {
            "emulated": True,
            "board": self.board.name,
            "cpu": self.board.cpu,
            "versions": self.versions,
            "files": [asdict(found) for found in self.files],
        }

    def require(self) -> None:
        """Accept only if every file passed.

        Raises:
            ParityError: one did not.
        """
        failed = [found.file for found in self.files if not found.passed]
        if failed:
            raise ParityError(f"{', '.join(failed)} failed on an emulated {self.board.name}")


def check_run(run: Path, board: Board, cache: Path) -> EmulatedCheck:
    """Bundle a run's .onnx and .tflite files, and let the bundle test itself on an emulated board.

    Args:
        run: the directory of a finished run.
        board: whose processor.
        cache: where the emulated system is kept.

    Raises:
        OutputError: the run is not finished, or has no such file.
        DeviceError: the emulator or its packages cannot be fetched.
        ExportError: a file cannot be bundled.
    """
    folder, _ = open_run(run)
    names = sorted(p.name for p in folder.artifacts.glob("model*") if FileFormat.known(p) in RUNNABLE)
    if not names:
        raise OutputError(f"{run} holds no .onnx or .tflite file to verify")
    root = ready_root(cache)
    with tempfile.TemporaryDirectory(prefix="edgesqueeze-") as temporary:
        archive, unpacked = Path(temporary) / "bundle.zip", Path(temporary) / "bundle"
        write_bundle(run, Target.RASPBERRY_PI, archive, names)
        with zipfile.ZipFile(archive) as file:
            file.extractall(unpacked)
        with Emulated(root, board) as emulated:
            files = _check(emulated, unpacked, names)
    return EmulatedCheck(board, root.versions, files)


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

    def command(self, arguments: Sequence[str]) -> list[str]:
        """The command line that runs the emulated Python."""
        emulator = [str(self._root.emulator), "-cpu", self._board.cpu, "-L", self._folder.name]
        return [*emulator, str(self._root.python), *arguments]

    def run(self, arguments: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
        """Run the emulated Python to its end.

        Args:
            arguments: of the interpreter.
            folder: where it runs.

        Raises:
            DeviceError: the emulator cannot be started, or takes too long.
        """
        # nothing of the host's: its PYTHONPATH would be looked through, its LD_PRELOAD loaded
        environment = {"PYTHONPATH": str(self._root.site), "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"}
        what = f"running {self._root.python.name} on an emulated {self._board.name}"
        command = self.command(arguments)
        return start(command, what, folder=folder, seconds=_SECONDS, environment=environment)


def _check(emulated: Emulated, bundle: Path, names: Sequence[str]) -> tuple[FileCheck, ...]:
    """All files in one process; where that does not pass each in its own, since one can end it for all."""
    together = emulated.run(["selftest.py"], bundle)
    if together.returncode == 0:
        return tuple(FileCheck(name, True, _what(name, together)) for name in names)
    alone = [(name, emulated.run(["selftest.py", "--model", name], bundle)) for name in names]
    return tuple(FileCheck(name, found.returncode == 0, _what(name, found)) for name, found in alone)


def _what(name: str, found: subprocess.CompletedProcess[str]) -> str:
    """The line of the self-test about this file, or why there is none."""
    line = next((line for line in found.stdout.splitlines() if line.startswith(f"{name} (")), None)
    if line is not None:
        return line
    if found.returncode < 0:
        name_of_signal = signal.Signals(-found.returncode).name
        why = " (an instruction that this processor has not)" if name_of_signal == "SIGILL" else ""
        return f"{name}: the program was ended by {name_of_signal}{why}"
    lines = [line for line in found.stderr.splitlines() if line.strip()]
    return f"{name}: {lines[-1] if lines else f'exit code {found.returncode}'}"
