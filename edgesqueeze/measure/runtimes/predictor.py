"""What every runtime gives: a loaded file that can be asked, and what they share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.errors import ExportError
from edgesqueeze.network.graph.nodes import Floats
from edgesqueeze.network.integers.reference import Int8s

UINT8_OFFSET = 128


class Predictor(Protocol):
    """A loaded file. ``runtime`` is name and version; ``threads`` is how many it may use."""

    runtime: str
    threads: int

    def predict(self, x: Floats) -> Floats:
        """Outputs [N, …] (maps as NCHW) for inputs float32 [N, C, H, W], one inference per input.

        Raises:
            ExportError: the file has several outputs, or an input of another shape or type.
        """
        ...

    def predict_integers(self, x: Floats) -> Int8s:
        """Like :meth:`predict`, but the output's integers on its int8 grid.

        Raises:
            ExportError: as above, or the output is not quantized.
        """
        ...

    def predict_all(self, x: Floats) -> dict[str, Floats]:
        """Like :meth:`predict`, but of every output of a float file by its name, in the file's order.

        Raises:
            ExportError: the file has an input of another shape or type.
        """
        ...

    def prepare(self, x: Floats) -> Callable[[], object]:
        """A call that runs one inference on ``x`` [1, C, H, W] and converts nothing: what latency is.

        Raises:
            ExportError: the file has an input of another shape or type.
        """
        ...


def channels_first(y: NDArray[Any]) -> NDArray[Any]:
    """A map [N, H, W, C] as [N, C, H, W]; anything else as it is."""
    return y.transpose(0, 3, 1, 2) if y.ndim == 4 else y


def as_int8(q: NDArray[Any]) -> Int8s:
    """8-bit integers on the int8 grid."""
    return (q.astype(np.int16) - (UINT8_OFFSET if q.dtype == np.uint8 else 0)).astype(np.int8)


def from_int8(q: Int8s, kind: np.dtype[Any]) -> NDArray[Any]:
    """Integers of the int8 grid as another 8-bit type."""
    return (q.astype(np.int16) + (UINT8_OFFSET if kind == np.uint8 else 0)).astype(kind)


def existing(path: Path) -> Path:
    """A path, if there is a file."""
    if not path.is_file():
        raise ExportError(f"{path} is not a file")
    return path


def unreadable(path: Path, runtime: str, error: Exception) -> ExportError:
    """A runtime cannot run a file."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return ExportError(f"{runtime} cannot run {path}: {reason}")


def several_outputs(path: Path, count: int) -> ExportError:
    """A file has several outputs."""
    return ExportError(f"{path} has {count} outputs; its answers can be read only if there is one")


def not_quantized(path: Path) -> ExportError:
    """An output has no integers."""
    return ExportError(f"the output of {path} is not quantized to 8 bits, so it has no integers")


def other_input(path: Path, found: str, x: Floats) -> ExportError:
    """A file wants another input."""
    return ExportError(f"{path} takes {found}; one float or 8-bit image of shape {list(x.shape)} is wanted")
