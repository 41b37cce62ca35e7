"""What every runtime gives: a loaded file that can be asked, and what they share."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.errors import ExportError
from edgesqueeze.files import is_file
from edgesqueeze.network.graph.nodes import Floats
from edgesqueeze.network.integers.reference import Int8s
from edgesqueeze.normalization import Normalization
from edgesqueeze.trees import Tree, leaves, length_of, rows_of

UINT8_OFFSET = 128


class Predictor(Protocol):
    """A loaded file. ``runtime`` is name and version; ``threads`` is how many it may use.

    Inputs are float32 [N, C, H, W]; of several inputs a tuple, or a dictionary by their names. A file that
    takes pixels is given those that the floats come from, rounded where they come from none. Every example is
    one inference, but for files that take a number of them at once.
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

        A file that takes a number of inputs at once is given as many copies.

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


def fixed_batch(shapes: Sequence[Sequence[Any]]) -> int:
    """How many inputs a file takes at once, from its inputs' shapes; 1 also for any number."""
    firsts = {shape[0] if len(shape) > 1 else 1 for shape in shapes}
    first = firsts.pop() if len(firsts) == 1 else 1
    return int(first) if isinstance(first, int | np.integer) and first > 1 else 1


def in_batches(x: Tree, size: int) -> Iterator[tuple[Tree, int]]:
    """So many examples at a time, and how many of them count: behind the last stand copies of it."""
    count = length_of(x)
    for start in range(0, count, size):
        rows = np.minimum(np.arange(start, start + size), count - 1)
        yield rows_of(x, rows), min(size, count - start)


def one_batch(x: Tree, size: int) -> Tree:
    """What a file is given in one run: copies of the first example where it takes a number of them."""
    return x if size == 1 else next(in_batches(x, size))[0]


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
