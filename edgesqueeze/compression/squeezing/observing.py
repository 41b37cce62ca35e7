"""Second moments of a layer's inputs, as the network gives them when all layers before are squeezed."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from edgesqueeze.compression.squeezing.reads import drawn_places, reads
from edgesqueeze.compression.squeezing.sums import Observed, Sums, observed
from edgesqueeze.data.splits import Split
from edgesqueeze.task.training import call
from edgesqueeze.trees import Tree

BATCH = 64
PLACES, FEWEST_PLACES = 1 << 18, 1 << 14
"""Of a layer's output over all images: at most so many are looked at; of wide layers fewer, down to these."""
_PLACES_TIMES_COLUMNS = 1 << 28


@dataclass(frozen=True)
class Networks:
    """The float network and the one whose layers are being squeezed, both in evaluation mode."""

    exact: nn.Module
    rounded: nn.Module

    @torch.no_grad()
    def observe(
        self, calls: Mapping[str, int], weight: Tensor, images: Split, generator: torch.Generator
    ) -> Observed:
        """Moments of what layers with one weight read in the squeezed network, and should answer.

        Args:
            calls: names of the layers, and how often a pass calls each.
            weight: what they have in the float network, [parts, rows, columns].
            images: to calibrate on.
            generator: draws places of large outputs.
        """
        centred = all(self.exact.get_submodule(name).bias is not None for name in calls)
        places = _places_per_image(weight.shape[2], len(images) * sum(calls.values()))
        halves: list[Sums] = []
        for number, (x, _) in enumerate(images.batches(min(BATCH, ceil(len(images) / 2)))):
            given, read = (_inputs(model, calls, x) for model in (self.exact, self.rounded))
            for (name, wanted), (_, found) in zip(given, read, strict=True):
                layer = self.exact.get_submodule(name)
                chosen = drawn_places(layer, found, places, generator)
                shape = (weight.shape[0], weight.shape[2], -1)
                seen, exact = (reads(layer, x, chosen).reshape(shape) for x in (found, wanted))
                answers = weight @ exact
                if number < 2 and number == len(halves):
                    halves.append(halves[0].empty() if halves else Sums.like(seen, answers, centred=centred))
                halves[number % 2].add(seen, answers)
        return observed(halves, centred=centred)


def _places_per_image(columns: int, passes: int) -> int:
    most = max(FEWEST_PLACES, min(PLACES, _PLACES_TIMES_COLUMNS // columns))
    return max(1, ceil(most / passes))


class _EnoughError(Exception):
    """Ends a forward pass: what lies behind is not needed."""


def _inputs(model: nn.Module, calls: Mapping[str, int], x: Tree) -> list[tuple[str, Tensor]]:
    """Names of layers and what they are called with, in order; the pass ends with the last of them."""
    seen: list[tuple[str, Tensor]] = []
    count = sum(calls.values())

    def watch(name: str) -> RemovableHandle:
        def look(layer: nn.Module, given: tuple[Tensor, ...], named: Mapping[str, Tensor]) -> None:
            del layer
            seen.append((name, (given[0] if given else named["input"]).clone()))
            if len(seen) == count:
                raise _EnoughError

        return model.get_submodule(name).register_forward_pre_hook(look, with_kwargs=True)

    handles = [watch(name) for name in calls]
    try:
        call(model, x)
    except _EnoughError:
        pass
    finally:
        for handle in handles:
            handle.remove()
    return seen
