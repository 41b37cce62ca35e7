"""Whether a run's files load on an emulated board's processor, and answer there as they did here."""

import subprocess
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from edgesqueeze.devices.bundle import write_bundle
from edgesqueeze.devices.emulation.boards import Board
from edgesqueeze.devices.emulation.emulated import Emulated, why_it_ended
from edgesqueeze.devices.emulation.root import ready_root
from edgesqueeze.devices.targets import Target
from edgesqueeze.errors import OutputError, ParityError
from edgesqueeze.formats.names import RUNNABLE, FileFormat
from edgesqueeze.run.rundir import open_run


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
    names = model_names(run)
    root = ready_root(cache)
    with unpacked_bundle(run, names) as bundle, Emulated(root, board) as emulated:
        files = _check(emulated, bundle, names)
    return EmulatedCheck(board, root.versions, files)


def model_names(run: Path) -> list[str]:
    """The files of a finished run that a runtime loads.

    Raises:
        OutputError: the run is not finished, or has no such file.
    """
    folder, _ = open_run(run)
    names = sorted(p.name for p in folder.artifacts.glob("model*") if FileFormat.known(p) in RUNNABLE)
    if not names:
        raise OutputError(f"{run} holds no .onnx or .tflite file to run")
    return names


@contextmanager
def unpacked_bundle(run: Path, names: Sequence[str]) -> Iterator[Path]:
    """The folder of a bundle of these files, for as long as a ``with`` block lasts."""
    with tempfile.TemporaryDirectory(prefix="edgesqueeze-") as temporary:
        archive, folder = Path(temporary) / "bundle.zip", Path(temporary) / "bundle"
        write_bundle(run, Target.RASPBERRY_PI, archive, names)
        with zipfile.ZipFile(archive) as file:
            file.extractall(folder)
        yield folder


def _check(emulated: Emulated, bundle: Path, names: Sequence[str]) -> tuple[FileCheck, ...]:
    """All files in one process; where that does not pass each in its own, since one can end it for all."""
    together = emulated.run([emulated.python, "selftest.py"], bundle)
    if together.returncode == 0:
        return tuple(FileCheck(name, True, _what(name, together)) for name in names)
    alone = [
        (name, emulated.run([emulated.python, "selftest.py", "--model", name], bundle)) for name in names
    ]
    return tuple(FileCheck(name, found.returncode == 0, _what(name, found)) for name, found in alone)


def _what(name: str, found: subprocess.CompletedProcess[str]) -> str:
    """The line of the self-test about this file, or why there is none."""
    line = next((line for line in found.stdout.splitlines() if line.startswith(f"{name} (")), None)
    if line is not None:
        return line
    return f"{name}: {why_it_ended(found)}"
