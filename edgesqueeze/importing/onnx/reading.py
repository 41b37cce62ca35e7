"""From an ONNX graph to steps: what is constant is computed once, everything else becomes torch's.

Shapes are known, for the graph is run on one example while it is read: whatever an exporter computes from
sizes is a constant then. Only the first dimension, the batch, is kept open.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Literal

import numpy as np
import onnx
import torch
from onnx.reference import ReferenceEvaluator
from torch import Tensor

from edgesqueeze.errors import EdgeSqueezeError, UnsupportedLayerError
from edgesqueeze.importing.onnx.joining import join
from edgesqueeze.importing.onnx.limits import check_node
from edgesqueeze.importing.onnx.network import OnnxNetwork, Step, results
from edgesqueeze.importing.onnx.node import OnnxNode, Values
from edgesqueeze.importing.onnx.operations import TRANSLATIONS
from edgesqueeze.importing.onnx.operations.translation import Work
from edgesqueeze.importing.onnx.operations.values import ELEMENTWISE
from edgesqueeze.trees import leaves

_FROM_SHAPES = ("Shape", "Size")
_QUANTIZED = (
    "QuantizeLinear",
    "DequantizeLinear",
    "QLinearConv",
    "ConvInteger",
    "MatMulInteger",
    "DynamicQuantizeLinear",
)


def read_network(
    model: onnx.ModelProto, examples: Mapping[str, Tensor], channels_last: frozenset[str]
) -> OnnxNetwork:
    """The network of a model without functions, subgraphs or training information.

    Args:
        model: its graph's nodes in an order in which they can be computed.
        examples: one example for every input, as the file wants it, [1, ...].
        channels_last: the inputs whose examples have channels last.

    Raises:
        UnsupportedLayerError: a node that cannot be computed here, by its name.
    """
    graph = model.graph
    values = Values(
        constants={tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer},
        examples=dict(examples),
        readers=Counter([*(n for node in graph.node for n in node.input), *(o.name for o in graph.output)]),
    )
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 1)
    needed = _needed(graph)
    steps = []
    for place, proto in enumerate(graph.node):
        if needed.isdisjoint(proto.output):
            continue
        node = OnnxNode(proto, opset, place, values)
        if not _folded(node):
            steps.append(_step(node))
            _check_given(node, needed)
    outputs = [output.name for output in graph.output]
    constant = next((name for name in outputs if name in values.constants), None)
    if constant is not None:
        raise UnsupportedLayerError(f"the ONNX model's output {constant!r} does not depend on its input")
    ends_in_softmax = any(node.op_type == "Softmax" and node.output[0] in outputs[:1] for node in graph.node)
    steps = join(steps, values)
    used = {step.layer for step in steps}
    layers = {name: layer for name, layer in values.layers.items() if name in used}
    network = OnnxNetwork(steps, layers, list(examples), outputs, channels_last, ends_in_softmax).eval()
    _check_batches(network, examples)
    return network


@torch.no_grad()
def _check_batches(network: OnnxNetwork, examples: Mapping[str, Tensor]) -> None:
    """Refuse a network that takes one example alone: it is trained and measured on batches."""
    two = [example.repeat(2, *[1] * (example.ndim - 1)) for example in examples.values()]
    turned = [
        x.movedim(-1, 1) if name in network.channels_last else x
        for name, x in zip(examples, two, strict=True)
    ]
    try:
        found = list(leaves(network(*turned)))
        fits = all(part.ndim and len(part) == 2 for part in found)
    except (RuntimeError, ValueError) as error:
        raise UnsupportedLayerError(
            f"the ONNX model takes one example alone, a batch of two ends in: {' '.join(str(error).split())}"
        ) from error
    if not fits:
        raise UnsupportedLayerError("the ONNX model mixes the examples of a batch")


def _needed(graph: onnx.GraphProto) -> set[str]:
    """Names of the values that some output depends on."""
    made_by = {name: node for node in graph.node for name in node.output}
    needed, stack = set(), [output.name for output in graph.output]
    while stack:
        name = stack.pop()
        if name not in needed and name:
            needed.add(name)
            stack.extend(made_by[name].input if name in made_by else ())
    return needed


def _folded(node: OnnxNode) -> bool:
    """Compute a node at once if all it depends on is known."""
    proto, values = node.proto, node.values
    if node.kind in _FROM_SHAPES:
        shape = np.array(node.example().shape, np.int64)
        start, end = node.attribute("start", 0), node.attribute("end")
        found = shape[slice(start, end)] if node.kind == "Shape" else np.array(shape.prod(), np.int64)
        values.constants[proto.output[0]] = found
        return True
    if node.activations or proto.domain not in ("", "ai.onnx"):
        return False
    names = [name for name in proto.input if name]
    check_node(node)
    try:
        evaluator = ReferenceEvaluator(proto, opsets={"": node.opset})
        found_all = evaluator.run(None, {name: values.constants[name] for name in names})
    except Exception as error:  # the reference raises many unrelated types
        raise node.refuse(f"has constants that cannot be computed: {error}") from error
    values.constants.update({n: np.asarray(v) for n, v in zip(proto.output, found_all, strict=False) if n})
    return True


def _check_given(node: OnnxNode, needed: set[str]) -> None:
    """Refuse a node of whose further outputs, a mask say, one is asked for."""
    missing = [name for name in node.proto.output if name in needed and name not in node.values.examples]
    if missing:
        raise node.refuse(f"gives {missing[0]!r} too, which is not supported")


def _step(node: OnnxNode) -> Step:
    if node.kind in _QUANTIZED:
        raise node.refuse("is quantized already; give the float model, which is quantized here")
    translation = TRANSLATIONS.get(node.kind) if node.proto.domain in ("", "ai.onnx") else None
    if translation is None:
        raise node.refuse("is not supported")
    check_node(node)
    try:
        work = translation(node)
        outputs = tuple(node.proto.output)
        step = Step(work.call, node.activations, outputs, work.layer, node.kind, _kind_of(node, work))
        node.values.made_by.update(dict.fromkeys(step.outputs, work.layer))
        _run(step, node.values)
    except EdgeSqueezeError:
        raise
    except Exception as error:  # attributes and shapes that do not fit raise many unrelated types
        raise node.refuse(f"does not fit what it is given: {' '.join(str(error).split())[:200]}") from error
    return step


def _kind_of(node: OnnxNode, work: Work) -> Literal["elementwise", "row", ""]:
    if work.layer or len(node.proto.output) != 1:
        return ""
    if node.kind in ELEMENTWISE:
        return "elementwise"
    axes = node.numbers(1, "axes") if node.kind == "ReduceMean" else None
    of_rows = axes is not None and [axis % node.example().ndim for axis in axes] == [node.example().ndim - 1]
    return "row" if of_rows and node.attribute("keepdims", 1) else ""


@torch.no_grad()
def _run(step: Step, values: Values) -> None:
    """What a step makes of the example."""
    given = [values.examples[name] for name in step.inputs]
    layer = [values.layers[step.layer].eval()] if step.layer else []
    found = step.call(*layer, *given)
    values.examples.update(dict(zip(step.outputs, results(found), strict=False)))
