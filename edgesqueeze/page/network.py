"""The network of a run, node by node, as one of its files holds it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from edgesqueeze.compression.quantizing.graph_model import holds_graph_model, load_graph_model
from edgesqueeze.errors import ExportError
from edgesqueeze.formats.sqz.describe import SqzDescription
from edgesqueeze.formats.sqz.file import naming_file, read_sqz
from edgesqueeze.network.graph.counts import LayerCounts, count_graph
from edgesqueeze.network.graph.nodes import AnyNode, Floats, Graph, ParametricNode, weight_name
from edgesqueeze.network.integers.spec import QuantSpec
from edgesqueeze.page.histogram import Histogram, histogram_of

_SAID_ELSEWHERE = ("name", "inputs", "shape")
_USUAL: Mapping[str, tuple[object, ...]] = {
    "pads": ((0, 0, 0, 0),),
    "stride": ((1, 1),),
    "dilation": ((1, 1),),
    "extra": ((0, 0),),
    "groups": (1,),
    "activation": ("none",),
}
"""Settings that are not told, since most nodes have them; of other fields those that are empty."""


@dataclass(frozen=True)
class NodeFacts:
    """A node: what it reads, the shape of its output with batch 1, and its settings as text."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    shape: tuple[int, ...]
    settings: str


@dataclass(frozen=True)
class LayerFacts:
    """A layer with a weight of its own, or a product of two tensors, which has none.

    ``zeros`` and ``distinct`` (values other than zero) are those of the weight, not of the bias.
    ``stored_bits`` are bits per weight in the .sqz file, ``int8`` whether the int8 form has it in integers;
    None where there is no such file or form.
    """

    counts: LayerCounts
    shape: tuple[int, ...]
    weights: int
    zeros: int
    distinct: int
    stored_bits: float | None
    int8: bool | None
    histogram: Histogram | None


@dataclass(frozen=True)
class NetworkFacts:
    """Nodes and layers in execution order, and the file they were read from, relative to the run."""

    file: str
    nodes: tuple[NodeFacts, ...]
    layers: tuple[LayerFacts, ...]


def network_facts(
    run: Path, sqz: str | None, described: SqzDescription | None, sources: tuple[Sequence[str], str | None]
) -> NetworkFacts | None:
    """The network that a run's files were written from; None if no file tells without the user's code.

    Args:
        run: the directory; files are named relative to it.
        sqz: a .sqz file of it, if there is one.
        described: where its bytes go, if that is known.
        sources: the state files of its stages in order, and the file with the weights before any technique,
            if there is one.

    Raises:
        CodecError: the .sqz file is damaged.
        TaskError: the state of a quantized stage is damaged.
        ExportError: the file with the weights before is no safetensors file.
    """
    states, trained = sources
    if sqz is not None:
        with naming_file(run / sqz):
            graph, spec = read_sqz((run / sqz).read_bytes())
        bits = {} if described is None else {t.name: t.bits_per_weight for t in described.tensors}
        return _facts(sqz, graph, spec, (bits, _trained_weights(run, trained)))
    for state in reversed(states):
        if holds_graph_model(run / state):
            model = load_graph_model(run / state)
            return _facts(state, model.graph, model.spec, ({}, _trained_weights(run, trained)))
    return None


def _facts(
    file: str, graph: Graph, spec: QuantSpec | None, known: tuple[Mapping[str, float], Mapping[str, Floats]]
) -> NetworkFacts:
    bits, trained = known
    nodes = tuple(
        NodeFacts(node.name, type(node).__name__, node.inputs, node.shape, _settings(node))
        for node in graph.nodes
    )
    counts = {layer.name: layer for layer in count_graph(graph).layers}
    layers = tuple(
        _layer(
            graph,
            graph.by_name[name],
            found,
            (bits.get(f"{name}.weight"), trained.get(f"{name}.weight")),
            spec,
        )
        for name, found in counts.items()
    )
    return NetworkFacts(file, nodes, layers)


def _layer(
    graph: Graph,
    node: AnyNode,
    counts: LayerCounts,
    known: tuple[float | None, Floats | None],
    spec: QuantSpec | None,
) -> LayerFacts:
    if not isinstance(node, ParametricNode) or node.weights_of:
        return LayerFacts(counts, (), 0, 0, 0, None, None, None)
    weight = graph.tensors[weight_name(node)]
    stored_bits, trained = known
    nonzero = weight[weight != 0]
    return LayerFacts(
        counts,
        weight.shape,
        weight.size,
        weight.size - nonzero.size,
        len(np.unique(nonzero)),
        stored_bits,
        None if spec is None else node.name in spec.weights,
        histogram_of(weight, trained if trained is not None and trained.shape == weight.shape else None),
    )


def _settings(node: AnyNode) -> str:
    """The fields of a node that are not said elsewhere, as ``kernel 5×5, stride 1×1``."""
    said = []
    for field in fields(node):
        value = getattr(node, field.name)
        if field.name not in _SAID_ELSEWHERE and value not in _USUAL.get(field.name, ("", None)):
            text = "×".join(map(str, value)) if isinstance(value, tuple) else str(value)
            said.append(f"{field.name.replace('_', ' ')} {text}")
    return ", ".join(said)


def _trained_weights(run: Path, file: str | None) -> dict[str, Floats]:
    """Weights by name, where the file has no batch norm, which is folded into the weights of the graph.

    Raises:
        ExportError: it is no safetensors file.
    """
    if file is None:
        return {}
    try:
        with safe_open(str(run / file), framework="np") as stored:
            names = list(stored.keys())
            if any(name.endswith("running_mean") for name in names):
                return {}
            return {name: stored.get_tensor(name) for name in names if name.endswith(".weight")}
    except (SafetensorError, OSError) as error:
        raise ExportError(f"{run / file} is not a readable safetensors file: {error}") from error
