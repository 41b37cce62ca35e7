"""The integer reference and an int8 file, node by node.

Where a runtime follows a rule of its own (``network.integers.inexact``), the reference is compared with
what the file computes there from the same integers, and then continues from it: so behind the node,
everything is compared exactly again.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.errors import ParityError
from edgesqueeze.measure.proof.inner_tensors import InnerTensors, batches_of, distance
from edgesqueeze.measure.proof.parity_report import Divergence, InexactLayer
from edgesqueeze.network.graph.nodes import Graph
from edgesqueeze.network.integers.inexact import TOLERANCE
from edgesqueeze.network.integers.lower import lower
from edgesqueeze.network.integers.reference import Int8s, Sums, integer_steps
from edgesqueeze.network.integers.spec import QuantSpec
from edgesqueeze.trees import Tree, joined, length_of


@dataclass
class Stop:
    """A node at which a file was compared: values that differ, values beyond what is allowed, all values."""

    allowed: int
    differing: int = 0
    wrong: int = 0
    values: int = 0
    largest: int = 0

    def add(self, found: Int8s, expected: Int8s) -> NDArray[np.bool_]:
        """Compare one batch; which of its images differ by more than is allowed."""
        apart = distance(found, expected)
        self.differing += int(np.count_nonzero(apart))
        self.wrong += int(np.count_nonzero(apart > self.allowed))
        self.values += apart.size
        self.largest = max(self.largest, int(apart.max()))
        return np.asarray((apart > self.allowed).reshape(len(apart), -1).any(axis=1))


@dataclass(frozen=True, eq=False)
class Walk:
    """What the reference answers when it continues from a file's own values, and what was seen on the way.

    ``outputs`` are by name.

    ``wrong`` marks the images for which the file differed at a node by more than is allowed.
    """

    outputs: Mapping[str, Int8s]
    wrong: NDArray[np.bool_]
    stops: Mapping[str, Stop]

    def first(self) -> Divergence | None:
        """The first node that differs by more than is allowed."""
        found = next(((name, stop) for name, stop in self.stops.items() if stop.wrong), None)
        if found is None:
            return None
        name, stop = found
        return Divergence(name, stop.wrong, stop.values, stop.largest, stop.allowed)

    def layers(self, inexact: Mapping[str, str]) -> tuple[InexactLayer, ...]:
        """The inexact nodes that were compared."""
        stops = {name: stop for name, stop in self.stops.items() if name in inexact}
        return tuple(
            InexactLayer(name, inexact[name], s.differing, s.values, s.largest, s.allowed)
            for name, s in stops.items()
        )


@dataclass(frozen=True, eq=False)
class Reference:
    """An int8 network by the rule of one runtime, with its inexact nodes and why they are."""

    graph: Graph
    spec: QuantSpec
    sums: Sums
    inexact: Mapping[str, str]

    def around_inexact(self) -> set[str]:
        """The inexact nodes and those they read: what stands in front of one is compared exactly."""
        nodes = lower(self.graph, self.spec)[0].by_name
        return {*self.inexact, *(name for node in self.inexact for name in nodes[node].inputs)}

    def everywhere(self) -> set[str]:
        """The nodes of the network, and the inexact ones that stand for a part of one."""
        return {*self.graph.by_name, *self.inexact}

    def follow(self, path: Path, x: Tree, compared: Collection[str]) -> Walk:
        """Compute with the reference, and from the file's values behind every inexact node.

        Args:
            path: the int8 file.
            x: float32 [N, C, H, W], or a tree of several inputs.
            compared: the nodes at which the file is cut; those it does not name are passed over.

        Raises:
            ParityError: the file computes a tensor of another shape.
        """
        file = InnerTensors(path, integers=True)
        stops: dict[str, Stop] = {}
        outputs: list[dict[str, Int8s]] = []
        wrong = []
        for part in batches_of(x):
            images = np.zeros(length_of(part), np.bool_)
            for name, values in integer_steps(self.graph, self.spec, part, self.sums):
                known = values
                if name in compared and name in file.names:
                    stop = stops.setdefault(name, Stop(TOLERANCE if name in self.inexact else 0))
                    found = file.at(name, part)
                    if found.shape != values[name].shape:
                        shapes = f"{list(found.shape[1:])}, the network with {list(values[name].shape[1:])}"
                        raise ParityError(f"{path.name} computes {name!r} with shape {shapes}")
                    images |= stop.add(found, values[name])
                    values[name] = found if name in self.inexact else values[name]
            outputs.append({output.name: known[output.node] for output in self.graph.outputs})
            wrong.append(images)
        return Walk(joined(outputs, np.concatenate), np.concatenate(wrong), stops)
