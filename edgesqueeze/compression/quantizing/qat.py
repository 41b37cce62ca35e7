"""Quantization-aware training: a graph as a torch module that computes in training as its int8 form will.

Every tensor is on its grid: activations one per share-group, weights symmetric per output channel, biases on
input scale × weight scale (Jacob et al. 2018, arXiv 1712.05877, section 3). Batch norm is folded already and
dropout gone, as in every graph.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from edgesqueeze.compression.quantizing.fake_quant import (
    WEIGHT_MAX,
    clip_of,
    quantize_activation,
    quantize_bias,
)
from edgesqueeze.compression.quantizing.graph_model import GraphModel
from edgesqueeze.compression.quantizing.steps import (
    FixedSteps,
    LearnedSteps,
    MovingAverages,
    Steps,
    without_activation,
)
from edgesqueeze.compression.weights.parametrizations import Codebook, Grid, Mask
from edgesqueeze.errors import TaskError
from edgesqueeze.network.floats.run import run_graph
from edgesqueeze.network.graph.nodes import AnyNode, Floats, Graph, WeightedNode, bias_name, weight_name
from edgesqueeze.network.integers.align import align_grids
from edgesqueeze.network.integers.gates import with_gates
from edgesqueeze.network.integers.ranges import Range
from edgesqueeze.network.integers.spec import activation_grids, spec_from_activations, usable_scale
from edgesqueeze.trees import Tree

QatMethod = Literal["lsq", "moving_average"]
"""How grids come about: learned step sizes, or moving averages of extremes."""
WeightForm = Codebook | Grid
"""What an earlier stage has made of a layer's weights."""
_BIAS_LIMIT = 2.0**30


class QatLayer(nn.Module):
    """The trained float ``weight`` and ``bias`` [out] of one node.

    What was zero stays zero. Few values stay few: on their ``form`` the weights are trained as one per
    centroid of a codebook, or from level to level of a grid.
    """

    weight: Tensor
    bias: nn.Parameter

    def __init__(self, weight: Floats, bias: Floats, form: WeightForm | None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.from_numpy(weight.copy()))
        self.bias = nn.Parameter(torch.from_numpy(bias.copy()))
        if form is not None:
            parametrize.register_parametrization(self, "weight", form)
        elif not weight.all():
            parametrize.register_parametrization(self, "weight", Mask(torch.from_numpy(weight != 0)))


class QatNetwork(nn.Module):
    """A network in quantization-aware training. Layer norms keep their weights.

    Args:
        graph: the float network.
        ranges: what every activation spans at first, from calibration.
        method: how the grids move until :meth:`settle`.
        forms: node name to the form its weights keep.
        keep_float: the nodes that compute in float, between tensors that are on grids.
        per_channel: whether every output channel of a weight has a step of its own, or the whole tensor one.
    """

    steps: Steps

    def __init__(
        self,
        graph: Graph,
        ranges: dict[str, Range],
        method: QatMethod,
        forms: Mapping[str, WeightForm] | None = None,
        keep_float: Collection[str] = (),
        *,
        per_channel: bool = True,
    ) -> None:
        super().__init__()
        self._graph, self._keep_float, self._forms = graph, keep_float, dict(forms or {})
        # The quantizer clamps anyway: a ReLU of its own would be one more pass over memory.
        gated, self._gates = with_gates(graph)
        self._bare = replace(gated, nodes=tuple(without_activation(node) for node in gated.nodes))
        self._owners = tuple(node for node in graph.weighted if not node.weights_of)
        self._place = {node.name: i for i, node in enumerate(self._owners)}
        self.layers = nn.ModuleList(
            [QatLayer(graph.weight(n), graph.bias(n), self._forms.get(n.name)) for n in self._owners]
        )
        grids = activation_grids(graph, ranges)
        spec = spec_from_activations(graph, grids, keep_float=keep_float, per_channel=per_channel)
        self.steps = LearnedSteps(graph, spec) if method == "lsq" else MovingAverages(graph, spec, ranges)

    def forward(self, *inputs: Tensor, **named: Tensor) -> Tree:
        """The simulated int8 output for a batch [N, C, H, W], or a tree of several."""
        grids = self.steps.grids()
        layers = {node.name: self._quantized(node, grids[node.inputs[0]].scale) for node in self._owners}
        weights = {node.name: layers[node.owner] for node in self._graph.weighted}
        return run_graph(self._bare, named or inputs, weights, self._quantize)

    def _quantize(self, node: AnyNode, y: Tensor) -> Tensor:
        if node.copies:
            return y
        gate = self._gates.get(node.name)
        if gate is not None:
            return quantize_activation(y, clip_of(gate, "none"), None)
        return self.steps.activation(self._graph.by_name[node.name], y)

    def _quantized(self, node: WeightedNode, input_scale: float) -> tuple[Tensor, Tensor]:
        weight, bias = self._floats(node)
        if node.name in self._keep_float:
            return weight, bias
        grid = self.steps.scales(node.name, weight) * input_scale
        return self.steps.weight(node.name, weight), quantize_bias(_within_int32(bias, grid), grid)

    def _clipped(self, node: WeightedNode, weight: Tensor, scale: Tensor) -> Tensor:
        """Floats without what the integers never saw; those of few values stay as they are, to stay few."""
        if node.name in self._forms:
            return weight
        limit = WEIGHT_MAX * scale.view(-1, *[1] * (weight.ndim - 1))
        return weight.clamp(-limit, limit)

    @property
    def _quantized_nodes(self) -> tuple[WeightedNode, ...]:
        return tuple(node for node in self._owners if node.name not in self._keep_float)

    def _floats(self, node: WeightedNode) -> tuple[Tensor, Tensor]:
        layer = self.layers[self._place[node.name]]
        assert isinstance(layer, QatLayer)
        return layer.weight, layer.bias

    def after_step(self) -> None:
        """To be called once an optimizer has moved the parameters."""
        self.steps.after_step()

    @property
    def is_settled(self) -> bool:
        """Whether the grids are those that will go into the files."""
        return isinstance(self.steps, FixedSteps)

    @torch.no_grad()
    def settle(self) -> None:
        """Align the grids and fix them, so that from here on only weights and biases are trained."""
        if self.is_settled:
            return
        self.after_step()
        grids = align_grids(self._graph, self.steps.grids())
        scales = {}
        for node in self._quantized_nodes:
            weight, bias = self._floats(node)
            scale = self.steps.scales(node.name, weight).cpu().double().numpy()
            if not np.isfinite(scale).all():
                raise TaskError(f"the weights of {node.name!r} became no numbers; lower the learning_rate")
            usable = usable_scale(scale, bias.cpu().numpy(), grids[node.inputs[0]].scale)
            scales[node.name] = torch.from_numpy(usable)
        self.steps = FixedSteps(grids, scales)

    def steps_state(self) -> dict[str, Any]:
        """What of the grids is no parameter, for :meth:`load_steps_state`: tensors and plain values."""
        return {"settled": self.is_settled, "steps": self.steps.moving_state()}

    def load_steps_state(self, state: dict[str, Any]) -> None:
        """Have the grids of a network that this one was, when it was made; parameters come behind it."""
        if state["settled"]:
            self.steps = FixedSteps.from_moving_state(state["steps"])
        else:
            self.steps.load_moving_state(state["steps"])

    @torch.no_grad()
    def finished(self) -> GraphModel:
        """The trained network and every integer of it; settles it first."""
        self.settle()
        grids, tensors, scales = self.steps.grids(), dict(self._graph.tensors), {}
        for node in self._owners:
            weight, bias = self._floats(node)
            if node in self._quantized_nodes:
                scale = self.steps.scales(node.name, weight)
                bias = _within_int32(bias, scale * grids[node.inputs[0]].scale)
                weight = self._clipped(node, weight, scale)
                scales[node.name] = scale.numpy()
            tensors[weight_name(node)] = weight.numpy().copy()
            tensors[bias_name(node)] = bias.numpy().copy()
        graph = replace(self._graph, tensors=tensors)
        return GraphModel(graph, spec_from_activations(graph, grids, scales, self._keep_float))


def codebook_of(weight: Floats) -> Codebook:
    """The distinct values of a weight as a codebook; zero is pinned to index 0."""
    values, places = np.unique(weight, return_inverse=True)
    nonzero = values != 0
    index_of = np.where(nonzero, np.cumsum(nonzero), 0).astype(np.int32)
    indices = index_of[places.reshape(weight.shape)]
    return Codebook(torch.from_numpy(values[nonzero]), torch.from_numpy(indices))


def _within_int32(bias: Tensor, grid: Tensor) -> Tensor:
    """A bias held where its integer on a grid [out] fits, as it is where weights have not grown tiny."""
    return bias.clamp(-_BIAS_LIMIT * grid, _BIAS_LIMIT * grid)
