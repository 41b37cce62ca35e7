"""Built-in networks with seeded random weights, in float32 and int8: enough to weigh and to time them.

Nothing that a benchmark measures depends on the values of weights, as long as activations have ordinary
sizes: arithmetic on subnormal numbers is slow. Such a network is no classifier, and is never scored.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn

from edgesqueeze.compression.quantizing.post_training import Plan, quantize_graph
from edgesqueeze.files import write_atomically
from edgesqueeze.models import built_in_model
from edgesqueeze.network.graph.nodes import Graph
from edgesqueeze.network.integers.spec import QuantSpec
from edgesqueeze.network.reading.torch.build import build_graph

_SEED = 0
_IMAGES = 4


@dataclass(frozen=True)
class RandomNetwork:
    """A built-in network, made once whatever is written of it; every time with the same weights.

    Raises:
        RecipeError: there is no such network.
    """

    name: str

    @cached_property
    def graph(self) -> Graph:
        """The float network."""
        return build_graph(self._module, self._images[:1])

    @cached_property
    def spec(self) -> QuantSpec:
        """Its integers: post-training quantization with ranges of a few images of noise."""
        return quantize_graph(self.graph, [self._images], Plan()).spec

    def write_weights(self, path: Path) -> None:
        """Write what torch loads.

        Raises:
            OutputError: the file cannot be written.
        """
        from safetensors.torch import save

        state = self._module.state_dict()
        write_atomically(path, save({name: tensor.contiguous() for name, tensor in state.items()}))

    @cached_property
    def _images(self) -> Tensor:
        """Noise of variance 1, float32 [N, C, H, W]."""
        generator = torch.Generator().manual_seed(_SEED)
        return torch.randn(_IMAGES, *built_in_model(self.name).input_shape, generator=generator)

    @cached_property
    def _module(self) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_SEED)
            model = built_in_model(self.name).build()
            _settle(model, self._images)
        return model.eval()


@torch.no_grad()
def _settle(model: nn.Module, x: Tensor) -> None:
    """Give every batch norm the statistics of these images: with those it is made with, deep maps vanish."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # a plain average, here of one batch
    if norms:
        model.train()(x)
