"""Boards that can be emulated, and what programs on them are told of their processor."""

from dataclasses import dataclass
from pathlib import Path

from edgesqueeze.errors import RecipeError

_CORES = 4
_PREFIX = "emulated:"


@dataclass(frozen=True)
class Board:
    """A board: its processor by qemu's name, and by the numbers and features in its ``/proc/cpuinfo``.

    ``part``, ``variant`` and ``revision`` are fields of Arm's MIDR_EL1. The features must be those of qemu's
    model of the processor: the runtimes choose their kernels by them, and one with another instruction ends
    the program.
    """

    name: str
    cpu: str
    part: int
    variant: int
    revision: int
    features: str
    schedule: str
    """The model of a processor by which LLVM schedules and llvm-mca counts cycles."""

    def cpuinfo(self) -> str:
        """The text of ``/proc/cpuinfo``."""
        return "".join(
            f"processor\t: {core}\nBogoMIPS\t: 108.00\nFeatures\t: {self.features}\n"
            f"CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: {self.variant:#x}\n"
            f"CPU part\t: {self.part:#x}\nCPU revision\t: {self.revision}\n\n"
            for core in range(_CORES)
        )

    def write_system(self, root: Path) -> None:
        """Write what programs read of the processor below a root folder.

        Without it they would read the host's, which is none of Arm's.
        """
        cpus = root / "sys" / "devices" / "system" / "cpu"
        cpus.mkdir(parents=True)
        (root / "proc").mkdir()
        (root / "proc" / "cpuinfo").write_text(self.cpuinfo())
        for name in ("possible", "present", "online"):
            (cpus / name).write_text(f"0-{_CORES - 1}\n")


_V8 = "fp asimd evtstrm crc32 cpuid"
_V8_2 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"
BOARDS = {
    "pi3": Board("Raspberry Pi 3", "cortex-a53", 0xD03, 0, 4, _V8, "cortex-a53"),
    "pi4": Board("Raspberry Pi 4", "cortex-a72", 0xD08, 0, 3, _V8, "cortex-a72"),
    "pi5": Board("Raspberry Pi 5", "cortex-a76", 0xD0B, 4, 1, _V8_2, "neoverse-n1"),
}
"""Before the Pi 5 they have neither cryptographic extension nor dot product of int8 (asimddp).

LLVM's cortex-a72 is its cortex-a57. Of the A76 it has no model in detail; neoverse-n1 is the same core as
made for servers."""


def board_of(device: str) -> Board:
    """The board that ``emulated:pi4`` and the like name.

    Raises:
        RecipeError: there is no such device.
    """
    board = BOARDS.get(device.removeprefix(_PREFIX)) if device.startswith(_PREFIX) else None
    if board is None:
        allowed = ", ".join(f"{_PREFIX}{name}" for name in BOARDS)
        raise RecipeError(f"there is no device {device}; there are {allowed}")
    return board
