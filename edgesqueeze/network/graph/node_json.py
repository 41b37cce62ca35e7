"""Nodes as plain JSON values and back, every field checked."""

from collections.abc import Container, Mapping
from dataclasses import MISSING, Field, fields
from math import isfinite
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np

from edgesqueeze.errors import CodecError
from edgesqueeze.network.graph.functions import FUNCTIONS
from edgesqueeze.network.graph.nodes import NODE_KINDS, AnyNode, Floats, Graph, Input, Output, Pointwise
from edgesqueeze.trees import tree_from_json, tree_to_json

_LARGEST = 1 << 24
_MOST_NUMBERS = 64
"""In a field of any number of them."""
_NOT_NUMBERED = ("name", "inputs", "shape", "parameters", "weights_of")


def graph_to_json(graph: Graph) -> dict[str, object]:
    """Nodes and outputs as plain JSON values, without tensors; outputs are left out where they are one."""
    items: dict[str, object] = {"nodes": structure_to_json(graph)}
    if (graph.outputs, graph.returns) != ((Output("output", graph.nodes[-1].name),), "output"):
        items["outputs"] = {output.name: output.node for output in graph.outputs}
        items["returns"] = tree_to_json(graph.returns)
    return items


def graph_from_json(items: Mapping[str, Any], tensors: dict[str, Floats]) -> Graph:
    """The inverse of :func:`graph_to_json`.

    Raises:
        CodecError: as :func:`structure_from_json`.
        TaskError: what the module returns is no structure of names.
    """
    outputs = tuple(Output(name, node) for name, node in items.get("outputs", {}).items())
    return Graph(structure_from_json(items["nodes"]), tensors, outputs, tree_from_json(items.get("returns")))


def structure_to_json(graph: Graph) -> list[dict[str, object]]:
    """The nodes as plain JSON values, tensors and fields that have their default left out."""
    return [
        {
            "kind": type(node).__name__,
            **{f.name: getattr(node, f.name) for f in fields(node) if getattr(node, f.name) != f.default},
        }
        for node in graph.nodes
    ]


def structure_from_json(items: object) -> tuple[AnyNode, ...]:
    """The inverse of :func:`structure_to_json`; every field is checked before a node is made.

    Raises:
        CodecError: an unknown kind, a missing or unknown field, a value of the wrong type or range, or an
            input that names no earlier node.
    """
    if not isinstance(items, list) or not items:
        raise CodecError("the graph is not a list of nodes")
    nodes: list[AnyNode] = []
    seen: set[str] = set()
    for item in items:
        node = _node_from_json(item)
        _check_wiring(node, seen, first=not nodes)
        seen.add(node.name)
        nodes.append(node)
    return tuple(nodes)


def field_types(kind: type[AnyNode]) -> dict[str, Any]:
    """The fields of a kind, in order, and their types, without those that every file has a place for."""
    hints = get_type_hints(kind)
    return {f.name: hints[f.name] for f in fields(kind) if f.name not in _NOT_NUMBERED}


def field_words(name: str, kind: Any) -> tuple[str, ...] | None:
    """The words that a field may hold, in the order that files number them; None if it holds numbers."""
    if name == "function":
        return tuple(FUNCTIONS)
    return get_args(kind) if get_origin(kind) is Literal else None


def _node_from_json(item: object) -> AnyNode:
    if not isinstance(item, dict) or item.get("kind") not in NODE_KINDS:
        found = item.get("kind") if isinstance(item, dict) else item
        raise CodecError(f"unknown node kind {found!r}; known: {', '.join(NODE_KINDS)}")
    kind = NODE_KINDS[item["kind"]]
    expected = {f.name: f for f in fields(kind)}
    needed = {name for name, f in expected.items() if f.default is MISSING}
    if not needed <= set(item) - {"kind"} <= set(expected):
        raise CodecError(
            f"a {kind.__name__} node has fields {sorted(set(item) - {'kind'})}, not {sorted(expected)}"
        )
    values: dict[str, Any] = {
        name: _field_from_json(kind, f, item[name]) for name, f in expected.items() if name in item
    }
    return _checked(kind(**values))


def _checked(node: AnyNode) -> AnyNode:
    if isinstance(node, Pointwise) and len(node.parameters) != parameter_count(node.function):
        raise CodecError(f"node {node.name!r} has {len(node.parameters)} parameters for {node.function}")
    return node


def parameter_count(function: str) -> int:
    """How many numbers a function has."""
    return len(FUNCTIONS[function].parameters)


def _field_from_json(kind: type[AnyNode], field: Field[Any], value: object) -> object:
    if not _is_valid(kind, field, value):
        raise CodecError(f"a {kind.__name__} node has {field.name} = {value!r}")
    return tuple(value) if isinstance(value, list) else value


def _is_valid(kind: type[AnyNode], field: Field[Any], value: object) -> bool:
    match field.name:
        case "name" | "weights_of":
            return isinstance(value, str) and bool(value)
        case "inputs":
            return isinstance(value, list) and all(isinstance(v, str) for v in value)
        case "shape":
            return _are_numbers(value, range(1, 7), 1)
        case "parameters":
            return isinstance(value, list) and all(isinstance(v, float) and isfinite(v) for v in value)
    wanted = field_types(kind)[field.name]
    words, smallest = field_words(field.name, wanted), field.metadata.get("smallest", 1)
    if words is not None:
        return value in words
    if wanted is int:
        return isinstance(value, int) and smallest <= value <= _LARGEST
    if wanted is float:
        return isinstance(value, float) and _is_positive_float32(value)
    lengths = range(_MOST_NUMBERS + 1) if is_list(wanted) else (len(get_args(wanted)),)
    return _are_numbers(value, lengths, smallest)


def is_list(kind: Any) -> bool:
    """Whether a field holds any number of numbers."""
    return Ellipsis in get_args(kind)


def _are_numbers(value: object, lengths: Container[int], smallest: int) -> bool:
    if not isinstance(value, list) or len(value) not in lengths:
        return False
    return all(isinstance(v, int) and smallest <= v <= _LARGEST for v in value)


def _is_positive_float32(value: float) -> bool:
    """Whether it is what both runtimes hold."""
    with np.errstate(over="ignore"):
        return isfinite(value) and value > 0 and float(np.float32(value)) == value


def _check_wiring(node: AnyNode, seen: set[str], *, first: bool) -> None:
    if first and not isinstance(node, Input):
        raise CodecError("the first node of a graph is not an input")
    if node.name in seen:
        raise CodecError(f"two nodes are called {node.name!r}")
    missing = [name for name in node.inputs if name not in seen]
    if missing:
        raise CodecError(f"node {node.name!r} reads {missing[0]!r}, which no earlier node makes")
    enough = len(node.inputs) >= 1 if node.arity is None else len(node.inputs) == node.arity
    if not enough:
        raise CodecError(f"node {node.name!r} has {len(node.inputs)} inputs")
