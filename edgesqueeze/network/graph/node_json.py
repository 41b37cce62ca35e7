"""Nodes as plain JSON values and back, every field checked."""

from dataclasses import fields
from math import isfinite
from typing import Any, get_args

import numpy as np

from edgesqueeze.errors import CodecError
from edgesqueeze.network.graph.nodes import (
    NODE_KINDS,
    Activation,
    Add,
    AnyNode,
    Concat,
    Function,
    Graph,
    Input,
    Mul,
    ResizeMode,
)


def structure_to_json(graph: Graph) -> list[dict[str, object]]:
    """The nodes as plain JSON values, tensors left out."""
    return [
        {"kind": type(node).__name__, **{f.name: getattr(node, f.name) for f in fields(node)}}
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


def _node_from_json(item: object) -> AnyNode:
    if not isinstance(item, dict) or item.get("kind") not in NODE_KINDS:
        found = item.get("kind") if isinstance(item, dict) else item
        raise CodecError(f"unknown node kind {found!r}; known: {', '.join(NODE_KINDS)}")
    kind = NODE_KINDS[item["kind"]]
    expected = {f.name for f in fields(kind)}
    if set(item) - {"kind"} != expected:
        raise CodecError(
            f"a {kind.__name__} node has fields {sorted(set(item) - {'kind'})}, not {sorted(expected)}"
        )
    values: dict[str, Any] = {name: _field_from_json(kind, name, item[name]) for name in expected}
    return kind(**values)


_LENGTHS = {"kernel": 2, "stride": 2, "dilation": 2, "size": 2, "extra": 2, "block": 2, "pads": 4}
_WORDS = {"activation": get_args(Activation), "function": get_args(Function), "mode": get_args(ResizeMode)}
_SMALLEST_NUMBER = {"groups": 1, "start": 0, "stop": 1}
_LARGEST = 1 << 24


def _field_from_json(kind: type[AnyNode], name: str, value: object) -> object:
    if not _is_valid(name, value):
        raise CodecError(f"a {kind.__name__} node has {name} = {value!r}")
    return tuple(value) if isinstance(value, list) else value


def _is_valid(name: str, value: object) -> bool:
    if name == "name":
        return isinstance(value, str) and bool(value)
    if name in _WORDS:
        return value in _WORDS[name]
    if name in _SMALLEST_NUMBER:
        return isinstance(value, int) and _SMALLEST_NUMBER[name] <= value <= _LARGEST
    if name == "epsilon":
        return isinstance(value, float) and _is_positive_float32(value)
    if not isinstance(value, list):
        return False
    if name == "inputs":
        return all(isinstance(v, str) for v in value)
    smallest = 0 if name in ("pads", "extra") else 1
    lengths = (_LENGTHS[name],) if name in _LENGTHS else (2, 4)
    return len(value) in lengths and all(isinstance(v, int) and smallest <= v <= _LARGEST for v in value)


def _is_positive_float32(value: float) -> bool:
    """Whether it is what both runtimes hold."""
    with np.errstate(over="ignore"):
        return isfinite(value) and value > 0 and float(np.float32(value)) == value


def _check_wiring(node: AnyNode, seen: set[str], *, first: bool) -> None:
    if isinstance(node, Input) != first:
        raise CodecError("the first node of a graph, and no other, is its input")
    if node.name in seen:
        raise CodecError(f"two nodes are called {node.name!r}")
    missing = [name for name in node.inputs if name not in seen]
    if missing:
        raise CodecError(f"node {node.name!r} reads {missing[0]!r}, which no earlier node makes")
    wanted = 0 if first else 2 if isinstance(node, Add | Mul) else 1
    enough = len(node.inputs) >= 1 if isinstance(node, Concat) else len(node.inputs) == wanted
    if not enough:
        raise CodecError(f"node {node.name!r} has {len(node.inputs)} inputs")
