"""The equal-integers proof: what ONNX and TFLite files with int8 weights store, compared number by number.

The readers share no code with the emitters. Layouts are undone from what the files themselves say: OIHW
against OHWI, depthwise [1, height, width, C], uint8 zero points minus 128, and the columns of a dense weight
behind a flattened map, which TFLite holds in H, W, C order.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate

from edgesqueeze.errors import ParityError
from edgesqueeze.formats.any_file import stored_integers, stored_weights
from edgesqueeze.formats.stored_values import Array, Layers, grid_of
from edgesqueeze.network.graph.nodes import Constant, Graph, WeightedNode
from edgesqueeze.network.integers.lower import lower
from edgesqueeze.network.integers.spec import QuantSpec
from edgesqueeze.network.integers.weight_only import int8_weights

KINDS = (
    "weight",
    "weight scale",
    "bias",
    "bias scale",
    "scale",
    "zero point",
    "input scale",
    "input zero point",
)
"""What is compared of a layer: its parameters, and the grid of its output.

A layer kept in float has float32 weights and biases, without scales. The last two kinds are there only if a
layer takes its input for one on another grid than it is.
"""


@dataclass(frozen=True, eq=False)
class StoredIntegers:
    """Every number of an int8 network: layer to kind (see :data:`KINDS`) to values, in PyTorch's layout."""

    source: str
    layers: Layers


@dataclass(frozen=True)
class Inequality:
    """Numbers of one layer that two sources hold differently: all of them if the shapes differ."""

    layer: str
    kind: str
    differing: int
    values: int


@dataclass(frozen=True)
class IntegersProof:
    """Two sources compared. ``counts`` maps a layer to how many numbers of each kind were compared."""

    one: str
    other: str
    counts: dict[str, dict[str, int]]
    differences: tuple[Inequality, ...] = field(default=())

    @property
    def compared(self) -> int:
        """How many numbers were compared."""
        return sum(sum(kinds.values()) for kinds in self.counts.values())

    def failures(self) -> list[str]:
        """One sentence for every layer and kind that differs, in execution order."""
        return [
            f"{self.one} and {self.other} differ in layer {entry.layer!r}: "
            f"{entry.differing:,} of {entry.values:,} numbers of its {entry.kind}"
            for entry in self.differences
        ]

    def require(self) -> None:
        """Raise if anything differs.

        Raises:
            ParityError: the first layer that differs, in one sentence.
        """
        for sentence in self.failures():
            raise ParityError(sentence)

    def summary(self) -> str:
        """One line."""
        if not self.differences:
            return f"{self.one} = {self.other}: {self.compared:,} stored numbers are equal"
        layers = len({entry.layer for entry in self.differences})
        return f"{self.one} ≠ {self.other} in {layers} of {len(self.counts)} layers"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "one": self.one,
            "other": self.other,
            "equal": not self.differences,
            "compared": self.compared,
            "layers": self.counts,
            "differences": [asdict(entry) for entry in self.differences],
        }

    def table(self) -> str:
        """One line a layer: how many numbers of each kind were compared, and how many differ."""
        wrong = {(entry.layer, entry.kind): entry.differing for entry in self.differences}
        kinds = [kind for kind in KINDS if any(kind in counts for counts in self.counts.values())]
        body = [
            [layer, *(_cell(counts.get(kind), wrong.get((layer, kind))) for kind in kinds)]
            for layer, counts in self.counts.items()
        ]
        text = tabulate(body, headers=["layer", *kinds], disable_numparse=True)
        return f"{self.summary()}\n\n{text}"


def compare_integers(one: StoredIntegers, other: StoredIntegers) -> IntegersProof:
    """Compare two sources, layer by layer. A layer or a kind that only one of them has differs entirely."""
    counts: dict[str, dict[str, int]] = {}
    differences: list[Inequality] = []
    for layer in dict.fromkeys([*one.layers, *other.layers]):
        left, right = one.layers.get(layer, {}), other.layers.get(layer, {})
        counts[layer] = {}
        for kind in (kind for kind in KINDS if kind in left or kind in right):
            a, b = left.get(kind), right.get(kind)
            size = (a if a is not None else right[kind]).size
            counts[layer][kind] = size
            differing = int(np.count_nonzero(a != b)) if _alike(a, b) else size
            if differing:
                differences.append(Inequality(layer, kind, differing, size))
    return IntegersProof(one.source, other.source, counts, tuple(differences))


def prove_equal(
    files: Sequence[Path], graph: Graph | None = None, spec: QuantSpec | None = None
) -> list[IntegersProof]:
    """Compare int8 files with the network they were written from, if it is given, and with each other.

    Args:
        files: int8 ``.onnx`` and ``.tflite`` files.
        graph: the network.
        spec: its integers; without both, only the files are compared.

    Raises:
        ExportError: a file cannot be read.
    """
    sources = [read_integers(path) for path in files]
    if graph is not None and spec is not None:
        sources.insert(0, spec_integers(graph, spec))
    return [compare_integers(one, other) for i, one in enumerate(sources) for other in sources[i + 1 :]]


def prove_weights(files: Sequence[Path], graph: Graph, spec: QuantSpec | None) -> list[IntegersProof]:
    """Compare the int8 weights and float biases of dynamic and weight-only files with those of their network.

    Raises:
        ExportError: a file cannot be read.
    """
    nodes = {node.name: node for node in graph.weighted}
    layers: Layers = {
        name: {"weight": layer.weight, "weight scale": layer.scale, "bias": graph.bias(nodes[name])}
        for name, layer in int8_weights(graph, spec).items()
    }
    for node in graph.weighted:
        if node.name not in layers:  # kept in float
            layers[node.name] = {"weight": graph.weight(node), "bias": graph.bias(node)}
    network = StoredIntegers("int8 weights", layers)
    return [compare_integers(network, read_weights(path)) for path in files]


def read_integers(path: Path) -> StoredIntegers:
    """What an int8 file of ours stores."""
    return StoredIntegers(path.name, stored_integers(path))


def read_weights(path: Path) -> StoredIntegers:
    """What a dynamic or weight-only file of ours stores."""
    return StoredIntegers(path.name, stored_weights(path))


def spec_integers(graph: Graph, spec: QuantSpec) -> StoredIntegers:
    """What both files should store."""
    graph, spec = lower(graph, spec)
    layers: Layers = {}
    for node in graph.nodes:
        if isinstance(node, Constant):  # no operator makes it; where it is read, the answers tell
            continue
        grid = spec.activations[node.name]
        found = layers[node.name] = grid_of(grid.scale, grid.zero_point)
        if isinstance(node, WeightedNode) and node.name not in spec.weights:
            found["weight"], found["bias"] = graph.weight(node), graph.bias(node)
        elif node.name in spec.weights:
            layer = spec.weights[node.name]
            found["weight"], found["weight scale"] = layer.weight, layer.scale
            found["bias"] = layer.bias
            found["bias scale"] = layer.bias_scale(spec.activations[node.inputs[0]].scale)
    return StoredIntegers("integer reference", layers)


def _alike(a: Array | None, b: Array | None) -> bool:
    return a is not None and b is not None and a.shape == b.shape and a.dtype == b.dtype


def _cell(count: int | None, differing: int | None) -> str:
    if count is None:
        return "–"
    return f"{count:,} =" if not differing else f"{differing:,} of {count:,} ≠"
