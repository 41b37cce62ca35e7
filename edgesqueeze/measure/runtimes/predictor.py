"""What every runtime gives: a loaded file that can be asked, and what they share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.errors import ExportError
from edgesqueeze.files import is_file
from edgesqueeze.network.graph.nodes import Floats
from edgesqueeze.network.integers.reference import Int8s
from edgesqueeze.normalization import Normalization
from edgesqueeze.trees import Tree, leaves

UINT8_OFFSET = 128


class Predictor(Protocol):
    """A loaded file. ``runtime`` is name and version; ``threads`` is how many it may use.

    Inputs are float32 [N, C, H, W]; of several inputs a tuple, or a dictionary by their names. A file that
    takes pixels is given those that the floats come from, rounded where they come from none. Every example is
    one inference.
    """

    runtime: str
    threads: int

    def predict(self, x: Tree) -> Floats:
        """The one output; see :class:`SinglePredictor`."""
        ...

    def predict_integers(self, x: Tree) -> Int8s:
        """The one output's integers."""
        ...

    def predict_all(self, x: Tree) -> dict[str, Floats]:
        """Every output by its name, in the file's order, [N, …] (maps as NCHW).

        Raises:
            ExportError: the file has inputs of another shape or type.
        """
        ...

    def integers_of_all(self, x: Tree) -> dict[str, Int8s]:
        """Like :meth:`predict_all`, but the integers of the outputs on their int8 grids.

        Raises:
            ExportError: as above, or an output is not quantized.
        """
        ...

    def prepare(self, x: Tree) -> Callable[[], object]:
        """A call that runs one inference on ``x`` [1, C, H, W] and converts nothing: what latency is.

        Raises:
            ExportError: the file has inputs of another shape or type.
        """
        ...


class SinglePredictor:
    """What follows for files with one output."""

    _path: Path

    def predict_all(self, x: Tree) -> dict[str, Floats]:
        """See :class:`Predictor`."""
        raise NotImplementedError

    def integers_of_all(self, x: Tree) -> dict[str, Int8s]:
        """See :class:`Predictor`."""
        raise NotImplementedError

    def predict(self, x: Tree) -> Floats:
        """The one output, [N, …].

        Raises:
            ExportError: the file has several outputs, or inputs of another shape or type.
        """
        return self._only(self.predict_all(x))

    def predict_integers(self, x: Tree) -> Int8s:
        """The one output's integers on its int8 grid.

        Raises:
            ExportError: as above, or the output is not quantized.
        """
        return self._only(self.integers_of_all(x))

    def _only(self, found: dict[str, NDArray[Any]]) -> NDArray[Any]:
        if len(found) != 1:
            raise ExportError(
                f"{self._path} has {len(found)} outputs: {', '.join(found)}; ask for all of them"
            )
        return next(iter(found.values()))


def channels_first(y: NDArray[Any]) -> NDArray[Any]:
    """A map [N, H, W, C] as [N, C, H, W]; anything else as it is."""
    return y.transpose(0, 3, 1, 2) if y.ndim == 4 else y


def as_int8(q: NDArray[Any]) -> Int8s:
    """8-bit integers on the int8 grid."""
    return (q.astype(np.int16) - (UINT8_OFFSET if q.dtype == np.uint8 else 0)).astype(np.int8)


def from_int8(q: Int8s, kind: np.dtype[Any]) -> NDArray[Any]:
    """Integers of the int8 grid as another 8-bit type."""
    return (q.astype(np.int16) + (UINT8_OFFSET if kind == np.uint8 else 0)).astype(kind)


def pixels_behind(normalization: Normalization | None, x: Floats) -> NDArray[np.uint8] | None:
    """The pixels that floats [N, C, ...] come from; None where it is not known how they became floats."""
    if normalization is None or x.ndim < 2 or len(normalization.mean) != x.shape[1]:
        return None
    return normalization.pixels(x)


def existing(path: Path) -> Path:
    """A path, if there is a file."""
    if not is_file(path):
        raise ExportError(f"{path} is not a file")
    return path


def unreadable(path: Path, runtime: str, error: Exception) -> ExportError:
    """A runtime cannot run a file."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return ExportError(f"{runtime} cannot run {path}: {reason}")


def not_quantized(path: Path) -> ExportError:
    """An output has no integers."""
    return ExportError(f"the output of {path} is not quantized to 8 bits, so it has no integers")


def other_input(path: Path, found: str, x: Tree) -> ExportError:
    """A file wants other inputs."""
    shapes = [list(part.shape) for part in leaves(x)]
    wanted = (
        f"one float or 8-bit image of shape {shapes[0]}" if len(shapes) == 1 else f"inputs of shapes {shapes}"
    )
    return ExportError(f"{path} takes {found}; {wanted} is wanted")
