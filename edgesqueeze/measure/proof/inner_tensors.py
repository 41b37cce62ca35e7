"""What the parity gate asks of files: inner tensors, for which a file is cut and run, and differences."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.formats.any_file import open_cuttable
from edgesqueeze.measure.proof.parity_report import FileParity
from edgesqueeze.measure.runtimes.runtime import load_model
from edgesqueeze.trees import Tree, length_of, rows_of

Values = NDArray[Any]
_BATCH = 16
LAYER_IMAGES = 8
"""How many inputs are enough to look into a file layer by layer."""


class InnerTensors:
    """A file whose inner tensors can be asked for.

    ``names`` are the nodes known by name, in execution order, ``results`` maps outputs to nodes; ``integers``
    says whether int8 values are wanted or real numbers.
    """

    def __init__(self, path: Path, *, integers: bool) -> None:
        self._file = open_cuttable(path)
        self._suffix = path.suffix
        self._integers = integers
        self.names = self._file.names
        self.results = self._file.results

    def at(self, name: str, x: Tree) -> Values:
        """A node's output [N, …] for inputs [N, C, H, W], in the graph's order of values."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"cut{self._suffix}"
            path.write_bytes(self._file.cut(name))
            predictor = load_model(path)
            y: Values = predictor.predict_integers(x) if self._integers else predictor.predict(x)
        order = self._file.order(name)
        if order is None:
            return y
        restored = np.empty_like(y)
        restored[:, order] = y
        return restored


def batches_of(x: Tree) -> Iterator[Tree]:
    """A few inputs at a time."""
    return (rows_of(x, slice(i, i + _BATCH)) for i in range(0, length_of(x), _BATCH))


def distance(found: Values, expected: Values) -> NDArray[np.float64]:
    """How far two tensors are apart, value by value."""
    return np.asarray(np.abs(found.astype(np.float64) - expected.astype(np.float64)))


def difference(name: str, found: Values, expected: Values, tolerance: float) -> FileParity:
    """A file's answers against a reference's."""
    apart = distance(found, expected)
    return FileParity(
        file=name,
        reference="integer reference" if found.dtype == np.int8 else "torch",
        precision="int8" if found.dtype == np.int8 else "fp32",
        values=apart.size,
        differing=int(np.count_nonzero(~(apart <= tolerance))),
        largest=float(apart.max()),
        tolerance=tolerance,
    )


def differing_images(found: Values, expected: Values, tolerance: float) -> NDArray[np.bool_]:
    """Which of the inputs have answers that differ."""
    wrong = ~(distance(found, expected) <= tolerance)
    return np.asarray(wrong.reshape(len(wrong), -1).any(axis=1))
