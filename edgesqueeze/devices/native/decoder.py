"""The decoder of .sqz files as one static program for aarch64, built here and run there."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgesqueeze.bundled import ROOT
from edgesqueeze.devices.processes import run
from edgesqueeze.errors import DeviceError

COMPILERS = ("aarch64-linux-gnu-gcc", "aarch64-linux-musl-gcc")
"""Cross compilers whose C library can be linked statically."""
_SOURCE = Path(__file__).parent / "decode.c"
_INCLUDES = ROOT / "edgesqueeze" / "coding" / "decoder"
_FLAGS = ("-std=c99", "-O2", "-static", "-s")


@dataclass(frozen=True)
class Decoding:
    """What decoding a file took where it was decoded.

    ``seconds`` are of the wall clock, reading and writing included; under an emulator they say nothing.
    ``heap_bytes`` is the most that was allocated at one time, beside the ``file_bytes`` of the file itself.
    """

    seconds: float
    heap_bytes: int
    file_bytes: int


def cross_compiler() -> str:
    """A C compiler for aarch64.

    Raises:
        DeviceError: there is none here.
    """
    found = next(filter(None, map(shutil.which, COMPILERS)), None)
    if found is None:
        raise DeviceError(
            f"there is none of {', '.join(COMPILERS)} here; "
            "apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross"
        )
    return found


def build_decoder(path: Path, flags: Sequence[str] = ()) -> Path:
    """Compile the decoder for aarch64: one file that no library has to be there for.

    Args:
        path: where it goes.
        flags: more of the compiler's.

    Raises:
        DeviceError: there is no cross compiler, or it fails.
    """
    words = [*_FLAGS, *flags, f"-I{_INCLUDES}", "-o", str(path), str(_SOURCE), "-lm"]
    run([cross_compiler(), *words], "compiling the decoder for aarch64", folder=path.parent)
    return path


def read_decoding(printed: str) -> Decoding:
    """What the program says at its end.

    Raises:
        DeviceError: it has not said it.
    """
    lines = printed.strip().splitlines()
    try:
        return Decoding(**json.loads(lines[-1]))
    except (IndexError, ValueError, TypeError) as error:
        raise DeviceError(f"the decoder printed {lines[-1:]!r} in place of its figures") from error
