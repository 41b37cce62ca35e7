"""Which tensors must share one grid, and how ranges are merged over them."""

from edgesqueeze.network.graph.nodes import Graph, WeightedNode

Range = tuple[float, float]
"""The lowest and highest value seen in a tensor."""


def share_groups(graph: Graph) -> dict[str, str]:
    """Node name to the name that stands for its group.

    Operations that only move values (max pooling, flatten, slice, crop, shuffle, depth to space, pad; average
    pooling and resize in the runtimes' kernels) keep their input's grid. A concatenation, a maximum and a
    minimum copy integers, so all of their inputs and their output share one. A layer that is used more than
    once reads one grid, on which its one int32 bias lies.
    """
    parent = {node.name: node.name for node in graph.nodes}

    def root(name: str) -> str:
        while parent[name] != name:
            name = parent[name]
        return name

    for node in graph.nodes:
        if node.shares_grid:
            parent[root(node.name)] = root(node.inputs[0])
        elif node.joins_grids:
            for name in node.inputs:
                parent[root(name)] = root(node.name)
        elif isinstance(node, WeightedNode) and node.weights_of:
            parent[root(node.inputs[0])] = root(graph.by_name[node.weights_of].inputs[0])
    return {name: root(name) for name in parent}


def merge_ranges(graph: Graph, ranges: dict[str, Range]) -> dict[str, Range]:
    """Give every tensor the union of the ranges seen in its group; tensors without a range add nothing."""
    groups = share_groups(graph)
    merged: dict[str, Range] = {}
    for name, (low, high) in ranges.items():
        known = merged.get(groups[name], (low, high))
        merged[groups[name]] = (min(known[0], low), max(known[1], high))
    return {name: merged[group] for name, group in groups.items()}
