"""What every stage must keep, and what each promises."""

import numpy as np
import pytest
import torch
from torch import nn
from training import weights_of

from edgesqueeze.compression.quantizing.graph_model import (
    GraphModel,
    holds_graph_model,
    load_graph_model,
    serialize_graph_model,
)
from edgesqueeze.compression.stages import Prune, Ptq, Qat, Share, Squeeze, Train
from edgesqueeze.compression.weights.weights import bake, load_model, serialize_model
from edgesqueeze.errors import RecipeError, TaskError
from edgesqueeze.layers import match_layers
from edgesqueeze.task.training import evaluate

STAGES = {
    "train": Train(epochs=1),
    "prune": Prune(sparsity={"conv*": 0.5, "fc*": 0.9}, epochs=1),
    "share": Share(num_bits={"conv*": 5, "fc*": 3}, epochs=1),
    "qat": Qat(epochs=1),
    "squeeze": Squeeze(price=0.2, epochs=1),
    "ptq": Ptq(method="min_max"),
}
EACH_STAGE = [
    pytest.param(name, marks=pytest.mark.slow) if name in ("qat", "squeeze") else name for name in STAGES
]


def outputs(model, task):
    with torch.no_grad():
        return torch.cat([model.eval()(x) for x, _ in task.test.batches(100)])


@pytest.fixture(scope="module")
def trained(lenet_task):
    from training import Recorder

    from edgesqueeze.task.training import Session

    model = lenet_task.build_model()
    Train(epochs=3, learning_rate=0.05, batch_size=32).apply(
        model, lenet_task, Session("train", 0, Recorder())
    )
    return serialize_model(model)


@pytest.fixture
def model(trained, lenet_task, tmp_path):
    path = tmp_path / "trained.safetensors"
    path.write_bytes(trained)
    return load_model(lenet_task.build_model(), path)


@pytest.mark.parametrize("name", EACH_STAGE)
def test_a_stage_saves_reloads_and_bakes_to_the_same_numbers(name, model, lenet_task, session, tmp_path):
    changed = STAGES[name].apply(model, lenet_task, session)
    want = outputs(changed, lenet_task)
    path = tmp_path / "state.safetensors"
    if isinstance(changed, GraphModel):
        path.write_bytes(serialize_graph_model(changed))
        again = load_graph_model(path)
    else:
        path.write_bytes(serialize_model(changed))
        again = load_model(lenet_task.build_model(), path)
        assert torch.equal(outputs(bake(again), lenet_task), want)
        assert serialize_model(again) == serialize_model(changed)
    assert torch.equal(outputs(again, lenet_task), want)


@pytest.mark.parametrize("name", EACH_STAGE)
def test_a_stage_is_deterministic(name, trained, lenet_task, session, tmp_path):
    path = tmp_path / "trained.safetensors"
    path.write_bytes(trained)
    results = []
    for _ in range(2):
        torch.manual_seed(3)
        results.append(STAGES[name].apply(load_model(lenet_task.build_model(), path), lenet_task, session))
    assert torch.equal(outputs(results[0], lenet_task), outputs(results[1], lenet_task))


@pytest.mark.parametrize(
    "name", ["train", "prune", "share", "qat", pytest.param("squeeze", marks=pytest.mark.slow)]
)
def test_a_stage_tells_its_progress(name, model, lenet_task, session, recorder):
    STAGES[name].apply(model, lenet_task, session)
    assert [number for number, _, _ in recorder.epochs] == [1]
    assert recorder.steps == -(-600 // 128)


@pytest.mark.parametrize("stage", [Prune(sparsity={"cnov1": 0.5}), Share(num_bits={"cnov1": 5})])
def test_a_glob_that_names_no_layer_is_refused_before_training(stage, lenet_task):
    with pytest.raises(RecipeError, match="'cnov1' names no layer; the model has conv1, conv2, fc1, fc2"):
        stage.check(lenet_task.build_model())


def test_pruning_reaches_exactly_the_sparsity_and_it_stays(model, lenet_task, session):
    targets = {"conv1": 0.34, "conv2": 0.88, "fc1": 0.92, "fc2": 0.81}
    pruned = Prune(sparsity=targets, epochs=2).apply(model, lenet_task, session)
    for name, weight in weights_of(pruned).items():
        assert int((weight != 0).sum()) == round((1 - targets[name]) * weight.numel())
        assert not torch.signbit(weight[weight == 0]).any()  # no -0.0
    before = {name: weight == 0 for name, weight in weights_of(pruned).items()}
    trained = Train(epochs=1, optimizer="adam", weight_decay=0.01).apply(pruned, lenet_task, session)
    for name, weight in weights_of(trained).items():
        assert (weight[before[name]] == 0).all()


def test_one_shot_pruning_keeps_the_largest_weights(model, lenet_task, session):
    original = weights_of(model)["fc1"].clone()
    weight = weights_of(Prune(sparsity={"fc1": 0.9}, epochs=0).apply(model, lenet_task, session))["fc1"]
    kept = weight != 0
    assert torch.equal(weight[kept], original[kept])
    assert original[kept].abs().min() >= original[~kept].abs().max()


def test_gradual_pruning_beats_one_shot_pruning(trained, lenet_task, session, tmp_path):
    path = tmp_path / "trained.safetensors"
    path.write_bytes(trained)
    scores = {}
    for epochs in (0, 3):
        model = load_model(lenet_task.build_model(), path)
        pruned = Prune(sparsity=0.97, epochs=epochs).apply(model, lenet_task, session)
        scores[epochs] = evaluate(pruned, lenet_task.test, lenet_task)["accuracy"]
    assert scores[3] > scores[0] + 0.05


def test_a_lower_sparsity_than_there_is_is_refused(model, lenet_task, session):
    pruned = Prune(sparsity=0.8).apply(model, lenet_task, session)
    with pytest.raises(
        RecipeError, match="0.8000 of layer 'conv1' is zero already, 0.5 would need pruned weights"
    ):
        Prune(sparsity=0.5).apply(pruned, lenet_task, session)


def test_more_pruning_only_adds_zeros(model, lenet_task, session):
    once = Prune(sparsity=0.5).apply(model, lenet_task, session)
    zeros = {name: weight == 0 for name, weight in weights_of(once).items()}
    twice = Prune(sparsity=0.8, epochs=1).apply(once, lenet_task, session)
    for name, weight in weights_of(twice).items():
        assert (weight[zeros[name]] == 0).all()
        assert int((weight == 0).sum()) == weight.numel() - round(0.2 * weight.numel())


def test_sharing_leaves_few_values_and_every_zero(model, lenet_task, session):
    pruned = Prune(sparsity=0.9).apply(model, lenet_task, session)
    zeros = {name: weight == 0 for name, weight in weights_of(pruned).items()}
    shared = Share(num_bits={"conv*": 4, "fc*": 2}, epochs=1).apply(pruned, lenet_task, session)
    for name, weight in weights_of(shared).items():
        limit = 16 if name.startswith("conv") else 4
        assert len(weight[weight != 0].unique()) <= limit
        assert (weight[zeros[name]] == 0).all()


def test_a_centroid_gets_the_sum_of_its_weights_gradients(model, lenet_task, session):
    shared = Share(num_bits=3, epochs=0).apply(model, lenet_task, session)
    x, y = next(lenet_task.train.batches(16))
    lenet_task.loss(shared(x), y).backward()
    codebook = shared.fc2.parametrizations.weight[0]
    plain = bake(shared)
    plain.zero_grad()
    lenet_task.loss(plain(x), y).backward()
    gradient = plain.fc2.weight.grad.flatten().numpy()
    sums = np.bincount(codebook.indices.flatten().numpy(), gradient, minlength=9)[1:]
    assert np.allclose(codebook.centroids.grad.numpy(), sums, rtol=1e-4, atol=1e-6)


def test_sharing_twice_and_pruning_what_is_shared_are_refused(model, lenet_task, session):
    shared = Share(num_bits=4).apply(model, lenet_task, session)
    with pytest.raises(RecipeError, match="layer 'conv1' are shared already"):
        Share(num_bits=4).apply(shared, lenet_task, session)
    with pytest.raises(RecipeError, match="'conv1' has shared weights; prune before"):
        Prune(sparsity=0.5).apply(shared, lenet_task, session)


def test_a_layer_without_weights_left_can_be_shared(model, lenet_task, session):
    with torch.no_grad():
        model.conv1.weight.zero_()
    shared = Share(num_bits=4, epochs=1).apply(model, lenet_task, session)
    assert (weights_of(shared)["conv1"] == 0).all()


def test_sharing_folds_batch_norm_and_keeps_what_the_network_computes(tiny_task, session, tmp_path):
    model = tiny_task.build_model()
    model.train()
    for x, _ in tiny_task.train.batches(64):
        model(x)  # running statistics that are not the initial ones
    pruned = Prune(sparsity={"stem*": 0.4, "same": 0.5}).apply(model, tiny_task, session)
    before = outputs(bake(pruned), tiny_task)
    shared = Share(num_bits={"same": 8}, epochs=0).apply(pruned, tiny_task, session)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in shared.modules())
    assert torch.allclose(outputs(shared, tiny_task), before, atol=0.05 * float(before.abs().max()))
    weights = weights_of(shared)
    assert int((weights["stem.0"] == 0).sum()) == weights["stem.0"].numel() - round(
        0.6 * weights["stem.0"].numel()
    )
    path = tmp_path / "state.safetensors"
    path.write_bytes(serialize_model(shared))
    again = load_model(tiny_task.build_model(), path)
    assert torch.equal(outputs(again, tiny_task), outputs(shared, tiny_task))


def test_ptq_puts_the_network_on_the_grid(model, lenet_task, session):
    quantized = Ptq(method="min_max").apply(model, lenet_task, session)
    assert isinstance(quantized, GraphModel)
    grid = quantized.spec.activations[quantized.graph.output.name]
    integers = outputs(quantized, lenet_task) / grid.scale + grid.zero_point
    assert torch.allclose(integers, integers.round(), atol=1e-3)
    score = evaluate(quantized, lenet_task.test, lenet_task)["accuracy"]
    assert score > 0.8


def test_a_damaged_state_is_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"no tensors")
    for read in (holds_graph_model, load_graph_model):
        with pytest.raises(TaskError, match="is damaged"):
            read(path)


def test_ptq_twice_is_refused(model, lenet_task, session):
    quantized = Ptq(method="min_max").apply(model, lenet_task, session)
    with pytest.raises(RecipeError, match="quantized already"):
        Ptq(method="min_max").apply(quantized, lenet_task, session)


def test_a_loss_that_is_not_a_number_is_an_error(lenet_task, session):
    with pytest.raises(
        TaskError, match="the loss of stage 'test' became nan in epoch 1; lower its learning_rate"
    ):
        Train(epochs=1, learning_rate=10, schedule="constant").apply(
            _exploding(lenet_task.build_model()), lenet_task, session
        )


def _exploding(model):
    with torch.no_grad():
        model.fc2.weight.mul_(1e30)
    return model


def test_the_first_matching_glob_wins(lenet_task):
    model = lenet_task.build_model()
    assert match_layers(model, {"conv1": 1, "conv*": 2}, "x") == {"conv1": 1, "conv2": 2}
    assert match_layers(model, 5, "x") == dict.fromkeys(["conv1", "conv2", "fc1", "fc2"], 5)


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine", "constant"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_every_optimizer_and_schedule_learns(schedule, optimizer, lenet_task, session, recorder):
    rate = 0.02 if optimizer == "sgd" else 1e-3
    stage = Train(epochs=2, learning_rate=rate, optimizer=optimizer, schedule=schedule, batch_size=64)
    stage.apply(lenet_task.build_model(), lenet_task, session)
    losses = [loss for _, loss, _ in recorder.epochs]
    assert losses[1] < losses[0]
