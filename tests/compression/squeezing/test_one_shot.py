"""One shot: closer answers from fewer bytes, for networks of every shape, and nothing read but images."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from ends_networks import NETWORKS, inputs_of, model_of
from small_task import small_task
from torch import nn

from edgesqueeze.coding.weight_tensor import encode_weights
from edgesqueeze.compression.squeezing.drawn_answers import slopes_of_drawn_answers
from edgesqueeze.compression.squeezing.importance import importance_of
from edgesqueeze.compression.squeezing.one_shot import OneShot
from edgesqueeze.compression.squeezing.reads import as_layer_has_it, by_output
from edgesqueeze.compression.weights.biases import bits_worth_their_price, round_bias
from edgesqueeze.compression.weights.folding import fold_batch_norm
from edgesqueeze.compression.weights.weights import bake
from edgesqueeze.errors import RecipeError
from edgesqueeze.layers import weighted_layers
from edgesqueeze.numerics.rate_distortion import choose_step, optimal_levels
from edgesqueeze.trees import arguments, leaves


class Several(nn.Module):
    """Layers of every kind that has a weight: strided, depthwise, grouped, transposed, dense."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, stride=2, padding=1)
        self.depthwise = nn.Conv2d(16, 16, 3, padding=2, dilation=2, groups=16)
        self.grouped = nn.Conv2d(16, 24, 3, padding=1, groups=4)
        self.up = nn.ConvTranspose2d(24, 8, 2, stride=2, groups=2)
        self.dense = nn.Linear(8 * 8 * 6, 10)
        for layer in self.children():
            nn.init.kaiming_normal_(layer.weight)

    def forward(self, x):
        y = self.depthwise(self.stem(x).relu()).relu()
        return self.dense(nn.functional.avg_pool2d(self.up(self.grouped(y).relu()).relu(), 2).flatten(1))


@dataclass
class Images:
    """Inputs without labels, in batches."""

    x: object

    def __len__(self):
        return len(next(leaves(self.x)))

    def batches(self, batch_size, generator=None):
        assert generator is None
        for start in range(0, len(self), batch_size):
            rows = slice(start, start + batch_size)
            part = tuple(p[rows] for p in self.x) if isinstance(self.x, tuple) else self.x[rows]
            yield part, None


def task_of(x, **changes):
    return replace(small_task(), calibration=Images(x), **changes)


def smooth(count, seed):
    """Pictures of which neighbours hang together: float32 [count, 3, 16, 12]."""
    noise = torch.randn(count, 3, 16, 12, generator=torch.Generator().manual_seed(seed))
    return nn.functional.avg_pool2d(noise, 5, 1, 2) * 5


@pytest.fixture(scope="module")
def several():
    torch.manual_seed(0)
    return Several().eval()


@pytest.fixture(scope="module")
def images():
    return smooth(192, 0)


def squeezed(model, task, price, seed=0, names=None):
    """A copy of a model with the levels and biases of one shot, and the shots."""
    shots = OneShot(price, None, seed).squeeze(
        model, names or list(weighted_layers(model)), task, lambda _: None
    )
    found = bake(model)
    with torch.no_grad():
        for name, shot in shots.items():
            layer = found.get_submodule(name)
            layer.weight.copy_(shot.levels * shot.step)
            if shot.bias is not None:
                layer.bias.copy_(shot.bias)
    return found, shots


def bytes_of(model, names):
    layers = [model.get_submodule(name) for name in names]
    return sum(len(encode_weights(by_output(layer, layer.weight.detach()).numpy())) for layer in layers)


def error(model, exact, x):
    with torch.no_grad():
        return float((model(x) - exact(x)).pow(2).mean())


def alone(model, price, names):
    """A copy with every weight of some layers at its own best level; each layer counts as much as another."""
    found = bake(model)
    for layer in (found.get_submodule(name) for name in names):
        weight = by_output(layer, layer.weight.detach())
        matrix = weight.flatten(1).numpy()
        sensitivity = 1 / float(matrix.var())
        step = choose_step(matrix, sensitivity, price)
        levels = torch.from_numpy(optimal_levels(matrix, step, price / sensitivity))
        with torch.no_grad():
            layer.weight.copy_(as_layer_has_it(layer, (levels * step).reshape(weight.shape)))
    return found


def error_alone(model, squeezed_model, names, x):
    """Of the largest copy, rounded each weight for itself, that is no larger than a squeezed one."""
    size = bytes_of(squeezed_model, names)
    for price in np.geomspace(0.0003, 1.0, 40):
        other = alone(model, price, names)
        if bytes_of(other, names) <= size:
            assert bytes_of(other, names) > 0.85 * size
            return error(other, model, x)
    raise AssertionError("none is as small")


@pytest.fixture(scope="module")
def shot(several, images):
    return squeezed(several, task_of(images), 1e-5)


def test_closer_answers_than_each_weight_for_itself_from_no_more_bytes(several, shot):
    found, shots = shot
    fresh = smooth(64, 1)
    assert error(found, several, fresh) < 0.5 * error_alone(several, found, shots, fresh)


@pytest.mark.parametrize("name", ["stem", "depthwise", "grouped", "up", "dense"])
def test_so_do_layers_of_every_kind(name, several, images):
    """Only one of them is squeezed."""
    found, _ = squeezed(several, task_of(images), 1e-6, names=[name])
    fresh = smooth(64, 1)
    assert error(found, several, fresh) < 0.6 * error_alone(several, found, [name], fresh)


def test_the_same_seed_gives_the_same_levels(several, images, shot):
    _, shots = squeezed(several, task_of(images), 1e-5)
    assert all(torch.equal(shots[name].levels, other.levels) for name, other in shot[1].items())
    assert all(torch.equal(shots[name].bias, other.bias) for name, other in shot[1].items())


def test_means_of_answers_are_kept(several, images, shot):
    """Of the first layer, which reads what the float network reads."""
    found, _ = shot
    with torch.no_grad():
        means = [model.stem(images).mean((0, 2, 3)) for model in (several, found)]
    torch.testing.assert_close(means[0], means[1], atol=2e-3, rtol=0)


def test_zeros_stay_zero(several, images):
    model = bake(several)
    with torch.no_grad():
        model.grouped.weight[::2] = 0
    _, shots = squeezed(model, task_of(images[:32]), 1e-8)
    assert not shots["grouped"].levels[::2].any()
    assert shots["grouped"].levels[1::2].any()


def test_one_image_is_enough_to_go_on(several, images):
    found, _ = squeezed(several, task_of(images[:1]), 1e-7)
    x = smooth(16, 1)
    assert error(found, several, x) < 0.1 * float(several(x).detach().var())


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_several_ends_and_shared_weights(name):
    model = model_of(name)
    if name != "NormedApart":
        fold_batch_norm(model, inputs_of(name, 2))
    else:
        model.norms = nn.ModuleList([nn.Identity(), nn.Identity()])
    x = inputs_of(name, 48, seed=5)
    found, shots = squeezed(model, task_of(x, kind="regression"), 1e-6)
    assert set(shots) == set(weighted_layers(model))
    args, named = arguments(inputs_of(name, 16, seed=9))
    with torch.no_grad():
        for y, exact in zip(leaves(found(*args, **named)), leaves(model(*args, **named)), strict=True):
            assert float((y - exact).pow(2).mean()) < 0.05 * float(exact.var())


def test_layers_with_one_weight_keep_one_weight():
    _, shots = squeezed(model_of("Tied"), task_of(inputs_of("Tied", 16)), 1e-6)
    assert torch.equal(shots["a"].levels, shots["b"].levels)
    assert shots["a"].step == shots["b"].step
    assert torch.equal(shots["a"].bias, shots["b"].bias)


class Attention(nn.Module):
    """torch's attention uses the weight of its ``out_proj`` without calling it; the input is changed in place."""

    def __init__(self):
        super().__init__()
        self.attend = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        x = x.mul_(0.5)
        return self.head(self.attend(x, x, x, need_weights=False)[0].mean(1))


def test_weights_that_are_used_without_a_call_are_rounded_each_for_itself():
    torch.manual_seed(0)
    model, told = Attention().eval(), []
    x = torch.randn(96, 5, 8)
    shots = OneShot(1e-7, None, 0).squeeze(model, list(weighted_layers(model)), task_of(x), told.append)
    assert told[0].startswith("squeeze: attend.out_proj is used but never called")
    levels, step = shots["attend.out_proj"].levels, shots["attend.out_proj"].step
    assert (levels * step - model.attend.out_proj.weight).abs().max() < 2 * step
    assert torch.equal(shots["attend.out_proj"].bias, model.attend.out_proj.bias)
    assert set(shots) == {"attend.out_proj", "head"}


def test_a_layer_that_nothing_reads_is_refused(several, images):
    model = bake(several)
    model.spare = nn.Linear(3, 3)
    with pytest.raises(RecipeError, match="layer 'spare' has no part in what the model computes"):
        squeezed(model, task_of(images[:8]), 1e-6)


def test_biases_have_as_many_bits_as_are_worth_their_price():
    bias = torch.tensor([8.0, 0.013, -0.021, 0.017])
    importance = torch.tensor([1.0, 1.0, 1.0, 1.0], dtype=torch.float64)
    found = [bits_worth_their_price(bias, importance, price) for price in (1e-3, 1e-5, 1e-9)]
    assert found == sorted(found)
    assert (found[0], found[-1]) == (4, 16)
    costs = []
    for bits in range(4, 17):
        layer = nn.Linear(1, 4)
        layer.bias.data.copy_(bias)
        round_bias(layer, bits)
        costs.append(float((layer.bias.detach() - bias).double().pow(2).sum()) / 2 + 1e-5 * bits * 4)
    assert found[1] == 4 + int(np.argmin(costs))


class Wide(nn.Module):
    """A bias far larger than its neighbours, as folding leaves them where a norm's channel hardly varied."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.dense = nn.Linear(8, 5)
        nn.init.normal_(self.dense.weight)
        self.dense.weight.data[:, 0] = 0.01  # or it alone would decide
        self.conv.bias.data.copy_(torch.tensor([60.0, *torch.linspace(-0.3, 0.3, 7)]))

    def forward(self, x):
        return self.dense(self.conv(x).relu().mean((2, 3)))


def test_one_large_bias_does_not_cost_the_others_theirs(images):
    torch.manual_seed(0)
    model = Wide().eval()
    errors = {}
    for bits in ("auto", 8):
        shots = OneShot(1e-7, bits, 0).squeeze(model, ["conv", "dense"], task_of(images), lambda _: None)
        errors[bits] = float((shots["conv"].bias - model.conv.bias.detach()).abs()[1:].max())
    assert errors["auto"] < 0.03
    assert errors[8] > 0.1


def test_a_bias_matters_by_the_slopes_of_all_places_together(images):
    torch.manual_seed(0)
    model = Wide().eval()
    found = importance_of(model, ["conv"], task_of(images[:1]), seed=0)["conv"]
    outputs = model(images[:1])
    slopes = slopes_of_drawn_answers(model, outputs, task_of(images[:1]), torch.Generator().manual_seed(0))
    (by_bias,) = torch.autograd.grad([outputs], [model.conv.bias], [slopes])
    assert torch.allclose(found.biases, by_bias.double().pow(2), rtol=1e-4)
    assert (found.biases > found.rows).any()
