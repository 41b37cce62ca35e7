"""Several processes train as one does, bfloat16 nearly so, and nobody waits for a process that has died."""

import os
from pathlib import Path

import pytest
import torch
from small_task import build_model, small_task
from together import Job, run_together
from torch import nn
from training import Recorder

from edgesqueeze.compression.stages import Prune, Qat
from edgesqueeze.compression.state import state_of
from edgesqueeze.errors import RecipeError, TaskError
from edgesqueeze.task.metrics import metrics_of
from edgesqueeze.task.training import (
    Place,
    Session,
    TrainingSettings,
    TrainingStateFile,
    evaluate,
    fit,
    open_place,
)


def plain_model() -> nn.Module:
    """Nothing in it depends on how a batch is shared: no batch norm, no dropout."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))


def trained(place, **settings):
    """Losses of the epochs, and the weights, of batches that end with a single image."""
    model, recorder, task = plain_model(), Recorder(), small_task(build_model=plain_model)
    session = Session("train", 7, recorder, place=place)
    common = {"epochs": 3, "batch_size": 79, "learning_rate": 0.05, "clip_norm": 0.5}
    fit(model, task, TrainingSettings(**common | settings), session)
    return [loss for _, loss, _ in recorder.epochs], model.state_dict(), session.notes


def quantized(place):
    """The grids of a training on moving averages, whose extremes are of whole batches."""
    session = Session("qat", 7, Recorder(), place=place)
    task = small_task(build_model=plain_model)
    model = Qat(epochs=2, batch_size=27, method="moving_average").apply(plain_model(), task, session)
    return {name: grid.scale for name, grid in model.spec.activations.items()}


class KilledError(Exception):
    pass


class Killer(Recorder):
    def step(self, loss):
        super().step(loss)
        if self.steps == 8:
            raise KilledError


def killed_and_resumed(place, folder):
    """The bytes of a pruning with batch norm and dropout, unbroken and killed behind step 7 of 20."""
    states = []
    keeper = TrainingStateFile(folder / "training.pt")
    for recorder, kept in ((Recorder(), None), (Killer(), keeper), (Recorder(), keeper)):
        torch.manual_seed(3 + place.rank)
        session = Session("prune", 7, recorder, keeper=kept, save_minutes=1e-9, place=place)
        stage = Prune(sparsity=0.5, epochs=4, batch_size=16)
        try:
            states.append(state_of(stage.apply(build_model(), small_task(), session)).save())
        except KilledError:
            place.wait()
    return states


def measured_alone(place):
    """Metrics are the first process's own business."""
    if place.is_first:
        task = small_task(metrics=metrics_of("classification", ("a", "b", "c")))
        return evaluate(build_model().eval(), task.test, task)
    return None


def train_together(rank, folder):
    """What each of two processes does, and what it found."""
    place = open_place("cpu", "32", together=True)
    found = {
        "facts": place.facts(),
        "trained": trained(place),
        "quantized": quantized(place),
        "states": killed_and_resumed(place, Path(folder)),
        "measured": measured_alone(place),
    }
    torch.save(found, Path(folder) / f"{rank}.pt")


def lose_the_other(rank):
    """The second process dies, and the first hears of it."""
    place = open_place("cpu", "32", together=True)
    place.wait()
    if rank == 1:
        os._exit(9)
    with pytest.raises(TaskError, match="^process 0 has lost the others: one of them has ended"):
        trained(place)


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """Exit codes and folder of both."""
    folders = {name: tmp_path_factory.mktemp(name) for name in ("train_together", "lose_the_other")}
    jobs = [
        Job(name, (str(folder),) if name == "train_together" else (), folder)
        for name, folder in folders.items()
    ]
    return dict(zip(folders, zip(run_together(__file__, jobs), folders.values(), strict=True), strict=True))


@pytest.mark.slow
def test_two_processes_train_as_one(ended):
    codes, folder = ended["train_together"]
    assert codes == [0, 0], (folder / "0.txt").read_text()
    first, second = (torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert first["facts"] == {"device": "cpu", "precision": "32", "processes": 2}
    alone, weights, notes = trained(Place())
    assert first["trained"][0] == pytest.approx(alone, rel=1e-5)
    assert first["trained"][2] == ["trained on cpu in precision 32 by 2 processes"]
    assert notes == []
    for name, value in weights.items():
        assert torch.equal(first["trained"][1][name], second["trained"][1][name]), name
        assert torch.allclose(first["trained"][1][name], value, rtol=1e-4, atol=1e-6), name
    assert first["quantized"] == second["quantized"]
    assert first["quantized"] == pytest.approx(quantized(Place()), rel=1e-4)
    assert first["states"][0] == first["states"][1] == second["states"][0] == second["states"][1]
    assert first["measured"] == measured_alone(Place())


@pytest.mark.slow
def test_a_process_that_has_died_is_not_waited_for(ended):
    codes, folder = ended["lose_the_other"]
    assert codes == [0, 9], (folder / "0.txt").read_text()


def test_bfloat16_ends_near_float32_and_leaves_float32_weights():
    place = open_place("cpu", "bf16-mixed")
    assert place.facts() == {"device": "cpu", "precision": "bf16-mixed", "processes": 1}
    losses, weights, notes = trained(place)
    alone, _, _ = trained(Place())
    assert losses != alone
    assert losses == pytest.approx(alone, rel=0.02)
    assert {value.dtype for value in weights.values()} == {torch.float32}
    assert notes == ["trained on cpu in precision bf16-mixed"]


class Viewed(nn.Module):
    """Takes a view of a map, which channels that lie last do not allow."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x).view(len(x), -1)


def test_maps_lie_as_bfloat16_wants_them_where_the_network_takes_that():
    place, x = open_place("cpu", "bf16-mixed"), torch.zeros(3, 3, 8, 8)
    flattened = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten())
    assert place.layout(flattened, x) is torch.channels_last
    assert place.layout(Viewed(), x) is torch.preserve_format
    assert flattened.training
    assert Place().layout(flattened, x) is torch.preserve_format


def test_more_processes_than_devices_are_refused(monkeypatch):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "test")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(
        RecipeError, match="^torchrun has started 3 processes on a host with 2 cuda devices; s"
    ):
        open_place("cuda", "32", together=True)
