"""The graph while it grows: what a translated operation may ask of the program and add to the graph."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch.fx import Node as FxNode
from torch.fx import map_arg
from torch.utils._pytree import tree_unflatten

from edgesqueeze.errors import UnsupportedLayerError
from edgesqueeze.network.graph.nodes import (
    AnyNode,
    Constant,
    Floats,
    Graph,
    Input,
    Output,
    Pair,
    ParametricNode,
    bias_name,
    weight_name,
)
from edgesqueeze.network.reading.torch.dims.views import Dims, Layout
from edgesqueeze.network.reading.torch.fx import aten_name, module_of, refuse, shape_of
from edgesqueeze.trees import Tree, leaves, names_for

CALL = "#"
"""Stands between the name of a layer that is called more than once and the number of the call."""


@dataclass
class Builder:
    """One walk over an exported program.

    ``nodes`` grows in execution order; ``made`` maps torch's nodes to names of ours, ``views`` to the
    dimensions of those that torch sees otherwise than the node has them, ``reading`` to what the operation at
    hand reads in their place. ``moved`` maps a node and a layout to the node that has it, ``origins`` a node
    and dimensions to the operation that put them so. ``joined`` maps the parts of a concatenation to the node
    that holds them, ``spread`` the last move of a transposed convolution to the convolution that it is.
    """

    program: torch.export.ExportedProgram
    nodes: dict[str, AnyNode] = field(default_factory=dict)
    tensors: dict[str, Floats] = field(default_factory=dict)
    made: dict[FxNode, str] = field(default_factory=dict)
    prefix: str = ""
    """What stands before the model's own names in those of the program's tensors."""
    views: dict[FxNode, Dims] = field(default_factory=dict)
    reading: dict[FxNode, str] = field(default_factory=dict)
    moved: dict[tuple[str, Layout], str] = field(default_factory=dict)
    origins: dict[tuple[str, Dims], str] = field(default_factory=dict)
    joined: dict[tuple[str, ...], str] = field(default_factory=dict)
    spread: dict[str, str] = field(default_factory=dict)
    lowest: dict[FxNode, Pair] = field(default_factory=dict)
    """Rows and columns of minus infinity above and left of a map, which the max pools behind it know of."""
    known: dict[FxNode, Any] = field(default_factory=dict)
    """What depends on parameters only, computed once: weight norm, scaled weights and the like."""

    def __post_init__(self) -> None:
        signature = self.program.graph_signature
        self._sources = {
            **signature.inputs_to_parameters,
            **signature.inputs_to_buffers,
            **signature.inputs_to_lifted_tensor_constants,
        }
        self._state = {**self.program.constants, **self.program.state_dict}
        self._named = {fx.name for fx in self.program.graph.nodes}

    def add_input(self, fx: FxNode, name: str) -> None:
        """An input of the network."""
        self.add(fx, Input(name=name, inputs=(), shape=shape_of(fx)))

    def add(self, fx: FxNode, node: AnyNode) -> None:
        """Append a node that computes what a torch node computes."""
        if node.name in self.nodes:
            raise refuse(fx, f"would be a second node called {node.name!r}")
        self.nodes[node.name] = node
        self.made[fx] = node.name

    def add_weighted(self, fx: FxNode, node: ParametricNode, weight: Floats, bias: Floats | None) -> None:
        """Append a node with its tensors; without a bias it gets zeros."""
        self.add(fx, node)
        self.store(node, weight, np.zeros(node.shape[1], np.float32) if bias is None else bias)

    def store(self, node: ParametricNode, weight: Floats, bias: Floats) -> None:
        """Set the tensors of a node."""
        # Adding +0.0 turns the -0.0 that masks leave behind into +0.0: equal numbers, equal bytes.
        self.tensors[weight_name(node)] = weight + np.float32(0)
        self.tensors[bias_name(node)] = bias + np.float32(0)

    def same(self, fx: FxNode, node: AnyNode) -> None:
        """Say that a torch node computes what a node of ours already does."""
        self.made[fx] = node.name

    def source(self, fx: FxNode, index: int = 0) -> AnyNode:
        """The node whose output an operation reads as its argument number ``index``."""
        value = fx.args[index]
        if not isinstance(value, FxNode) or value not in self.made:
            raise refuse(fx, f"reads {value}, which is not the output of an earlier layer")
        return self.nodes[self.reading.get(value, self.made[value])]

    def layer_of(self, node: AnyNode) -> AnyNode:
        """The convolution whose channels end in a node, each in several places; else itself."""
        return self.nodes[self.spread.get(node.name, node.name)]

    def computes(self, value: object) -> bool:
        """Whether an argument is the output of an earlier layer."""
        return isinstance(value, FxNode) and value in self.made

    def unused(self, name: str) -> str:
        """A name that no node has or will have: the one given, or with a number behind it."""
        if name not in self.nodes:
            return name
        names = (f"{name}_{n}" for n in itertools.count(1))
        return next(name for name in names if name not in self.nodes and name not in self._named)

    def feeds_only(self, node: AnyNode, fx: FxNode) -> bool:
        """Whether an operation is the only reader of a node, seen or named in whatever way."""
        known = [other for other, name in self.made.items() if name == node.name]
        return all(user is fx or user in known for value in known for user in value.users)

    def stored(self, value: object) -> torch.Tensor | None:
        """The parameter or buffer behind an argument, or what was computed from such."""
        if not isinstance(value, FxNode):
            return None
        if value.name in self._sources:
            stored: torch.Tensor = self._state[self._sources[value.name]]
            return stored.detach()
        found: torch.Tensor | None = self.known.get(value)
        return found

    def fold(self, fx: FxNode) -> None:
        """Compute what depends on stored tensors only."""
        values = [self.stored(value) for value in fx.all_input_nodes]
        if any(value is None for value in values) or not callable(fx.target):
            return
        found = dict(zip(fx.all_input_nodes, values, strict=True))
        with torch.no_grad():
            result = fx.target(*map_arg(fx.args, found.get), **map_arg(fx.kwargs, found.get))
        if isinstance(result, torch.Tensor | tuple | list):
            self.known[fx] = result

    def stored_name(self, value: object) -> str | None:
        """The name of the parameter or buffer behind an argument."""
        name = self._sources.get(value.name) if isinstance(value, FxNode) else None
        return None if name is None else name.removeprefix(self.prefix)

    def constant(self, fx: FxNode, value: object) -> Floats | None:
        """The stored tensor behind an argument, float32."""
        if value is None:
            return None
        tensor = self.stored(value)
        if tensor is None:
            raise refuse(fx, "has a weight that is computed from the input")
        return np.asarray(tensor.to(torch.float32).cpu().numpy())

    def weight_and_bias(self, fx: FxNode, arguments: dict[str, Any]) -> tuple[Floats, Floats | None]:
        """The stored weight and bias of a layer."""
        weight = self.constant(fx, arguments["weight"])
        if weight is None:
            raise refuse(fx, "has no weight")
        return weight, self.constant(fx, arguments["bias"])

    def layer_name(self, fx: FxNode, weight: object = None) -> str:
        """The name of the module that owns an operation's weight, by default its second argument.

        Where a module is called again, the number of the call is added; see :func:`_with_shared_weights`.
        """
        source = fx.args[1] if weight is None and len(fx.args) > 1 else weight
        if isinstance(source, FxNode) and aten_name(source) == "unsqueeze":  # of a one-dimensional layer
            source = source.args[0]
        stored = self.stored_name(source)
        layer = stored.rpartition(".")[0] if stored is not None else ""
        if layer:
            name, call = layer, 1
            while name in self.nodes:
                call += 1
                name = f"{layer}{CALL}{call}"
            return name
        module = module_of(fx)  # its weight is computed
        return fx.name if not module or module in self.nodes else module

    def finish(self, fx: FxNode) -> Graph:
        """Keep what the program returns and what that depends on, with the result last."""
        structure = self.structure(fx)
        returns = names_for(structure)
        outputs = tuple(
            Output(name, self._result(value, name))
            for name, value in zip(leaves(returns), leaves(structure), strict=True)
        )
        if len({output.name for output in outputs}) < max(len(outputs), 1):
            raise UnsupportedLayerError("the model returns no tensor, or two by the same name")
        needed, stack = {node.name for node in self._inputs}, [output.node for output in outputs]
        while stack:
            name = stack.pop()
            if name not in needed:
                needed.add(name)
                stack.extend(self.nodes[name].inputs)
        needed |= {node.name for node in self._inputs}
        kept = [node for name, node in self.nodes.items() if name in needed]
        if len(outputs) == 1:  # the result last
            kept.sort(key=lambda node: node.name == outputs[0].node)
        nodes = _with_shared_weights(kept, self.tensors)
        names = {name(node) for node in nodes for name in (weight_name, bias_name)}
        tensors = {name: tensor for name, tensor in self.tensors.items() if name in names}
        return Graph(nodes, tensors, outputs, returns)

    @property
    def _inputs(self) -> list[Input]:
        return [node for node in self.nodes.values() if isinstance(node, Input)]

    def structure(self, fx: FxNode) -> Tree:
        """What the program returns, with torch's nodes in the place of tensors."""
        found = list(fx.args[0])  # type: ignore[arg-type]  # always a tuple
        structure = tree_unflatten(found, self.program.call_spec.out_spec)
        if any(not isinstance(leaf, FxNode) for leaf in leaves(structure)):
            kinds = {type(leaf).__name__ for leaf in leaves(structure) if not isinstance(leaf, FxNode)}
            raise UnsupportedLayerError(
                f"the model returns {', '.join(sorted(kinds))}; tensors are allowed, and tuples, lists and "
                "dictionaries of them"
            )
        return structure

    def _result(self, value: FxNode, name: str) -> str:
        """The node that makes an output."""
        if value not in self.made:
            raise UnsupportedLayerError(
                f"the model returns {name!r}, which does not depend on its input, or is no map or vector"
            )
        return self.reading.get(value, self.made[value])


def _with_shared_weights(nodes: Sequence[AnyNode], tensors: Mapping[str, Floats]) -> tuple[AnyNode, ...]:
    """The nodes, those that are calls of one layer with one set of weights.

    Not where another batch norm was folded into each call: then the weights differ.
    """
    kept: list[AnyNode] = []
    owners: dict[str, list[ParametricNode]] = {}
    for node in nodes:
        if not isinstance(node, ParametricNode) or isinstance(node, Constant):
            kept.append(node)
            continue
        known = owners.setdefault(node.name.partition(CALL)[0], [])
        owner = next((other for other in known if _has_equal_weights(node, other, tensors)), None)
        kept.append(node if owner is None else replace(node, weights_of=owner.name))
        known += [node] if owner is None else []
    return tuple(kept)


def _has_equal_weights(node: ParametricNode, other: ParametricNode, tensors: Mapping[str, Floats]) -> bool:
    pairs = [[tensors[name(n)] for n in (node, other)] for name in (weight_name, bias_name)]
    return type(node) is type(other) and all(np.array_equal(one, another) for one, another in pairs)


Translation = Callable[[Builder, FxNode], None]
"""How an operation of torch is written as nodes of ours."""
