"""What the translation of one ONNX node may ask: attributes, constants, and what its inputs look like."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgesqueeze.errors import UnsupportedLayerError
from edgesqueeze.text.printable import shown

Array = NDArray[Any]
_LAYERS = {
    "BatchNormalization",
    "Conv",
    "ConvTranspose",
    "Gemm",
    "InstanceNormalization",
    "LayerNormalization",
    "MatMul",
    "PRelu",
}
"""Whose name of a node says which layer it is, the operator's own at its end left out."""


@dataclass
class Values:
    """What is known while a graph is read: constants, and what the example makes of everything else."""

    constants: dict[str, Array] = field(default_factory=dict)
    examples: dict[str, Tensor] = field(default_factory=dict)
    layers: dict[str, nn.Module] = field(default_factory=dict)
    shared: dict[tuple[str, tuple[str, ...], str], str] = field(default_factory=dict)
    """The layer that was made of weights of these names and of these settings."""
    readers: Counter[str] = field(default_factory=Counter)
    """How many nodes read a value."""
    made_by: dict[str, str] = field(default_factory=dict)
    """The layer whose result a value is."""

    def weight_of(self, layer: str) -> str:
        """The name in the file of a layer's weight."""
        return next((key[1][0] for key, name in self.shared.items() if name == layer and key[1]), "")


@dataclass(frozen=True)
class OnnxNode:
    """One node of the file, its operator set's version, and what is known so far."""

    proto: onnx.NodeProto
    opset: int
    place: int
    values: Values

    @property
    def kind(self) -> str:
        """The operator."""
        return str(self.proto.op_type)

    def attribute(self, name: str, default: Any = None) -> Any:
        """An attribute's value: numbers, texts, lists of them, or an array."""
        for attribute in self.proto.attribute:
            if attribute.name == name:
                found = onnx.helper.get_attribute_value(attribute)
                if isinstance(found, bytes):
                    return found.decode()
                return onnx.numpy_helper.to_array(found) if isinstance(found, onnx.TensorProto) else found
        return default

    def has(self, place: int) -> bool:
        """Whether an input is given."""
        return place < len(self.proto.input) and bool(self.proto.input[place])

    def is_constant(self, place: int) -> bool:
        """Whether an input is known without running anything."""
        return self.has(place) and self.proto.input[place] in self.values.constants

    def constant(self, place: int, name: str = "", default: Any = None) -> Any:
        """An input that must be constant; where it is not given, the attribute of this name.

        Earlier operator sets have as attributes what later ones have as inputs.
        """
        if not self.has(place):
            return self.attribute(name, default) if name else default
        if not self.is_constant(place):
            raise self.refuse(
                f"has {self.proto.input[place]!r} computed from the input, a constant is needed"
            )
        return self.values.constants[self.proto.input[place]]

    def numbers(self, place: int, name: str = "", default: Any = None) -> list[int] | None:
        """A constant list of whole numbers."""
        found = self.constant(place, name, default)
        return None if found is None else [int(n) for n in np.asarray(found).reshape(-1)]

    def example(self, place: int = 0) -> Tensor:
        """What the example makes of an input, a constant one included."""
        name = self.proto.input[place]
        if name in self.values.constants:
            return torch.from_numpy(np.array(self.values.constants[name]))
        return self.values.examples[name]

    @property
    def activations(self) -> tuple[str, ...]:
        """The inputs that are computed, in order."""
        return tuple(n for n in self.proto.input if n and n not in self.values.constants)

    def layer(self, make: Callable[[], nn.Module], weights: tuple[int, ...], *settings: object) -> str:
        """The name of a layer with weights; the same for nodes that read the same weights in the same way.

        Args:
            make: makes it.
            weights: places of the inputs that its weights are, the main one first.
            settings: whatever else decides what it computes.
        """
        names = tuple(self.proto.input[place] if self.has(place) else "" for place in weights)
        key = (self.kind, names, repr(settings))
        if key not in self.values.shared:
            name = self._unused(_layer_name(self, names[0] if names else ""))
            self.values.layers[name] = make()
            self.values.shared[key] = name
        return self.values.shared[key]

    def _unused(self, name: str) -> str:
        taken, flat = self.values.layers, name.replace(".", "_")
        numbers = range(1, len(taken) + 2)
        names = [name, *(f"{name}_{n}" for n in numbers), flat, *(f"{flat}_{n}" for n in numbers)]
        return next(n for n in names if n not in taken and not _stands_in_the_way(n, taken))

    def refuse(self, why: str) -> UnsupportedLayerError:
        """An error that names the node."""
        name = self.proto.name or (self.proto.output[0] if self.proto.output else "")
        return UnsupportedLayerError(f"ONNX node {shown(name)} ({self.kind}) {why}")


def _layer_name(node: OnnxNode, weight: str) -> str:
    """What a layer is called: by its weight as torch's exporter writes it, else by the node."""
    stem, _, last = weight.replace("/", ".").rpartition(".")
    if last in ("weight", "kernel") and stem:
        return _plain(stem)
    parts = node.proto.name.strip("/").split("/")
    if len(parts) > 1 and parts[-1] == node.kind and node.kind in _LAYERS:
        parts.pop()
    # PyTorch writes every step of the way with the one before it: features, features.0, features.0.1
    kept = [
        part
        for part, behind in zip(parts, [*parts[1:], ""], strict=True)
        if not behind.startswith(f"{part}.")
    ]
    name = ".".join(kept)
    return _plain(name) if name else f"{node.kind.lower()}_{node.place}"


def _plain(name: str) -> str:
    """Parts that torch lets modules have."""
    parts = [part.replace(":", "_").replace(" ", "_") for part in name.replace("/", ".").split(".") if part]
    return ".".join(part if not hasattr(nn.Module, part) else f"{part}_" for part in parts) or "layer"


def _stands_in_the_way(name: str, taken: dict[str, nn.Module]) -> bool:
    """Whether a name lies below a layer's, or a layer's below it."""
    return any(other.startswith(f"{name}.") or name.startswith(f"{other}.") for other in taken)
