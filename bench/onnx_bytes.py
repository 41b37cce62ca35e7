"""Where the bytes of an ONNX file go; the categories sum to the file's size."""

from collections import Counter

import onnx

from bench.wire import field_numbers, fields

_MODEL, _GRAPH = field_numbers(onnx.ModelProto), field_numbers(onnx.GraphProto)
_NODE, _TENSOR = field_numbers(onnx.NodeProto), field_numbers(onnx.TensorProto)
_VALUE = field_numbers(onnx.ValueInfoProto)


def onnx_bytes(data: bytes) -> Counter[str]:
    """Category to bytes.

    Names are counted wherever they stand: where a tensor is made, and every time a node reads it.
    """
    roles = _roles(onnx.load_from_string(data))
    found: Counter[str] = Counter()
    for part in fields(memoryview(data)):
        if part.number == _MODEL["graph"]:
            found["operators and graph"] += part.overhead
            _graph(part.value, roles, found)
        else:
            found["operators and graph"] += part.overhead + len(part.value)
    return found


def _graph(graph: memoryview, roles: dict[str, str], found: Counter[str]) -> None:
    for part in fields(graph):
        found["operators and graph"] += part.overhead
        if part.number == _GRAPH["node"]:
            _named(part.value, {_NODE["name"], _NODE["input"], _NODE["output"]}, found)
        elif part.number == _GRAPH["initializer"]:
            _tensor(part.value, roles, found)
        elif part.number in (_GRAPH["input"], _GRAPH["output"], _GRAPH["value_info"]):
            _named(part.value, {_VALUE["name"]}, found)
        else:
            found["names" if part.number == _GRAPH["name"] else "operators and graph"] += len(part.value)


def _named(message: memoryview, names: set[int], found: Counter[str]) -> None:
    for part in fields(message):
        found["operators and graph"] += part.overhead
        found["names" if part.number in names else "operators and graph"] += len(part.value)


def _tensor(tensor: memoryview, roles: dict[str, str], found: Counter[str]) -> None:
    """A constant: its values by their role, its name, and the rest of its record."""
    name = next(bytes(p.value).decode() for p in fields(tensor) if p.number == _TENSOR["name"])
    values = {n for key, n in _TENSOR.items() if key.endswith("_data")}
    for part in fields(tensor):
        found["tensor records"] += part.overhead
        if part.number == _TENSOR["name"]:
            found["names"] += len(part.value)
        elif part.number in values:
            found[roles.get(name, "other constants")] += len(part.value)
        else:
            found["tensor records"] += len(part.value)


def _roles(model: onnx.ModelProto) -> dict[str, str]:
    """What each constant is, by who reads it."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    restored: dict[str, onnx.NodeProto] = {}
    roles: dict[str, str] = {}
    for node in model.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            stored = node.input[0] in constants
            if stored:
                restored[node.output[0]] = node
            for name, role in zip(node.input[1:], ("scales", "zero points"), strict=False):
                roles.setdefault(name, f"{'weight and bias' if stored else 'activation'} {role}")
        elif node.op_type in ("Conv", "Gemm", "ConvTranspose", "MatMul"):
            for name, role in zip(node.input[1:3], ("weights", "biases"), strict=False):
                source = restored[name].input[0] if name in restored else name
                if source in constants:
                    roles[source] = role
    return roles
