"""Tuples and dictionaries of arrays: what networks with several inputs or outputs take and return.

A tree is an array (of torch or numpy), or a tuple, list, named tuple or dictionary of trees. Every array has
one row per example.
"""

from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from edgesqueeze.errors import TaskError

Tree = Any
"""See above; also what stands for one: names in the place of arrays."""
T = TypeVar("T")


def leaves(tree: Tree) -> Iterator[Any]:
    """The arrays, from left to right; a dictionary's in its order. None stands for nothing."""
    if isinstance(tree, Mapping):
        for part in tree.values():
            yield from leaves(part)
    elif isinstance(tree, tuple | list):
        for part in tree:
            yield from leaves(part)
    elif tree is not None:
        yield tree


def map_tree(function: Callable[..., Any], *trees: Tree) -> Tree:
    """The same structure with what the function makes of the arrays that stand at one place."""
    first = trees[0]
    if isinstance(first, Mapping):
        return {key: map_tree(function, *(tree[key] for tree in trees)) for key in first}
    if isinstance(first, tuple | list):
        parts = [map_tree(function, *parts) for parts in zip(*trees, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else type(first)(parts)
    return None if first is None else function(*trees)


def rows_of(tree: Tree, rows: Any) -> Tree:
    """Some of the examples: a slice, places or a mask."""
    return map_tree(lambda array: array[rows], tree)


def length_of(tree: Tree) -> int:
    """How many examples there are."""
    return len(next(leaves(tree)))


def joined(parts: Sequence[Tree], join: Callable[[list[Any]], Any]) -> Tree:
    """Batches put behind each other, each place by ``join`` (``torch.cat``, ``numpy.concatenate``)."""
    return map_tree(lambda *arrays: join(list(arrays)), *parts)


def by_name(tree: Tree, names: Sequence[str]) -> dict[str, Any]:
    """The inputs of a network by their names: a dictionary as it is, anything else from left to right.

    Raises:
        TaskError: there are other inputs, or more or fewer.
    """
    if isinstance(tree, Mapping):
        if set(tree) != set(names):
            raise TaskError(f"found inputs called {', '.join(tree)}; the network takes {', '.join(names)}")
        return {name: tree[name] for name in names}
    found = list(leaves(tree))
    if len(found) != len(names):
        raise TaskError(f"found {len(found)} inputs; the network takes {len(names)}: {', '.join(names)}")
    return dict(zip(names, found, strict=True))


def filled(structure: Tree, values: Mapping[str, T]) -> Tree:
    """A tree of names with the values of these names in their places."""
    return map_tree(lambda name: values[name], structure)


def names_for(tree: Tree, alone: str = "output") -> Tree:
    """A tree with names in the place of the arrays: keys and places on the way to them, joined by "_".

    A tree that is an array is called ``alone``, and the parts of a tuple ``alone_0``, ``alone_1`` and so on.
    """
    if isinstance(tree, Mapping):
        return {key: _named(part, str(key)) for key, part in tree.items()}
    if hasattr(tree, "_fields"):
        return type(tree)(*(_named(part, key) for key, part in zip(tree._fields, tree, strict=True)))
    return _named(tree, alone)


def _named(tree: Tree, name: str) -> Tree:
    if isinstance(tree, Mapping):
        return {key: _named(part, f"{name}_{key}") for key, part in tree.items()}
    if hasattr(tree, "_fields"):
        pairs = zip(tree._fields, tree, strict=True)
        return type(tree)(*(_named(part, f"{name}_{key}") for key, part in pairs))
    if isinstance(tree, tuple | list):
        return type(tree)(_named(part, f"{name}_{place}") for place, part in enumerate(tree))
    return None if tree is None else name


def tree_to_json(tree: Tree) -> object:
    """A tree of names as plain JSON values."""
    if isinstance(tree, Mapping):
        return {"dict": {key: tree_to_json(part) for key, part in tree.items()}}
    if hasattr(tree, "_fields"):
        return {"fields": {key: tree_to_json(part) for key, part in zip(tree._fields, tree, strict=True)}}
    if isinstance(tree, tuple | list):
        return {type(tree).__name__: [tree_to_json(part) for part in tree]}
    return tree


def tree_from_json(data: Any) -> Tree:
    """The inverse of :func:`tree_to_json`; a named tuple comes back as one of the same fields.

    Raises:
        TaskError: the values are no such tree.
    """
    match data:
        case None | str():
            return data
        case {"dict": dict(parts)}:
            return {key: tree_from_json(part) for key, part in parts.items()}
        case {"fields": dict(parts)}:
            kind = namedtuple("Outputs", parts)  # type: ignore[misc]
            return kind(*(tree_from_json(part) for part in parts.values()))
        case {"tuple": list(parts)}:
            return tuple(tree_from_json(part) for part in parts)
        case {"list": list(parts)}:
            return [tree_from_json(part) for part in parts]
    raise TaskError(f"{data!r} is no structure of names")


def arguments(tree: Tree) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and named arguments with which a module is called on its inputs."""
    if isinstance(tree, Mapping):
        return (), dict(tree)
    return (tuple(tree), {}) if isinstance(tree, tuple | list) else ((tree,), {})
