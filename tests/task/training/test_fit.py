"""What one training loop promises: today's numbers, what each setting does, and the same bytes after a kill."""

import math
import sys

import pytest
import torch
from small_task import build_model, small_task
from torch import nn
from torch.nn import functional as F
from training import Recorder

from edgesqueeze.compression.stages import Prune, Qat, Share, Squeeze, Train
from edgesqueeze.compression.state import state_of
from edgesqueeze.errors import OutputError
from edgesqueeze.task import ArraySplit, Measure
from edgesqueeze.task.training import Session, TrainingSettings, TrainingStateFile, evaluate, fit

SEED = 7


def trained(task=None, recorder=None, keeper=None, **settings):
    """A model trained by these settings, and the session it was trained in."""
    model, session = build_model(), Session("train", SEED, recorder or Recorder(), keeper=keeper)
    torch.manual_seed(3)  # dropout's
    fit(model, task or small_task(), TrainingSettings(**settings), session)
    return model, session


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def plain_loop(epochs, optimizer_of, scheduler_of, after_step=lambda model: None):
    """The loop written out, with nothing but what the oldest settings ask for."""
    model, task = build_model(), small_task()
    torch.manual_seed(3)
    optimizer = optimizer_of(model.parameters())
    scheduler = scheduler_of(optimizer, 3 * epochs)
    generator = torch.Generator().manual_seed(SEED)
    for _ in range(epochs):
        model.train()
        for x, y in task.train.batches(32, generator):
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            scheduler.step()
            after_step(model)
        model.eval()
    return model


def nesterov(parameters):
    return torch.optim.SGD(parameters, 0.05, momentum=0.9, weight_decay=5e-4, nesterov=True)


def half_cosine(optimizer, steps):
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)


@pytest.mark.parametrize(
    ("settings", "optimizer", "scheduler"),
    [
        ({}, nesterov, half_cosine),
        (
            {"schedule": "one_cycle"},
            nesterov,
            lambda o, steps: torch.optim.lr_scheduler.OneCycleLR(o, 0.05, total_steps=steps + 1),
        ),
        (
            {"schedule": "constant", "optimizer": "adam", "momentum": 0.8},
            lambda p: torch.optim.Adam(p, 0.05, (0.8, 0.999), weight_decay=5e-4),
            lambda o, steps: torch.optim.lr_scheduler.ConstantLR(o, 1.0),
        ),
        (
            {"optimizer": "adamw"},
            lambda p: torch.optim.AdamW(p, 0.05, (0.9, 0.999), weight_decay=5e-4),
            half_cosine,
        ),
    ],
)
def test_the_weights_are_those_of_the_loop_written_out(settings, optimizer, scheduler):
    common = {"epochs": 3, "batch_size": 32, "learning_rate": 0.05}
    assert same(trained(**common, **settings)[0], plain_loop(3, optimizer, scheduler))


class UntouchedSplit(ArraySplit):
    """A test split that nobody may look at."""

    def batches(self, batch_size, generator=None):
        raise AssertionError("the test split was looked at while training")


def test_an_epoch_is_judged_on_the_validation_split_and_never_on_the_test_split():
    test = UntouchedSplit(torch.zeros(2, 1, 4, 4), torch.zeros(2, dtype=torch.int64))
    recorder, task = Recorder(), small_task(test=test)
    model, session = trained(task, recorder, epochs=2, batch_size=32)
    assert recorder.courses[0].metric == "validation accuracy"
    assert recorder.epochs[-1][2] == evaluate(model, task.validation, task)["accuracy"]
    assert [epoch.metric for epoch in session.history] == [value for _, _, value in recorder.epochs]
    recorder = Recorder()
    without, session = trained(small_task(test=test, validation=None), recorder, epochs=2, batch_size=32)
    assert [value for _, _, value in recorder.epochs] == [None, None]
    assert [epoch.metric for epoch in session.history] == [None, None]
    assert same(without, model)


def test_the_average_is_the_one_computed_by_hand():
    averages = {}

    def average(model):
        for name, value in model.state_dict().items():
            if name not in averages or not value.is_floating_point():
                averages[name] = value.clone()
            else:
                averages[name] = 0.8 * averages[name] + 0.2 * value

    plain_loop(2, nesterov, half_cosine, average)
    recorder, task = Recorder(), small_task()
    model, _ = trained(task, recorder, epochs=2, batch_size=32, learning_rate=0.05, ema=0.8)
    for name, value in model.state_dict().items():
        assert torch.allclose(value, averages[name], rtol=1e-4, atol=1e-6), name
    assert recorder.epochs[-1][2] == evaluate(model, task.validation, task)["accuracy"]


def test_the_average_keeps_masks_and_codebooks():
    task = small_task()
    model = build_model()
    settings = {"epochs": 3, "batch_size": 32, "learning_rate": 0.05, "ema": 0.9}
    model = Prune(sparsity=0.5, **settings).apply(model, task, Session("prune", 1, Recorder()))
    for layer in (model[0], model[5]):
        assert int((layer.weight == 0).sum()) == layer.weight.numel() // 2
    zeros = [layer.weight == 0 for layer in (model[0], model[5])]
    model = Share(num_bits=2, **settings).apply(model, task, Session("share", 1, Recorder()))
    for layer, zero in zip((model[0], model[5]), zeros, strict=True):
        assert torch.equal(layer.weight == 0, zero)
        assert 2 <= len(layer.weight[~zero].unique()) <= 4


def test_gradients_are_clipped_to_the_norm():
    settings = TrainingSettings(
        epochs=1, batch_size=80, optimizer="sgd", momentum=0, weight_decay=0, schedule="constant",
        learning_rate=1.0, clip_norm=0.25,
    )  # fmt: skip
    model = build_model()
    before = [p.detach().clone() for p in model.parameters()]
    fit(model, small_task(), settings, Session("train", SEED, Recorder()))
    steps = [(a - b).detach().flatten() for a, b in zip(before, model.parameters(), strict=True)]
    assert float(torch.cat(steps).norm()) == pytest.approx(0.25, rel=1e-4)


def test_labels_are_smoothed():
    recorder, task = Recorder(), small_task()
    trained(task, recorder, epochs=1, batch_size=80, label_smoothing=0.3)
    x, y = next(task.train.batches(80, torch.Generator().manual_seed(SEED)))
    torch.manual_seed(0)
    model = build_model().train()
    torch.manual_seed(3)
    with torch.no_grad():
        scores = F.log_softmax(model(x), 1)
    spread = torch.full((80, 3), 0.1).scatter(1, y[:, None], 0.8)
    assert recorder.epochs[0][1] == pytest.approx(float(-(spread * scores).sum(1).mean()), rel=1e-5)


def scripted(values, higher_is_better=True):
    """A task whose metric says these values, epoch by epoch."""
    script = iter(values)
    measure = Measure(lambda outputs, targets: next(script), higher_is_better, "number")
    return small_task(metrics={"score": measure})


NAN = math.nan


@pytest.mark.parametrize(
    ("values", "higher", "stops", "best"),
    [
        ([1, 3, 2, 3, 2.9, 9], True, 4, 2),  # of equals the first counts
        ([5, 4, 6, 7, 0, 0], False, 4, 2),  # less is better
        ([NAN, 1, NAN, NAN, 9, 9], True, 4, 2),  # no number is never better
        ([1, 2, 1, 3, 1, 4], True, 6, 6),  # patience begins anew
    ],
)
def test_training_stops_when_patience_is_at_its_end_and_the_best_is_kept(values, higher, stops, best):
    recorder = Recorder()
    common = {"epochs": 6, "batch_size": 32, "learning_rate": 0.05, "schedule": "constant"}
    task = scripted(values, higher)
    model, session = trained(task, recorder, early_stop=2, keep="best", **common)
    assert [number for number, _, _ in recorder.epochs] == list(range(1, stops + 1))
    said = f"validation score {values[best - 1]:.5g}"
    assert session.notes[-1] == f"kept the best of {stops} epochs, epoch {best} with {said}"
    stopped = f"training stopped after epoch {stops} of 6; the best was epoch {best}"
    assert session.notes[:-1] == ([stopped] if stops < 6 else [])
    # With a constant rate the best epoch is what a training of so many epochs leaves.
    assert same(model, trained(**{**common, "epochs": best})[0])


def test_early_stop_alone_keeps_the_last():
    common = {"epochs": 6, "batch_size": 32, "schedule": "constant"}
    model, session = trained(scripted([3, 2, 1, 0, 0, 0]), early_stop=3, **common)
    assert len(session.history) == 4
    assert same(model, trained(**{**common, "epochs": 4})[0])


# -- killed and resumed --------------------------------------------------------------------------------


class KilledError(Exception):
    pass


class Killer(Recorder):
    """Ends the process, so to say, behind an epoch, or in the progress of a step."""

    def __init__(self, epoch=None, step=None):
        super().__init__()
        self.last, self.last_step = epoch, step

    def epoch(self, number, loss, metric):
        super().epoch(number, loss, metric)
        if number == self.last:
            raise KilledError

    def step(self, loss):
        super().step(loss)
        if self.steps == self.last_step:
            raise KilledError


EVERYTHING = {"optimizer": "adamw", "warmup_epochs": 2, "ema": 0.7, "clip_norm": 1.0, "keep": "best"}
TRAININGS = [
    {},
    {"schedule": "one_cycle"},
    {"optimizer": "adam", "schedule": "constant", "early_stop": 1},
    EVERYTHING,
]


@pytest.mark.parametrize("settings", TRAININGS)
@pytest.mark.parametrize("epoch", [1, 3, 5])
def test_a_killed_training_ends_with_the_bytes_of_an_unbroken_one(settings, epoch, tmp_path):
    common = {"epochs": 5, "batch_size": 32, "learning_rate": 0.05, **settings}
    want, unbroken = trained(**common)
    epoch = min(epoch, len(unbroken.history))
    keeper = TrainingStateFile(tmp_path / "stage" / "training.pt")
    with pytest.raises(KilledError):
        trained(recorder=Killer(epoch), keeper=keeper, **common)
    recorder = Recorder()
    torch.manual_seed(99)  # another process
    found, session = trained(recorder=recorder, keeper=keeper, **common)
    assert state_of(found).save() == state_of(want).save()
    assert session.history == unbroken.history
    assert session.notes == unbroken.notes
    assert recorder.courses[0].trained == epoch
    assert [n for n, _, _ in recorder.epochs] == list(range(epoch + 1, len(unbroken.history) + 1))


COMMON = {"epochs": 4, "batch_size": 16}
"""Of five steps each: a state is kept behind every one, and the last of them is lost."""
STAGES = [
    Train(**COMMON, **EVERYTHING),
    Prune(sparsity=0.6, **COMMON),
    Share(num_bits=2, ema=0.5, **COMMON),
    Squeeze(price=0.3, distill=0.5, **COMMON),  # zeros are fixed before step 12
    Squeeze(price=0.3, settle_after=0.3, learning_rate=0.2, **COMMON),  # before step 6; weights move on
    Qat(**COMMON),  # grids are fixed before step 14
    Qat(method="moving_average", distill=0.5, **COMMON),
]


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: f"{stage.stage}-{getattr(stage, 'method', '')}")
def test_a_stage_killed_within_two_epochs_ends_with_the_same_bytes(stage, tmp_path):
    task, results, notes = small_task(), [], []
    keeper = TrainingStateFile(tmp_path / "training.pt")
    recorders = (Recorder(), Killer(step=8), Killer(step=11), Recorder())
    for recorder, kept in zip(recorders, (None, keeper, keeper, keeper), strict=True):
        torch.manual_seed(3)
        session = Session(stage.stage, SEED, recorder, keeper=kept, save_minutes=1e-9)
        try:
            results.append(state_of(stage.apply(build_model(), task, session)).save())
        except KilledError:
            continue
        notes.append(session.notes)
    assert len(results) == 2
    assert results[0] == results[1]
    assert notes[0] == notes[1]
    # Only the step is trained again whose progress killed it: behind 7 steps of 20, then behind 17.
    begun = [(recorder.courses[0].trained, recorder.courses[0].begun) for recorder in recorders]
    assert begun == [(0, 0), (0, 0), (1, 2), (3, 2)]
    assert recorders[3].steps == 3
    assert recorders[3].epochs == recorders[0].epochs[3:]


def test_within_an_epoch_a_state_is_kept_when_its_minutes_are_over(tmp_path, monkeypatch):
    clock = iter(range(0, 10_000, 25))  # every look is 25 seconds later
    monkeypatch.setattr(sys.modules[fit.__module__], "monotonic", lambda: next(clock))
    kept = []

    class Keeper:
        def load(self):
            return None

        def save(self, state):
            kept.append((len(state["history"]), state["epoch"]["done"]))

    session = Session("train", SEED, Recorder(), keeper=Keeper(), save_minutes=1.0)
    fit(build_model(), small_task(), TrainingSettings(epochs=2, batch_size=8), session)
    # Three looks are 75 seconds; the tenth batch ends the epoch.
    assert kept == [(0, 3), (0, 6), (0, 9), (1, 0), (1, 3), (1, 6), (1, 9), (2, 0)]


def test_a_state_of_other_settings_or_a_damaged_one_is_refused(tmp_path):
    keeper = TrainingStateFile(tmp_path / "training.pt")
    trained(keeper=keeper, epochs=1)
    with pytest.raises(OutputError, match="stage 'train' was trained with other settings; start a new run"):
        trained(keeper=keeper, epochs=2)
    kept = keeper.load()
    keeper.save(kept | {"place": {**kept["place"], "device": "cuda"}})
    with pytest.raises(OutputError, match="'cuda'.* would not end with the same weights; go on there, or"):
        trained(keeper=keeper, epochs=1)
    whole = keeper.path.read_bytes()
    middle = len(whole) // 2  # a number, which torch.load would take as it is
    for damaged in (whole[:-100], whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :], b""):
        keeper.path.write_bytes(damaged)
        with pytest.raises(OutputError, match="training.pt is damaged; delete it to train the stage from"):
            trained(keeper=keeper, epochs=1)
