"""Which files an ONNX model is in: its own, and those that its tensors name."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto
from onnx.external_data_helper import uses_external_data


def files_of(path: Path) -> tuple[Path, ...]:
    """The file of a model that could be loaded, and its data files in the order of their names."""
    model = onnx.load(path, load_external_data=False)
    return (path, *sorted(data_files(path.parent, model)))


def data_files(folder: Path, model: ModelProto) -> set[Path]:
    """The files beside a model's own that hold some of its tensors."""
    return {
        folder / entry.value
        for tensor in _tensors(model)
        if uses_external_data(tensor)
        for entry in tensor.external_data
        if entry.key == "location"
    }


def graphs_of(graph: GraphProto) -> Iterator[GraphProto]:
    """A graph and every branch and loop body inside it."""
    yield graph
    yield from _inside(graph.node)


def _inside(nodes: Iterable[NodeProto]) -> Iterator[GraphProto]:
    for node in nodes:
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from graphs_of(inner)


def _tensors(model: ModelProto) -> Iterator[TensorProto]:
    """Every stored tensor: initializers, and what nodes hold, those of functions too."""
    functions = [function.node for function in model.functions]
    graphs = [*graphs_of(model.graph), *(inner for nodes in functions for inner in _inside(nodes))]
    for graph in graphs:
        yield from graph.initializer
    for nodes in (*functions, *(graph.node for graph in graphs)):
        yield from (a.t for node in nodes for a in node.attribute if a.HasField("t"))
