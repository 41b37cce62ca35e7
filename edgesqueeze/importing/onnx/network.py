"""A network that was read from an ONNX file: its nodes one after the other, as torch computes them."""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from edgesqueeze.importing.modules import put
from edgesqueeze.trees import Tree, by_name


@dataclass(frozen=True)
class Step:
    """One node. ``call`` is given the module called ``layer``, if there is one, and then the inputs.

    ``operator`` is what the file calls it. ``kind`` is "elementwise", or "row", where a value of its result
    depends on what is at that place, or in that row, and on no constants but numbers.
    """

    call: Callable[..., Any]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    layer: str = ""
    operator: str = ""
    kind: Literal["elementwise", "row", ""] = ""


def results(found: Any) -> Sequence[Any]:
    """What a step gave, one after the other."""
    return (found,) if isinstance(found, Tensor) else tuple(found)


class OnnxNetwork(nn.Module):
    """The steps of a file's graph.

    Inputs and maps among the outputs are in torch's order, [N, C, *spatial]. One output is returned as it is,
    several as a dictionary by their names in the file.

    Args:
        steps: in an order in which they can be computed.
        layers: modules by the names that steps call them by.
        inputs: the inputs' names, in order; those in ``channels_last`` are turned before anything reads them.
        outputs: names of the results.
        gives_probabilities: whether the result is a softmax's, so that a loss must not apply another.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        layers: Mapping[str, nn.Module],
        inputs: Sequence[str],
        outputs: Sequence[str],
        channels_last: frozenset[str] = frozenset(),
        gives_probabilities: bool = False,
    ) -> None:
        super().__init__()
        for name, layer in layers.items():
            put(self, name, layer)
        self._steps = tuple(steps)
        self._inputs, self._outputs = tuple(inputs), tuple(outputs)
        self.channels_last = channels_last
        self.gives_probabilities = gives_probabilities

    def forward(self, *given: Tensor, **named: Tensor) -> Tree:
        """Outputs for inputs in order or by name."""
        values: dict[str, Any] = dict(by_name(named or given, self._inputs))
        for name in self.channels_last:
            values[name] = values[name].movedim(1, -1)
        for step in self._steps:
            arguments = [values[name] for name in step.inputs]
            found = step.call(*([self.get_submodule(step.layer)] if step.layer else []), *arguments)
            values.update(zip(step.outputs, results(found), strict=False))  # the last may not be asked for
        if len(self._outputs) == 1:
            return values[self._outputs[0]]
        return {name: values[name] for name in self._outputs}

    def __deepcopy__(self, memo: dict[int, Any]) -> "OnnxNetwork":
        """A copy with weights of its own; steps are never changed and stay shared."""
        memo[id(self._steps)] = self._steps
        copy = type(self).__new__(type(self))
        memo[id(self)] = copy
        copy.__dict__.update(deepcopy(self.__dict__, memo))
        return copy
