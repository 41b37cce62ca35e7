"""Rounding by columns: closer answers on inputs that hang together, and nothing that may not move."""

import numpy as np
import pytest
import torch
from coarse_layers import coarse, layer_errors
from torch import nn

from edgesqueeze.compression.quantizing.gptq import round_by_columns
from edgesqueeze.compression.quantizing.layerwise import correct_biases
from edgesqueeze.compression.quantizing.post_training import Plan, PlanSearch, quantize_graph, sqnr_db
from edgesqueeze.network.floats.run import graph_weights, run_graph
from edgesqueeze.network.graph.nodes import Graph
from edgesqueeze.network.reading.torch.build import build_graph


class Several(nn.Module):
    """Layers of every kind that has a weight: strided, dilated, grouped, depthwise, dense, transposed."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=8)
        self.grouped = nn.Conv2d(8, 12, 1, groups=4)
        self.up = nn.ConvTranspose2d(12, 6, 2, stride=2)
        self.dense = nn.Linear(6 * 16 * 12, 7)

    def forward(self, x):
        y = self.depthwise(self.stem(x).relu()).relu()
        return self.dense(self.up(self.grouped(y).relu()).relu().flatten(1))


@pytest.fixture
def images():
    """Smooth pictures, so that neighbouring inputs hang together: float32 [24, 3, 16, 12]."""
    noise = torch.randn(24, 3, 16, 12, generator=torch.Generator().manual_seed(0))
    return nn.functional.avg_pool2d(noise, 5, 1, 2) * 5


@pytest.fixture
def graph(images):
    torch.manual_seed(0)
    return build_graph(Several(), images[:1])


def test_every_layer_answers_closer_than_with_the_nearest_integers(graph, images):
    batches = images.split(8)
    spec = correct_biases(graph, coarse(graph, batches), batches)
    before = layer_errors(graph, spec, batches)
    after = layer_errors(graph, round_by_columns(graph, spec, batches), batches)
    ratios = {name: float(after[name].pow(2).mean() / before[name].pow(2).mean()) for name in after}
    assert all(ratios[name] < 0.7 for name in ("stem", "depthwise", "grouped", "dense")), ratios


def test_zeros_scales_and_other_layers_stay(graph, images):
    weight = graph.tensors["stem.weight"]
    pruned = np.where(np.abs(weight) > np.median(np.abs(weight)), weight, 0).astype(np.float32)
    graph = Graph(graph.nodes, {**graph.tensors, "stem.weight": pruned})
    spec = coarse(graph, [images])
    found = round_by_columns(graph, spec, [images])
    assert (found.weights["stem"].weight[pruned == 0] == 0).all()
    assert not np.array_equal(found.weights["stem"].weight, spec.weights["stem"].weight)
    assert np.array_equal(found.weights["up"].weight, spec.weights["up"].weight)
    assert all(found.weights[name].scale is spec.weights[name].scale for name in spec.weights)


def test_channels_that_are_always_zero_are_no_trouble(graph, images):
    silent = graph.tensors["stem.bias"].copy()
    silent[:4] = -100.0
    graph = Graph(graph.nodes, {**graph.tensors, "stem.bias": silent})
    spec = coarse(graph, [images])
    found = round_by_columns(graph, spec, [images])
    for layer in found.weights.values():
        assert np.abs(layer.weight.astype(int)).max() <= 3  # what 3 bits of the nearest integers have
    before, after = layer_errors(graph, spec, [images]), layer_errors(graph, found, [images])
    assert after["dense"].pow(2).mean() < 0.7 * before["dense"].pow(2).mean()


def test_a_fitted_plan_is_judged_on_images_that_it_was_not_fitted_to(graph, images):
    search, fitted = PlanSearch(graph, [images]), Plan(gptq=True)
    search.consider(Plan())
    search.consider(fitted)
    assert search.best_plan == fitted
    assert search.summary().endswith("; those with GPTQ on images that they were not fitted to)")
    with torch.no_grad():
        itself = sqnr_db(run_graph(graph, images, graph_weights(graph)), search.best_model(images))
    assert search.best_sqnr_db < itself - 1
    one_by_one = PlanSearch(graph, images.split(1))
    one_by_one.consider(fitted)
    assert one_by_one.best_sqnr_db == pytest.approx(search.best_sqnr_db, abs=1e-3)
    assert not PlanSearch(graph, [images[:7]]).can_fit
    assert PlanSearch(graph, [images[:8]]).can_fit


@pytest.mark.parametrize("first", [Plan(gptq=True), Plan()])
def test_the_kept_model_is_the_one_of_the_best_plan(first, graph, images):
    search = PlanSearch(graph, images.split(8))
    for plan in (Plan(ranges="percentile", percentile=90.0), first, Plan(weights="mse"), Plan(gptq=True)):
        search.consider(plan)
    again = quantize_graph(graph, images.split(8), search.best_plan)
    for name, layer in again.spec.weights.items():
        assert np.array_equal(layer.weight, search.best_model.spec.weights[name].weight)
