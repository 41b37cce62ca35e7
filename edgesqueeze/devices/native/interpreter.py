"""A program in C that runs int8 TFLite files, static for aarch64, built here and run there."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgesqueeze.devices.native.decoder import cross_compiler
from edgesqueeze.devices.processes import run
from edgesqueeze.errors import DeviceError

NAME = "edgesqueeze in C"
_FOLDER = Path(__file__).parent / "infer"
FLAGS = ("-std=c99", "-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off")
"""Products and sums are not joined: each is rounded to float32, as in the runtimes."""


@dataclass(frozen=True)
class Times:
    """Seconds of one inference in every round, of the first one, and of loading the file.

    ``cpu_share`` is how much of a processor the program had, ``heap_bytes`` what it allocated, the file and
    its inputs among it.
    """

    times_s: tuple[float, ...]
    first_s: float
    load_s: float
    cpu_share: float
    heap_bytes: int


@dataclass(frozen=True)
class Windows:
    """Seconds of one inference in windows of a second, when each ended, and how many there were in all."""

    ends_s: tuple[float, ...]
    times_s: tuple[float, ...]
    inferences: int


def sources() -> dict[str, bytes]:
    """Name to content of its files; :data:`FLAGS` and ``-lm`` make the program of them."""
    return {path.name: path.read_bytes() for path in sorted(_FOLDER.glob("*.[ch]"))}


def build_interpreter(
    path: Path, compiler: str | None = None, flags: Sequence[str] = ("-static", "-s")
) -> Path:
    """Compile it.

    Args:
        path: where it goes.
        compiler: of C99; one for aarch64 if None.
        flags: more of the compiler's.

    Raises:
        DeviceError: there is no cross compiler, or it fails.
    """
    files = [str(source) for source in sorted(_FOLDER.glob("*.c"))]
    command = [compiler or cross_compiler(), *FLAGS, *flags, "-o", str(path), *files, "-lm"]
    run(command, "compiling the interpreter in C", folder=path.parent)
    return path


def read_times(printed: str) -> Times:
    """What ``--time`` prints.

    Raises:
        DeviceError: it has printed something else.
    """
    told = _told(printed, Times)
    return Times(**{**told, "times_s": tuple(told["times_s"])})


def read_windows(printed: str) -> Windows:
    """What ``--sustain`` prints.

    Raises:
        DeviceError: it has printed something else.
    """
    told = _told(printed, Windows)
    return Windows(tuple(told["ends_s"]), tuple(told["times_s"]), told["inferences"])


def _told(printed: str, kind: type[Times | Windows]) -> dict[str, Any]:
    try:
        told: dict[str, Any] = json.loads(printed)
        if set(told) == set(kind.__dataclass_fields__) and told["times_s"]:
            return told
    except (ValueError, TypeError):
        pass
    raise DeviceError(f"the interpreter printed {printed[:80]!r} in place of its times")
