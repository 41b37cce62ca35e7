"""The equal-integers proof: what an ONNX and a TFLite int8 file store, compared number by number.

The readers share no code with the emitters. Layouts are undone from what the files themselves say: OIHW
against OHWI, depthwise [1, height, width, C], uint8 zero points minus 128, and the columns of a dense weight
behind a flattened map, which TFLite holds in H, W, C order.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray
from onnx import NodeProto, numpy_helper
from tabulate import tabulate

from edgesqueeze.errors import ParityError
from edgesqueeze.graph.lower import lower
from edgesqueeze.graph.nodes import Graph, WeightedNode
from edgesqueeze.graph.spec import QuantSpec
from edgesqueeze.measure.cut import OnnxFile, TfliteFile

Array = NDArray[Any]
KINDS = ("weight", "weight scale", "bias", "bias scale", "scale", "zero point")
"""What is compared of a layer: its parameters, and the grid of its output.

A layer kept in float has float32 weights and biases, without scales.
"""

_UINT8_OFFSET = 128
_OP = schema.BuiltinOperator
_DTYPES = {
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.INT8: np.int8,
    schema.TensorType.INT32: np.int32,
}


@dataclass(frozen=True, eq=False)
class StoredIntegers:
    """Every number of an int8 network: layer to kind (see :data:`KINDS`) to values, in PyTorch's layout."""

    source: str
    layers: dict[str, dict[str, Array]]


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
        body = [
            [layer, *(_cell(counts.get(kind), wrong.get((layer, kind))) for kind in KINDS)]
            for layer, counts in self.counts.items()
        ]
        text = tabulate(body, headers=["layer", *KINDS], disable_numparse=True)
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


def read_integers(path: Path) -> StoredIntegers:
    """What an int8 file of ours stores."""
    if path.suffix.lower() == ".onnx":
        return StoredIntegers(path.name, _onnx_layers(OnnxFile(path)))
    return StoredIntegers(path.name, _tflite_layers(TfliteFile(path)))


def spec_integers(graph: Graph, spec: QuantSpec) -> StoredIntegers:
    """What both files should store."""
    graph, spec = lower(graph, spec)
    layers: dict[str, dict[str, Array]] = {}
    for node in graph.nodes:
        grid = spec.activations[node.name]
        found = layers[node.name] = _grid(grid.scale, grid.zero_point)
        if isinstance(node, WeightedNode) and node.name not in spec.weights:
            found["weight"], found["bias"] = graph.weight(node), graph.bias(node)
        elif node.name in spec.weights:
            layer = spec.weights[node.name]
            found["weight"], found["weight scale"] = layer.weight, layer.scale
            found["bias"] = layer.bias
            found["bias scale"] = layer.bias_scale(spec.activations[node.inputs[0]].scale)
    return StoredIntegers("integer reference", layers)


# -- ONNX ------------------------------------------------------------------------------------------


def _onnx_layers(file: OnnxFile) -> dict[str, dict[str, Array]]:
    constants = {t.name: numpy_helper.to_array(t) for t in file.model.graph.initializer}
    layers: dict[str, dict[str, Array]] = {}
    grids: dict[str, dict[str, Array]] = {}
    for node in file.model.graph.node:
        if node.op_type == "QuantizeLinear":
            if not _is_node(file, node):
                continue
            scale, zero_point = (constants[name] for name in node.input[1:3])
            grids[node.name.removesuffix("/int")] = _grid(float(scale), int(zero_point) - _UINT8_OFFSET)
        elif node.op_type in ("Conv", "Gemm"):
            layers[node.name.removesuffix("/raw")] = _onnx_parameters(file, node, constants)
    return {name: {**grid, **layers.get(name, {})} for name, grid in grids.items()}


def _onnx_parameters(file: OnnxFile, node: NodeProto, constants: dict[str, Array]) -> dict[str, Array]:
    if node.input[1] in constants:
        return {"weight": constants[node.input[1]], "bias": constants[node.input[2]]}
    weight, bias = (file.makers[name] for name in node.input[1:3])
    return {
        "weight": constants[weight.input[0]],
        "weight scale": constants[weight.input[1]],
        "bias": constants[bias.input[0]],
        "bias scale": constants[bias.input[1]],
    }


def _is_node(file: OnnxFile, node: NodeProto) -> bool:
    """Whether a grid is a node's own: values are quantized before an activation and between moves as well."""
    maker = file.makers.get(node.input[0])
    moved = maker is not None and maker.op_type in ("Reshape", "Transpose")
    last = maker is not None and maker.name.endswith("/raw")
    return not node.name.endswith("/before/int") and (last or not moved)


# -- TFLite ----------------------------------------------------------------------------------------


def _tflite_layers(file: TfliteFile) -> dict[str, dict[str, Array]]:
    layers: dict[str, dict[str, Array]] = {}
    for name, index in file.indices.items():
        quantization = file.graph.tensors[index].quantization
        computed = index in file.makers or index in file.graph.inputs
        if computed and quantization is not None and quantization.scale is not None:
            layers[name] = _grid(float(quantization.scale[0]), int(quantization.zeroPoint[0]))
    for operator in file.graph.operators:
        code = file.code(operator)
        if code in (_OP.CONV_2D, _OP.DEPTHWISE_CONV_2D, _OP.FULLY_CONNECTED):
            layers[_result_name(file, operator)] |= _tflite_parameters(file, operator)
    inner = {f"{name}{ending}" for name in layers for ending in (".padded", ".map", ".groups", ".swapped")}
    return {name: layer for name, layer in layers.items() if name not in inner}


def _result_name(file: TfliteFile, operator: Any) -> str:
    """The int8 tensor a layer makes; behind one kept in float it is made by QUANTIZE."""
    result = int(operator.outputs[0])
    if file.graph.tensors[result].type == schema.TensorType.FLOAT32:
        result = next(int(op.outputs[0]) for op in file.graph.operators if result in op.inputs)
    return str(file.graph.tensors[result].name.decode())


def _tflite_parameters(file: TfliteFile, operator: Any) -> dict[str, Array]:
    weight, bias = (int(i) for i in operator.inputs[1:3])
    if file.graph.tensors[weight].type == schema.TensorType.FLOAT32:
        return {"weight": tflite_weight(file, operator), "bias": _constant(file, bias)}
    return {
        "weight": tflite_weight(file, operator),
        "weight scale": np.asarray(file.graph.tensors[weight].quantization.scale, np.float32),
        "bias": _constant(file, bias),
        "bias scale": np.asarray(file.graph.tensors[bias].quantization.scale, np.float32),
    }


def tflite_weight(file: TfliteFile, operator: Any) -> Array:
    """The int8 weight of a convolution or dense layer, in PyTorch's layout."""
    source, weight = (int(i) for i in operator.inputs[:2])
    values, code = _constant(file, weight), file.code(operator)
    if code == _OP.CONV_2D:
        return values.transpose(0, 3, 1, 2)
    if code == _OP.DEPTHWISE_CONV_2D:
        return values.transpose(3, 0, 1, 2)
    order = file.order(file.graph.tensors[source].name.decode())
    if order is None:
        return values
    restored = np.empty_like(values)
    restored[:, order] = values
    return restored


def _constant(file: TfliteFile, index: int) -> Array:
    tensor = file.graph.tensors[index]
    data = np.asarray(file.model.buffers[tensor.buffer].data, np.uint8)
    return data.view(np.dtype(_DTYPES[tensor.type]).newbyteorder("<")).reshape(file.shape(index))


# -- both ------------------------------------------------------------------------------------------


def _grid(scale: float, zero_point: int) -> dict[str, Array]:
    return {"scale": np.array([scale], np.float32), "zero point": np.array([zero_point], np.int64)}


def _alike(a: Array | None, b: Array | None) -> bool:
    return a is not None and b is not None and a.shape == b.shape and a.dtype == b.dtype


def _cell(count: int | None, differing: int | None) -> str:
    if count is None:
        return "–"
    return f"{count:,} =" if not differing else f"{differing:,} of {count:,} ≠"
