"""Exact numbers of executed instructions, by a plugin of qemu."""

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from edgesqueeze.devices.emulation.root import unpack
from edgesqueeze.devices.processes import run, start
from edgesqueeze.errors import DeviceError
from edgesqueeze.files import make_directory, remove

BLOCKS = 2000
"""Basic blocks whose code is written down, those with most of the instructions first."""
_SOURCE = Path(__file__).parent / "count.c"
_PROGRAM = "qemu-aarch64"
_PACKAGE = "qemu-user"


@dataclass(frozen=True)
class Block:
    """A basic block: how often it was entered, and its instructions, eight hexadecimal digits each."""

    count: int
    code: str

    @property
    def instructions(self) -> int:
        """Executed in it altogether."""
        return self.count * len(self.code) // 8


@dataclass(frozen=True)
class Count:
    """Instructions between two marks, by class, and the blocks that most of them are in."""

    instructions: int
    classes: Mapping[str, int]
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Counter:
    """An emulator that takes a plugin, the plugin, and where it writes.

    ``libraries`` has what the emulator needs of the host and the host has not; None of an installed one.
    """

    program: Path
    libraries: Path | None
    folder: Path

    def emulator(self) -> list[str]:
        """The emulator with its options."""
        unset = [] if self.libraries is None else ["-U", "LD_LIBRARY_PATH"]  # none of the guest's
        plugin = f"{self.folder / 'count.so'},out={self.folder / 'counts'},blocks={BLOCKS}"
        return [str(self.program), *unset, "-plugin", plugin]

    def counts(self) -> list[Count]:
        """What was counted between the pairs of marks of the program that ran last.

        Raises:
            DeviceError: it set no marks.
        """
        try:
            lines = (self.folder / "counts").read_text().splitlines()
            found = [_count(json.loads(line)) for line in lines]
        except (OSError, ValueError, KeyError) as error:
            raise DeviceError("the emulator has counted nothing") from error
        if not found:
            raise DeviceError("the emulator has counted nothing")
        return found


def _count(line: Any) -> Count:
    blocks = tuple(Block(block["count"], block["code"]) for block in line["blocks"])
    return Count(line["instructions"], line["classes"], blocks)


def make_counter(cache: Path, folder: Path) -> Counter:
    """Compile the plugin, and find or fetch an emulator that takes it.

    Args:
        cache: where what was fetched is kept.
        folder: where the plugin and its counts go.

    Raises:
        DeviceError: there is no C compiler here, or no such emulator can be fetched.
    """
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise DeviceError("instructions are counted by a plugin in C, and there is no gcc or cc here")
    words = ["-O2", "-shared", "-fPIC", "-o", str(folder / "count.so"), str(_SOURCE)]
    run([compiler, *words], "compiling the plugin that counts", folder=folder)
    installed = shutil.which(_PROGRAM)
    if installed is not None and _takes_plugins(Path(installed), folder):
        return Counter(Path(installed), None, folder)
    fetched = cache / f"{_PACKAGE}-plugins"
    make_directory(cache)
    with FileLock(cache / f"{_PACKAGE}.lock"):
        if not fetched.is_dir():
            _fetch(fetched)
    return Counter(fetched / "usr" / "bin" / _PROGRAM, _libraries(fetched), folder)


def _libraries(files: Path) -> Path | None:
    return next((files / "usr" / "lib").glob("*-linux-gnu"), None)


def _takes_plugins(program: Path, folder: Path, environment: Mapping[str, str] | None = None) -> bool:
    command: list[str | Path] = [program, "--help"]
    found = start(command, "starting the emulator", folder=folder, environment=environment)
    return "-plugin" in found.stdout


def _fetch(target: Path) -> None:
    """Unpack the host's own emulator and the libraries that it lacks, beside the final place; rename."""
    if shutil.which("apt-get") is None:
        raise DeviceError(f"{_PROGRAM} is not here and there is no apt-get to fetch it; install {_PACKAGE}")
    part = Path(tempfile.mkdtemp(prefix=".qemu-", dir=target.parent))
    try:
        (part / "cache" / "archives" / "partial").mkdir(parents=True)
        apt = ["apt-get", "-qq", "-y", "-o", f"Dir::Cache={part / 'cache'}", "-o", "Debug::NoLocking=1"]
        apt += ["--download-only", "--reinstall", "--no-install-recommends", "install", _PACKAGE]
        run(apt, f"fetching {_PACKAGE}", folder=part)
        unpack(part / "cache" / "archives", part / "files")
        program = part / "files" / "usr" / "bin" / _PROGRAM
        if not (program.is_file() and _has_plugins(part / "files")):
            raise DeviceError(f"{_PACKAGE} of this system has no {_PROGRAM} that takes plugins")
        for other in program.parent.iterdir():  # of some forty processors
            if other != program:
                remove(other)
        (part / "files").replace(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _has_plugins(files: Path) -> bool:
    environment = {"LD_LIBRARY_PATH": str(_libraries(files) or "")}
    return _takes_plugins(files / "usr" / "bin" / _PROGRAM, files, environment)
