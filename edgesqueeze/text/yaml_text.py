"""YAML from people: read safely, strictly, and within limits; what PyYAML stumbles over is one sentence."""

from collections.abc import Hashable
from typing import Any

import yaml

from edgesqueeze.errors import RecipeError
from edgesqueeze.text.printable import shown

MOST_LEVELS = 32
"""How deep lists and mappings may lie in each other."""
MOST_VALUES = 100_000
"""How many values a text may hold, each alias counted as all that it stands for."""
_MOST_BITS = 64
_CONSTRUCTORS_RAISE = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError)
"""What PyYAML's constructors let through where a tag and its text do not fit."""


def parse_yaml(text: str, source: str) -> Any:
    """The value that a text holds: only plain values, lists and mappings are made, no key twice.

    Args:
        text: one YAML document.
        source: what the text is, to begin an error with.

    Raises:
        RecipeError: it is no YAML, or too deep, too large, or with a number of more than 64 bits.
    """
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is None:
            return None
        _check_size(root)
        return loader.construct_document(root)
    except yaml.YAMLError as error:
        raise RecipeError(f"{source} is not valid YAML: {' '.join(str(error).split())}") from error


class _Loader(yaml.SafeLoader):
    """SafeLoader with limits that refuses a key given twice, where YAML would silently keep the last."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._level = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._level += 1
        if self._level > MOST_LEVELS:
            raise _refused(self.get_mark(), f"more than {MOST_LEVELS} levels deep")
        node = super().compose_node(parent, index)
        self._level -= 1
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep=deep)
        except _CONSTRUCTORS_RAISE as error:
            raise _refused(node.start_mark, f"{_shown(node)} is no {_tag(node)}") from error
        if isinstance(value, int) and value.bit_length() > _MOST_BITS:
            raise _refused(node.start_mark, f"{_shown(node)} is an integer of more than {_MOST_BITS} bits")
        if isinstance(value, str) and any(c == "\0" or "\ud800" <= c <= "\udfff" for c in value):
            raise _refused(node.start_mark, f"{_shown(node)} holds a character that is no text")
        return value

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=deep)
            if not isinstance(key, Hashable):
                break  # refused below
            if key in seen:
                raise _refused(key_node.start_mark, f"key {key!r} is given twice")
            seen.add(key)
        return super().construct_mapping(node, deep)


def _check_size(root: yaml.Node) -> None:
    """Refuse aliases that stand for very much, or for what they are in."""
    sizes: dict[int, tuple[int, int] | None] = {}

    def size(node: yaml.Node) -> tuple[int, int]:
        """Values and levels. An alias comes behind what it stands for, which has been counted then."""
        if id(node) not in sizes:
            sizes[id(node)] = None
            parts = [size(child) for child in _children(node)]
            sizes[id(node)] = (1 + sum(n for n, _ in parts), 1 + max((n for _, n in parts), default=0))
        found = sizes[id(node)]
        if found is None:
            raise _refused(node.start_mark, "a value that holds itself")
        if found[1] > MOST_LEVELS:
            raise _refused(node.start_mark, f"more than {MOST_LEVELS} levels deep")
        return found

    count, _ = size(root)
    if count > MOST_VALUES:
        raise _refused(root.start_mark, f"more than {MOST_VALUES} values")


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [child for pair in node.value for child in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _refused(mark: yaml.Mark, what: str) -> yaml.YAMLError:
    return yaml.YAMLError(f"{what} (line {mark.line + 1})")


def _shown(node: yaml.Node) -> str:
    return shown(str(node.value)) if isinstance(node, yaml.ScalarNode) else "a list or mapping"


def _tag(node: yaml.Node) -> str:
    return str(node.tag).rpartition(":")[2]
