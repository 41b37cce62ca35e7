"""The parity gate for ``dynamic`` and ``int4`` files, in which activations become integers while they run.

Where two runtimes round one value to different steps, a deep network may carry that far; end to end there is
no tolerance that an honest file always meets and a wrong one never. So every node is compared on its own: it
must compute what torch computes from the very values the file computed before it. These are read in one run,
from the file with its inner tensors as further outputs, and the file itself must answer as that one does.
"""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgesqueeze.formats.any_file import open_cuttable
from edgesqueeze.measure.proof.float_reference import (
    DYNAMIC_TOLERANCE,
    FLOAT_TOLERANCE,
    NAMES,
    FloatReference,
)
from edgesqueeze.measure.proof.parity_report import Divergence, FileParity
from edgesqueeze.measure.runtimes.predictor import Predictor
from edgesqueeze.measure.runtimes.runtime import load_model
from edgesqueeze.network.graph.nodes import Constant, Floats, constant_values
from edgesqueeze.trees import Tree, by_name, length_of, rows_of


@dataclass
class _Node:
    """What was seen of one node over all inputs, differences as fractions of the largest magnitude."""

    values: int = 0
    differing: int = 0
    largest: float = 0.0

    def add(self, found: Floats, expected: Floats, tolerance: float) -> None:
        largest = float(np.abs(expected).max()) or 1.0
        apart = np.abs(found.astype(np.float64) - expected) / largest
        self.values += apart.size
        self.differing += int(np.count_nonzero(~(apart <= tolerance)))
        self.largest = max(self.largest, float(apart.max()))


def compare_dynamic(path: Path, predictor: Predictor, reference: FloatReference, x: Tree) -> FileParity:
    """Compare a ``dynamic`` file with its network, node by node.

    Args:
        path: the file.
        predictor: the file, loaded.
        reference: the network by the rule of the file's runtime.
        x: float32 [N, C, H, W], or a tree of several inputs.

    Raises:
        ExportError: the file cannot be run.
    """
    return _compare_nodes(path, predictor, reference, x, "dynamic")


def compare_int4(path: Path, predictor: Predictor, reference: FloatReference, x: Tree) -> FileParity:
    """Likewise an ``int4`` file, whose dense layers quantize their input or not, as the processor allows.

    Raises:
        ExportError: the file cannot be run.
    """
    found = _compare_nodes(path, predictor, reference, x, "int4")
    if found.largest <= FLOAT_TOLERANCE:
        return found
    in_float = _compare_nodes(path, predictor, replace(reference, in_blocks=frozenset()), x, "int4")
    return min(found, in_float, key=lambda entry: entry.largest)


def _compare_nodes(
    path: Path, predictor: Predictor, reference: FloatReference, x: Tree, precision: str
) -> FileParity:
    graph = reference.graph
    inputs = [node.name for node in graph.inputs]
    stored = {node.name: constant_values(graph, node) for node in graph.nodes if isinstance(node, Constant)}
    nodes = {node.name: _Node() for node in graph.nodes if node.name not in {*inputs, *stored}}
    whole = _Node()
    watched = _Watched(path, list(nodes))
    for i in range(length_of(x)):
        image = rows_of(x, slice(i, i + 1))
        values = {**stored, **by_name(image, inputs), **watched.tensors(image)}
        for name, node in nodes.items():
            node.add(values[name], reference.output(name, values), DYNAMIC_TOLERANCE)
        for name, y in predictor.predict_all(image).items():
            whole.add(y, values[graph.output_nodes[name].name], FLOAT_TOLERANCE)
    wrong = next(((name, node) for name, node in nodes.items() if node.differing), None)
    first = (
        None if wrong is None else Divergence(wrong[0], wrong[1].differing, wrong[1].values, wrong[1].largest)
    )
    seen = [*nodes.values(), whole]
    return FileParity(
        file=path.name,
        reference=NAMES[precision],
        precision=precision,
        values=sum(node.values for node in seen),
        differing=sum(node.differing for node in seen),
        largest=max(node.largest for node in seen),
        tolerance=DYNAMIC_TOLERANCE,
        first=first,
    )


class _Watched:
    """A file with the tensors of its nodes as outputs."""

    def __init__(self, path: Path, names: list[str]) -> None:
        self._file, self._names = open_cuttable(path), names
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / f"watched{path.suffix}"
            copy.write_bytes(self._file.watched(names))
            self._predictor = load_model(copy)

    def tensors(self, x: Tree) -> dict[str, Floats]:
        """Node name to its output [N, …], in the graph's order of values."""
        found = dict(zip(self._names, self._predictor.predict_all(x).values(), strict=True))
        for name, y in found.items():
            order = self._file.order(name)
            if order is not None:
                found[name] = np.empty_like(y)
                found[name][:, order] = y
        return found
