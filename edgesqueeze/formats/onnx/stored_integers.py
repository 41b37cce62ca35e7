"""The integers that an ONNX file of ours stores, layer by layer, in PyTorch's layout."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from onnx import NodeProto, numpy_helper

from edgesqueeze.formats.onnx.cut import OnnxFile
from edgesqueeze.formats.onnx.writing.resize import FROM_ZERO
from edgesqueeze.formats.stored_values import Array, Layers, grid_of

_UINT8_OFFSET = 128
_LAYERS = ("Conv", "ConvTranspose", "Gemm")
Place = tuple[int, int, int]
"""Where a QOperator has a tensor, its scale and its zero point among its inputs."""


def onnx_layers(file: OnnxFile) -> Layers:
    """Every grid and parameter of an int8 file, QDQ or of QOperators."""
    constants = _constants(file)
    if any(opset.domain == "com.microsoft" for opset in file.model.opset_import):
        return _QOperators(file, constants).layers()
    layers: Layers = {}
    grids: Layers = {}
    taken = {value.name for value in file.model.graph.input}
    for node in file.model.graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in taken:  # pixels
            scale, zero_point = (constants[name] for name in node.input[1:3])
            grids[node.input[0]] = grid_of(float(scale), int(zero_point) - _UINT8_OFFSET)
        elif node.op_type == "QuantizeLinear":
            if not _is_node(file, node):
                continue
            scale, zero_point = (constants[name] for name in _grid_read(file, node))
            grids[node.name.removesuffix("/int")] = grid_of(float(scale), int(zero_point) - _UINT8_OFFSET)
        elif node.op_type in ("Conv", "Gemm"):
            layers[node.name.removesuffix("/raw")] = _dequantized_parameters(file, node, constants)
    return {name: {**grid, **layers.get(name, {})} for name, grid in grids.items()}


def onnx_weights(file: OnnxFile) -> Layers:
    """Every int8 weight, its scale and the float bias of a dynamic or weight-only file."""
    constants = _constants(file)
    nodes = {node.name: node for node in file.model.graph.node}
    layers: Layers = {}
    for node in file.model.graph.node:
        if node.op_type in ("ConvInteger", "MatMulInteger"):
            name, weight = node.name.removesuffix("/sum"), constants[node.input[1]]
            if node.op_type == "ConvInteger":
                weight = (weight.astype("int16") - constants[node.input[3]]).astype("int8")
            scale, bias = (constants[nodes[f"{name}/{part}"].input[1]] for part in ("scale", "raw"))
            layers[name] = _weight(weight if weight.ndim == 4 else weight.T, scale, bias)
        elif node.op_type in _LAYERS and node.input[1] in constants:  # kept in float
            parameters = _dequantized_parameters(file, node, constants)
            parameters["weight"] = _in_layout(node, parameters["weight"])
            layers[node.name.removesuffix("/raw")] = parameters
        elif node.op_type in _LAYERS:
            product = file.makers[node.input[1]]
            weight = _in_layout(node, constants[file.makers[product.input[0]].input[0]])
            bias = constants[node.input[2]]
            layers[node.name.removesuffix("/raw")] = _weight(weight, constants[product.input[1]], bias)
    return layers


def _in_layout(node: NodeProto, weight: Array) -> Array:
    """A weight as the graph has it: ONNX has that of a transposed convolution as [in, out, …]."""
    return weight.swapaxes(0, 1) if node.op_type == "ConvTranspose" else weight


def _constants(file: OnnxFile) -> dict[str, Array]:
    return {t.name: numpy_helper.to_array(t) for t in file.model.graph.initializer}


def _weight(weight: Array, scale: Array, bias: Array) -> dict[str, Array]:
    return {"weight": weight, "weight scale": scale.reshape(-1), "bias": bias.reshape(-1)}


def _dequantized_parameters(file: OnnxFile, node: NodeProto, constants: dict[str, Array]) -> dict[str, Array]:
    if node.input[1] in constants:  # kept in float
        return {"weight": constants[node.input[1]], "bias": constants[node.input[2]]}
    weight, bias = (file.makers[name] for name in node.input[1:3])
    return {
        "weight": constants[weight.input[0]],
        "weight scale": constants[weight.input[1]].reshape(-1),
        "bias": constants[bias.input[0]],
        "bias scale": constants[bias.input[1]].reshape(-1),
    }


def _is_node(file: OnnxFile, node: NodeProto) -> bool:
    """Whether a grid is a node's own: values are quantized before an activation and between moves as well."""
    maker = file.makers.get(node.input[0])
    moved = maker is not None and maker.op_type in ("Reshape", "Transpose", "MatMul")
    last = maker is not None and maker.name.endswith("/raw")
    return not node.name.endswith("/before/int") and (last or not moved)


def _grid_read(file: OnnxFile, node: NodeProto) -> tuple[str, str]:
    """Scale and zero point of a node's integers: of a lifted resize those with which they are read again."""
    maker = file.makers.get(node.input[0])
    if maker is None or not str(maker.input[0]).endswith(FROM_ZERO):
        return node.input[1], node.input[2]
    reader = next(n for n in file.model.graph.node if n.name == f"{str(node.name).removesuffix('/int')}/out")
    return reader.input[1], reader.input[2]


# -- QOperators ------------------------------------------------------------------------------------

# Where an operator has its inputs with their grids, the grid of its output, and weight, scale and bias.
_ONE: tuple[Place, ...] = ((0, 1, 2),)
_TWO: tuple[Place, ...] = ((0, 1, 2), (3, 4, 5))
_OPERATORS: dict[str, tuple[tuple[Place, ...], tuple[int, int], tuple[int, int, int] | None]] = {
    "QGemm": (_ONE, (7, 8), (3, 4, 6)),
    "QLinearAdd": (_TWO, (6, 7), None),
    "QLinearConcat": ((), (0, 1), None),
    "QLinearConv": (_ONE, (6, 7), (3, 4, 8)),
    "QLinearGlobalAveragePool": (_ONE, (3, 4), None),
    "QLinearMul": (_TWO, (6, 7), None),
    "QLinearSigmoid": (_ONE, (3, 4), None),
}


@dataclass
class _QOperators:
    """One walk over a file; ``grids`` maps a uint8 value to the scale and zero point its maker has for it.

    What only moves values has no grid of its own and takes that of its input. An operator that reads a
    value on another grid than its maker wrote is given away by "input scale" and "input zero point".
    """

    file: OnnxFile
    constants: dict[str, Array]
    grids: dict[str, tuple[Array, Array]] = field(default_factory=dict)

    def layers(self) -> Layers:
        found: Layers = {}
        for node in self.file.model.graph.node:
            found |= self._pixels(node)
            parts = {**self._parameters(node), **self._misread(node)}
            grid = self._output_grid(node)
            if grid is not None:
                self.grids[node.output[0]] = grid
            name, _, ending = str(node.name).rpartition("/")
            if node.op_type in ("Conv", "Gemm"):  # kept in float
                found[name] = _dequantized_parameters(self.file, node, self.constants)
            elif node.op_type == "QuantizeLinear" and not _is_node(self.file, node):
                continue
            elif ending in ("int", "raw") and grid is not None:
                found.setdefault(name, {}).update(parts)
                found[name] |= grid_of(float(grid[0]), int(grid[1]) - _UINT8_OFFSET)
            elif parts:  # the DequantizeLinear at the end belongs to no layer
                found[str(node.name)] = parts
        return {name: parts for name, parts in found.items() if not name.endswith("/before")}

    def _pixels(self, node: NodeProto) -> Layers:
        """The grid of an input of pixels, which nothing makes: that on which it is read first."""
        taken = {value.name for value in self.file.model.graph.input}
        found: Layers = {}
        for value, scale, zero_point in self._places(node):
            name = str(node.input[value])
            if name in taken and name not in self.grids:
                grid = self.constants[node.input[scale]], self.constants[node.input[zero_point]]
                self.grids[name] = grid
                found[name] = grid_of(float(grid[0]), int(grid[1]) - _UINT8_OFFSET)
        return found

    def _output_grid(self, node: NodeProto) -> tuple[Array, Array] | None:
        if node.op_type in _OPERATORS:
            scale, zero_point = _OPERATORS[node.op_type][1]
            return self.constants[node.input[scale]], self.constants[node.input[zero_point]]
        if node.op_type == "QuantizeLinear":
            maker = self.file.makers.get(node.input[0])
            if maker is not None and str(maker.input[0]).endswith(FROM_ZERO):  # it keeps the grid
                return self.grids[self.file.makers[maker.input[0]].input[0]]
            return self.constants[node.input[1]], self.constants[node.input[2]]
        return None if node.op_type == "DequantizeLinear" else self.grids.get(node.input[0])

    def _places(self, node: NodeProto) -> Iterator[Place]:
        if node.op_type == "QLinearConcat":
            yield from ((i, i + 1, i + 2) for i in range(2, len(node.input), 3))
        elif node.op_type == "DequantizeLinear" and not str(node.name).endswith(FROM_ZERO):
            yield 0, 1, 2
        elif node.op_type in _OPERATORS:
            yield from _OPERATORS[node.op_type][0]

    def _misread(self, node: NodeProto) -> dict[str, Array]:
        """What an operator takes for its input's grid, where that is another one."""
        wrong: dict[str, Array] = {}
        for value, scale, zero_point in self._places(node):
            made = self.grids.get(node.input[value])
            if made is None:  # a constant: what it is read as is all that is known of it
                continue
            read = self.constants[node.input[scale]], self.constants[node.input[zero_point]]
            for kind, a, b in zip(("input scale", "input zero point"), made, read, strict=True):
                if a != b:
                    wrong[kind] = b.reshape(-1)
        if node.op_type == "Pad" and self.constants[node.input[2]] != self.grids[node.input[0]][1]:
            wrong["input zero point"] = self.constants[node.input[2]].reshape(-1)
        return wrong

    def _parameters(self, node: NodeProto) -> dict[str, Array]:
        places = _OPERATORS[node.op_type][2] if node.op_type in _OPERATORS else None
        if places is None:
            return {}
        weight, scale, bias = (self.constants[node.input[place]] for place in places)
        found = _weight(weight, scale, bias)
        # The operators have no scale for the bias: it is the product of these two.
        return {**found, "bias scale": found["weight scale"] * self.constants[node.input[1]]}
