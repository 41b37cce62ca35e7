"""Networks with few distinct weights, as the coders get them: from .sqz files, runs and states."""

from argparse import ArgumentTypeError
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from edgesqueeze.compression.weights.weights import bake, load_model
from edgesqueeze.errors import RecipeError
from edgesqueeze.formats.sqz.file import read_sqz
from edgesqueeze.layers import weighted_layers
from edgesqueeze.models import built_in_model
from edgesqueeze.network.graph.nodes import Floats, Graph
from edgesqueeze.network.integers.spec import QuantSpec
from edgesqueeze.network.reading.torch.build import build_graph
from edgesqueeze.pipeline import finished_network
from edgesqueeze.run.recipe import load_recipe
from edgesqueeze.run.rundir import RunDir
from edgesqueeze.task.loading import load_task

MOST_VALUES = 1 << 12
"""A weight tensor with more distinct values than this is not shared; there are no indices to code."""

DEEP_ALEXNET = "deep:alexnet"
_DEEP_DENSITIES = (0.84, 0.38, 0.35, 0.37, 0.37, 0.09, 0.09, 0.25)


@dataclass(frozen=True)
class Network:
    """A network to code: its graph with float32 tensors, and its integers if it is quantized."""

    label: str
    graph: Graph
    spec: QuantSpec | None


def network_source(text: str) -> tuple[str, str]:
    """Split LABEL=SOURCE of a command line."""
    label, equals, source = text.partition("=")
    if not (label and equals and source):
        raise ArgumentTypeError(f"{text!r} is not of the form LABEL=SOURCE")
    return label, source


def load_network(label: str, source: str) -> Network:
    """Load ``model.sqz``, a finished run's folder, ``BUILT_IN_MODEL:state.safetensors``, or ``deep:alexnet``.

    Raises:
        EdgeSqueezeError: the source is none of these, or cannot be read.
    """
    if source == DEEP_ALEXNET:
        return Network(label, deep_alexnet(), None)
    path = Path(source)
    if path.suffix == ".sqz":
        return Network(label, *read_sqz(path.read_bytes()))
    if path.is_dir():
        recipe = load_recipe(str(path / "recipe.yaml"))
        return Network(label, *finished_network(recipe, load_task(recipe.task, recipe.seed), RunDir(path)))
    name, colon, state = source.partition(":")
    if not colon or not state.endswith(".safetensors"):
        raise RecipeError(
            f"{source!r} is no .sqz file, no run, not MODEL:state.safetensors and not {DEEP_ALEXNET}"
        )
    entry = built_in_model(name)
    model = bake(load_model(entry.build().eval(), Path(state)))
    return Network(label, build_graph(model, torch.zeros(1, *entry.input_shape)), None)


def deep_alexnet() -> Graph:
    """AlexNet of 1000 classes, 61.1 M weights, as Deep Compression leaves one: for seconds, not for accuracy.

    Laplacian weights whose size differs from row to row and from column to column, on a linear grid.
    Densities and bits are those of Han et al. 2016, Tables 4 and 6.
    """
    model = built_in_model("alexnet").build().eval()
    generator = np.random.default_rng(0)
    for layer, density in zip(weighted_layers(model).values(), _DEEP_DENSITIES, strict=True):
        weight = layer.get_parameter("weight")
        bits = 5 if weight.ndim == 2 else 8
        weight.data.copy_(torch.from_numpy(deep_weights(tuple(weight.shape), density, bits, generator)))
    return build_graph(model, torch.zeros(1, 3, 224, 224))


def deep_weights(
    shape: tuple[int, ...], density: float, num_bits: int, generator: np.random.Generator
) -> Floats:
    """Laplacian weights [out, in, …] of a density, on a linear grid of ``num_bits`` with zero."""
    rows, columns = shape[0], prod(shape[1:])
    values = generator.laplace(size=(rows, columns)).astype(np.float32)
    values *= np.exp(generator.normal(0, 0.3, (rows, 1))).astype(np.float32)
    values *= np.exp(generator.normal(0, 0.4, (1, columns))).astype(np.float32)
    values[np.abs(values) < np.quantile(np.abs(values[:256]), 1 - density)] = 0
    largest = 2 ** (num_bits - 1) - 1
    step = np.float16(np.abs(values[:64]).max() / largest).astype(np.float32)
    levels = np.clip(np.rint(values / step), -largest, largest)
    levels = np.where(levels == 0, np.sign(values), levels)  # what is kept is not zero
    return (levels * step).reshape(shape).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Indexed:
    """A weight tensor as indices and a codebook. Index 0 is exact zero, which the codebook leaves out.

    Indices are signed: +1 is the smallest positive value, -1 the negative one nearest to zero. This is what
    a coder of quantized weights expects, for neighbouring indices are neighbouring values.
    """

    name: str
    indices: NDArray[np.int32]
    codebook: Floats

    @property
    def num_nonzero(self) -> int:
        """How many indices are not 0."""
        return int(np.count_nonzero(self.indices))


def indexed_weights(network: Network) -> list[Indexed]:
    """The weights of every layer as indices, biases left out.

    Raises:
        RecipeError: a layer's weights are not shared.
    """
    found = []
    for node in network.graph.weighted:
        weight = network.graph.weight(node)
        values, inverse = np.unique(weight, return_inverse=True)
        if len(values) > MOST_VALUES:
            raise RecipeError(
                f"{network.label}: layer {node.name!r} has {len(values)} distinct weights; "
                f"a network whose weights are shared (at most {MOST_VALUES}) is needed"
            )
        ranks = np.where(values > 0, np.arange(len(values)) - int((values <= 0).sum()) + 1, 0)
        ranks = np.where(values < 0, np.arange(len(values)) - int((values < 0).sum()), ranks)
        indices = ranks[inverse].reshape(weight.shape).astype(np.int32)
        found.append(Indexed(node.name, indices, values[values != 0]))
    return found


def bias_bytes(graph: Graph) -> int:
    """The biases of all layers as float32."""
    return sum(graph.bias(node).nbytes for node in graph.weighted)
