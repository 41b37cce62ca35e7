"""What a translation makes of a node."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edgesqueeze.importing.onnx.node import Array, OnnxNode


@dataclass(frozen=True)
class Work:
    """A function of a node's computed inputs; before them it is given the module ``layer``, if named."""

    call: Callable[..., Any]
    layer: str = ""


Translation = Callable[[OnnxNode], Work]


class Stored(nn.Module):
    """A constant of the file that takes part in arithmetic: it moves and changes type with the network."""

    def __init__(self, value: Array) -> None:
        super().__init__()
        self.register_buffer("value", torch.from_numpy(np.array(value)))


def with_constants(node: OnnxNode, function: Callable[..., Tensor]) -> Work:
    """A function of all inputs in order, some of which may be constant: numbers, or buffers of a layer."""
    places = [place for place in range(len(node.proto.input)) if node.has(place)]
    constant = [place for place in places if node.is_constant(place)]
    arrays = {place: np.asarray(node.constant(place)) for place in constant}
    rank = max((node.example(place).ndim for place in places if place not in arrays), default=0)
    numbers = {p: array.item() for p, array in arrays.items() if array.size == 1 and array.ndim <= rank}
    large = [place for place in constant if place not in numbers]
    if len(large) > 1:
        raise node.refuse("computes with several constants at once")
    if not large:
        return Work(lambda *given: function(*_merged(places, numbers, iter(given))))
    (place,) = large
    layer = node.layer(lambda: Stored(arrays[place]), (place,))

    def call(module: nn.Module, *given: Tensor) -> Tensor:
        return function(*_merged(places, {**numbers, place: module.value}, iter(given)))

    return Work(call, layer)


def _merged(places: list[int], known: dict[int, Any], given: Any) -> list[Any]:
    return [known[place] if place in known else next(given) for place in places]
