"""Which stored maps a file with another batch than 1 must repeat."""

from edgesqueeze.network.graph.nodes import Concat, Constant, Graph, Join


def without_batch(graph: Graph) -> frozenset[str]:
    """The nodes that no input reaches: their values are the same for every example."""
    found: set[str] = set()
    for node in graph.nodes:
        if isinstance(node, Constant) or (node.inputs and found.issuperset(node.inputs)):
            found.add(node.name)
    return frozenset(found)


def repeated(graph: Graph) -> frozenset[str]:
    """The constants that every example needs a copy of.

    Operators on two tensors spread a batch of 1 over the other's. A concatenation does not, nor is an output
    of one row what was asked for.
    """
    alone = without_batch(graph)
    open_names = [output.node for output in graph.outputs]
    open_names += [name for node in graph.nodes if isinstance(node, Concat | Join) for name in node.inputs]
    found: set[str] = set()
    while open_names:
        name = open_names.pop()
        if name in alone:
            node = graph.by_name[name]
            if isinstance(node, Constant):
                found.add(name)
            open_names += node.inputs
    return frozenset(found)
