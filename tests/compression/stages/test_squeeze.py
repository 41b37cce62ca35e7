"""Entropy-constrained quantization: exact grids, zeros that stay, fewer bits for a higher price."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from training import weights_of

from edgesqueeze.compression.stages import Prune, Share, Squeeze
from edgesqueeze.compression.weights.parametrizations import Grid
from edgesqueeze.compression.weights.weights import bake, parametrization_of, weight_of
from edgesqueeze.data.splits import ArraySplit
from edgesqueeze.errors import RecipeError
from edgesqueeze.formats.sqz.file import emit_sqz
from edgesqueeze.layers import weighted_layers
from edgesqueeze.network.reading.torch.build import build_graph
from edgesqueeze.numerics.rate_distortion import exact_step
from edgesqueeze.run.recipe import parse_recipe
from edgesqueeze.task.fidelity import no_loss
from edgesqueeze.task.training import call, check_training


def squeezed(task, session, **settings):
    torch.manual_seed(0)
    return Squeeze(**settings).apply(task.build_model(), task, session)


@pytest.mark.slow
@pytest.mark.parametrize("epochs", [0, 2])
def test_every_weight_is_a_whole_number_of_exact_steps(epochs, lenet_task, session):
    model = squeezed(lenet_task, session, price=0.5 if epochs else 0.005, epochs=epochs, batch_size=64)
    for layer in weighted_layers(model).values():
        grid = parametrization_of(layer, Grid)
        step = float(grid.step)
        assert exact_step(step) == step
        levels = weight_of(layer).detach().double() / step
        assert torch.equal(levels, levels.round())
        assert 0 < int((levels != 0).sum()) < levels.numel()
    assert any("squeeze:" in note for note in session.notes)


@pytest.mark.slow
@pytest.mark.parametrize("epochs", [0, 3])
def test_a_higher_price_leaves_fewer_bytes(epochs, lenet_task, session):
    sizes = []
    for price in (0.02, 16.0) if epochs else (0.001, 0.01):
        model = squeezed(lenet_task, session, price=price, epochs=epochs, batch_size=32, learning_rate=0.1)
        sizes.append(len(emit_sqz(build_graph(bake(model), lenet_task.example_input), None)))
    assert sizes[1] < 0.8 * sizes[0]


def test_pruned_weights_stay_zero(lenet_task, session):
    model = Prune(sparsity=0.8).apply(lenet_task.build_model(), lenet_task, session)
    before = {name: weight.clone() for name, weight in weights_of(model).items()}
    model = Squeeze(price=0.05, epochs=1).apply(model, lenet_task, session)
    for name, weight in weights_of(model).items():
        assert not weight[before[name] == 0].any(), name


def test_one_shot_reads_no_label_and_is_drawn_by_the_seed_alone(tiny_task, session):
    """The training split is not there; the labels of the calibration images are absurd."""
    images = ArraySplit(next(iter(tiny_task.calibration.batches(32)))[0], torch.full((32,), 1000))
    task = replace(tiny_task, train=None, calibration=images, labelled=False, loss=no_loss)
    stage = Squeeze(price=0.005)
    assert not stage.needs_labels
    check_training(stage, task, "squeeze")
    found = [weights_of(squeezed(task, replace(session, seed=seed), price=1e-4)) for seed in (7, 7, 8)]
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])
    assert not all(torch.equal(found[0][name], found[2][name]) for name in found[0])


def test_a_step_scale_is_of_a_finely_chosen_step(tiny_task, session):
    steps = []
    for scale in (1.0, 2.0):
        model = squeezed(tiny_task, session, price=1e-3, epochs=1, step_scale=scale)
        steps.append([float(parametrization_of(m, Grid).step) for m in weighted_layers(model).values()])
    assert steps[1] == [2 * step for step in steps[0]]


@pytest.mark.slow
def test_biases_are_on_a_grid_or_left_alone(lenet_task, session):
    for bits, most in ((4, 16), (None, None)):
        model = squeezed(lenet_task, session, price=0.1, bias_bits=bits, epochs=1)
        bias = model.get_submodule("fc1").bias.detach().numpy()
        assert most is None or len(np.unique(bias)) <= most + 1
        if most is None:
            assert len(np.unique(bias)) > len(bias) / 2


def test_shared_weights_are_refused(lenet_task, session):
    model = Share(num_bits=3).apply(lenet_task.build_model(), lenet_task, session)
    with pytest.raises(RecipeError, match="'squeeze' takes the place of 'share'"):
        Squeeze(price=0.1).apply(model, lenet_task, session)


def test_a_price_that_leaves_nothing_is_refused(lenet_task, session):
    with pytest.raises(RecipeError, match=r"squeeze.price 50.0 leaves no weight in layer '.*'; lower it"):
        squeezed(lenet_task, session, price=50.0)


@pytest.mark.slow
def test_a_rising_price_takes_fewer_weights_in_the_same_time(lenet_task, session):
    zeros = []
    for ramp in (0.0, 1.0):
        settings = {"epochs": 2, "batch_size": 32, "learning_rate": 0.1, "ramp": ramp}
        model = squeezed(lenet_task, session, price=4.0, **settings)
        zeros.append(sum(int((weight == 0).sum()) for weight in weights_of(model).values()))
    assert zeros[1] < 0.98 * zeros[0]


def recipe_of(*stages):
    data = {"version": 1, "name": "x", "task": {"model": "lenet5", "data": "mnist_sample"}}
    return parse_recipe({**data, "stages": list(stages), "exports": [{"export": "onnx"}]}, "test")


SQUEEZE = {"stage": "squeeze", "price": 0.1}


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ((SQUEEZE, {"stage": "prune", "sparsity": 0.5}), "'prune' stands behind 'squeeze' and would undo it"),
        ((SQUEEZE, SQUEEZE), "'squeeze' stands behind 'squeeze' and would undo it"),
        (({"stage": "share", "num_bits": 3}, SQUEEZE), "'squeeze' stands behind 'share'; it takes its place"),
    ],
)
def test_orders_that_are_refused(stages, words):
    with pytest.raises(RecipeError, match=words):
        recipe_of(*stages)


def test_what_is_distilled_answers_like_the_network_it_was(tiny_task, session):
    torch.manual_seed(0)
    want = call(tiny_task.build_model().eval(), tiny_task.example_input)
    apart = []
    for share in (0.0, 1.0):
        settings = {"epochs": 3, "batch_size": 16, "learning_rate": 0.05, "weight_decay": 0.0}
        model = squeezed(tiny_task, session, price=1e-3, distill=share, **settings)
        apart.append(float((call(model.eval(), tiny_task.example_input) - want).detach().pow(2).mean()))
    assert apart[1] < 0.1 * apart[0]


@pytest.mark.parametrize(
    "setting", [{"ramp": 0.3}, {"settle_after": 0.5}, {"distill": 0.5}, {"step_scale": 1.5}]
)
def test_settings_of_a_training_that_is_not_asked_for_are_refused(setting):
    with pytest.raises(ValidationError, match="needs? epochs above 0"):
        Squeeze(price=1.0, **setting)


@pytest.mark.parametrize("price", [0, -1, float("nan"), "free"])
def test_prices_that_are_refused(price):
    with pytest.raises(ValidationError):
        Squeeze(price=price)


def test_bits_of_biases_are_a_number_a_name_or_nothing():
    assert [Squeeze(price=1, bias_bits=bits).bias_bits for bits in (4, "auto", None)] == [4, "auto", None]
    with pytest.raises(ValueError, match="allowed: a whole number from 4 to 16, auto, or null"):
        Squeeze(price=1, bias_bits="many")
