"""QAT and PTQ of networks with several inputs and outputs."""

import numpy as np
import pytest
import torch
from ends_networks import inputs_of, model_of
from parity_networks import write_files
from torch.nn import functional as F

from edgesqueeze.compression.stages import Prune, Ptq, Qat, Share, Squeeze
from edgesqueeze.compression.state import load_state, state_of
from edgesqueeze.errors import RecipeError
from edgesqueeze.measure.proof.verification import verify_files
from edgesqueeze.progress import SilentProgress
from edgesqueeze.task.task import Task
from edgesqueeze.task.training import Session, call
from edgesqueeze.trees import leaves, map_tree, rows_of


class Examples:
    """Batches of a network's inputs, and of what it answered itself as targets."""

    def __init__(self, name, count):
        self._x = inputs_of(name, count)
        with torch.no_grad():
            self._y = call(model_of(name), self._x)
        self._count = count

    def __len__(self):
        return self._count

    def batches(self, batch_size, generator=None):
        for i in range(0, self._count, batch_size):
            rows = slice(i, i + batch_size)
            yield rows_of(self._x, rows), rows_of(self._y, rows)


def distance(outputs, targets):
    return sum(
        F.mse_loss(y, t) / t.pow(2).mean() for y, t in zip(leaves(outputs), leaves(targets), strict=True)
    )


def nearness(outputs, targets):
    parts = zip(leaves(outputs), leaves(targets), strict=True)
    return -max(float(np.abs(y - t).mean() / np.abs(t).mean()) for y, t in parts)


def task_of(name):
    examples = Examples(name, 24)
    return Task(
        name=name,
        build_model=lambda: model_of(name),
        train=examples,
        calibration=examples,
        test=examples,
        example_input=inputs_of(name, 1),
        loss=distance,
        metrics={"nearness": nearness},
        fingerprint=name,
    )


SESSION = ("stage", 3, SilentProgress())
STAGES = {
    "qat": [Qat(epochs=2, batch_size=8, optimizer="adam")],
    "averages": [Qat(epochs=2, batch_size=8, method="moving_average")],
    "ptq": [Ptq(method="auto", bias_correction=True)],
    "all": [
        Prune(epochs=1, batch_size=8, sparsity={"*": 0.3}),
        Share(epochs=1, batch_size=8, num_bits={"*": 4}),
        Qat(epochs=1, batch_size=8),
    ],
    "squeezed": [Squeeze(epochs=1, batch_size=8, price=1e-5), Ptq(method="min_max")],
}


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("TwoHeads", "qat"),
        ("Pyramid", "qat"),
        ("Siamese", "qat"),
        ("Pyramid", "averages"),
        ("Signals", "all"),
        pytest.param("Siamese", "ptq", marks=pytest.mark.slow),
        pytest.param("Pyramid", "all", marks=pytest.mark.slow),
        pytest.param("Siamese", "squeezed", marks=pytest.mark.slow),
    ],
)
def test_the_files_of_a_quantized_network_hold_its_integers(name, stages, tmp_path):
    task, model = task_of(name), model_of(name)
    for stage in STAGES[stages]:
        model = stage.apply(model, task, Session(*SESSION))
    path = tmp_path / "model.safetensors"
    path.write_bytes(state_of(model).save())
    state = load_state(path, task.build_model)
    graph, spec = state.network(task.example_input)
    x = map_tree(torch.Tensor.numpy, inputs_of(name, 4, seed=9))
    assert verify_files(graph, spec, write_files(tmp_path, graph, spec), x).failures() == []
    with torch.no_grad():
        one, other = (call(module, task.example_input) for module in (model, state.module))
    assert type(one) is type(other)
    assert all(torch.equal(a, b) for a, b in zip(leaves(one), leaves(other), strict=True))
    if name != "TwoHeads":
        for node in (node for node in graph.weighted if node.weights_of):
            assert np.array_equal(spec.weights[node.name].bias, spec.weights[node.owner].bias)


def test_distillation_needs_one_output():
    with pytest.raises(RecipeError, match="needs class scores, the model returns"):
        Qat(epochs=1, distill=0.5).apply(model_of("TwoHeads"), task_of("TwoHeads"), Session(*SESSION))
