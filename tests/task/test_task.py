"""Tasks from settings and from functions: that they work, that they repeat, and every refusal."""

import struct
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from edgesqueeze.errors import TaskError
from edgesqueeze.task.loading import load_task
from edgesqueeze.task.task import Task
from edgesqueeze.task.task_config import TaskConfig

USER_CODE = '''
import torch
from torch import nn
from edgesqueeze.data.splits import ArraySplit
from edgesqueeze.task.task import Task
from edgesqueeze.task.metrics import top1_accuracy

class Net(nn.Module):
    """Takes grey or colour images of any size."""

    def __init__(self, num_classes=1000, in_channels=3):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 4, 3)
        self.fc = nn.Linear(4, num_classes)

    def forward(self, x):
        return self.fc(self.conv(x).mean((2, 3)))

def not_a_module(): return [1]
def raises(): raise ValueError("no weights\\nat all")
def exact(**kwargs): assert kwargs == {"a": 1, "b": None}; return Net(10, 1)
def leaves(): raise SystemExit(3)
def lazy(): return nn.Sequential(nn.Flatten(), nn.LazyLinear(10))
def late(num_classes):
    from es_late_import import CHANNELS
    return Net(num_classes, CHANNELS)

class Pair(Net):
    def forward(self, x):
        return super().forward(x), x
class Map(Net):
    def forward(self, x):
        return self.conv(x)
class Wanting(Net):
    def forward(self, x):
        raise KeyError("mood")

shared = Net(10, 1)
def the_same_one(): return shared

def images(count, size=8): return torch.rand(count, 1, size, size)

def denoise(**changes):
    """Not a classification: pictures in, pictures out."""
    x = images(12)
    parts = dict(
        name="denoise", build_model=lambda: nn.Conv2d(1, 1, 3, padding=1),
        train=ArraySplit(x, x), calibration=ArraySplit(x[:4], x[:4]), test=ArraySplit(x[6:], x[6:]),
        example_input=x[:1], loss=nn.functional.mse_loss,
        metrics={"negative_mse": lambda o, t: -float(((o - t) ** 2).mean()), "count": lambda o, t: len(o)},
        checkpoint=None, fingerprint="f",
    )
    return Task(**(parts | changes))

def no_task(): return 3
def task_raises(): raise RuntimeError("out of pictures")
def no_metrics(): return denoise(metrics={})
def empty_test(): return denoise(test=ArraySplit(images(0), images(0)))
def empty_calibration(): return denoise(calibration=ArraySplit(images(0), images(0)))
def other_size(): return denoise(test=ArraySplit(images(3, 9), images(3, 9)))
def two_examples(): return denoise(example_input=images(2))
def double_example(): return denoise(example_input=images(1).double())
def list_split(): return denoise(train=[1, 2, 3])
def bad_model(): return denoise(build_model=lambda: "net")
def bad_checkpoint():
    from pathlib import Path
    return denoise(checkpoint=Path("absent.pt"))
'''


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A working directory with the user's module ``es_user``."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "es_user.py").write_text(USER_CODE)
    (tmp_path / "es_late_import.py").write_text("CHANNELS = 1\n")
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("es_"):
            del sys.modules[name]


def config(**changes):
    return TaskConfig.model_validate({"model": "lenet5", "data": "mnist_sample"} | changes)


def user(model, num_classes=10, in_channels=1):
    return config(model=model, model_args={"num_classes": num_classes, "in_channels": in_channels})


def refuse(what, *words, seed=0):
    path = list(sys.path)
    with pytest.raises(TaskError) as caught:
        load_task(what, seed)
    assert sys.path == path
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message


def same_weights(a, b):
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("model", ["lenet5", "lenet300_100"])
def test_built_in_model_on_the_packaged_digits(model):
    task = load_task(config(model=model), 0)
    assert task.name == f"{model} on mnist_sample"
    assert [len(s) for s in (task.train, task.calibration, task.test)] == [4000, 256, 1000]
    assert task.example_input.shape == (1, 1, 28, 28)
    assert (task.primary_metric, task.checkpoint) == ("accuracy", None)
    ((x, y),) = task.calibration.batches(256)
    assert torch.equal(x[:1], task.example_input)
    assert torch.equal(next(task.train.batches(256))[0], x)
    scores = task.build_model()(x)
    loss = task.loss(scores, y)
    assert loss.shape == ()
    loss.backward()
    assert task.score(scores.detach().numpy(), y.numpy())["accuracy"] == float(
        (scores.argmax(1) == y).float().mean()
    )


def write_pictures(folder, size=(64, 64), classes=3):
    for c in range(classes):
        (folder / f"class{c}").mkdir(parents=True)
        for i in range(4):
            pixels = np.random.default_rng([c, i]).integers(0, 256, (*size, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"class{c}" / f"{i}.png")
    return folder


def folder_data(folder, channels=3, size=(64, 64)):
    return {
        "image_folder": str(folder),
        "image_size": size,
        "mean": [0.5] * channels,
        "std": [0.25] * channels,
    }


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("model", ["alexnet", "squeezenet1_0", "squeezenet1_1"])
def test_built_in_models_take_classes_and_channels_from_an_image_folder(tmp_path, model, channels):
    data = folder_data(write_pictures(tmp_path / "p"), channels)
    task = load_task(config(model=model, data=data, calibration_images=5), 0)
    assert task.example_input.shape == (1, channels, 64, 64)
    assert task.build_model().eval()(task.example_input).shape == (1, 3)
    assert len(task.calibration) == 5


def test_options_of_a_built_in_model():
    data = {"named": "mnist_sample", "image_size": [32, 32]}
    task = load_task(config(model="squeezenet1_1", model_args={"bypass": "complex"}, data=data), 0)
    assert task.build_model().get_submodule("features.3.bypass").out_channels == 128


def write_idx(folder, classes=4, size=28):
    folder.mkdir()
    for prefix, count in (("train", 40), ("t10k", 12)):
        images = np.random.default_rng(count).integers(0, 256, (count, size, size), dtype=np.uint8)
        labels = (np.arange(count) % classes).astype(np.uint8)
        head = bytes([0, 0, 8, 3]) + struct.pack(">3I", *images.shape)
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(head + images.tobytes())
        head = bytes([0, 0, 8, 1]) + struct.pack(">I", count)
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(head + labels.tobytes())
    return folder


@pytest.mark.parametrize("normalization", [{}, {"mean": [0.5], "std": [0.25]}])
def test_idx_directory(tmp_path, normalization):
    data = {"idx": str(write_idx(tmp_path / "d")), **normalization}
    task = load_task(config(data=data, calibration_images=40), 0)
    assert task.name == f"lenet5 on {tmp_path / 'd'}"
    assert task.build_model()(task.example_input).shape == (1, 4)
    if normalization:
        ((x, _),) = task.test.batches(12)
        assert x.abs().max() <= 2


def test_torchvision_factory(tmp_path):
    data = folder_data(write_pictures(tmp_path / "p"))
    what = config(
        model="torchvision.models:resnet18", model_args={"num_classes": 3}, data=data, calibration_images=2
    )
    task = load_task(what, 0)
    assert task.name == f"torchvision.models:resnet18 on {tmp_path / 'p'}"
    assert task.build_model().eval()(task.example_input).shape == (1, 3)


def test_named_data_in_the_size_a_network_wants():
    data = {"named": "mnist_sample", "image_size": [64, 48], "channels": 3}
    task = load_task(TaskConfig(model="squeezenet1_1", data=data), 0)
    assert task.name == "squeezenet1_1 on mnist_sample at 64 × 48"
    assert list(task.example_input.shape) == [1, 3, 64, 48]


def test_a_part_of_the_training_images():
    data = {"named": "mnist_sample", "train_images": 300}
    task = load_task(TaskConfig(model="lenet5", data=data), 0)
    whole = load_task(TaskConfig(model="lenet5", data="mnist_sample"), 0)
    assert task.name == "lenet5 on mnist_sample, 300 training images"
    assert len(task.train) == 300
    assert len(task.test) == len(whole.test)
    assert task.fingerprint != whole.fingerprint
    with pytest.raises(TaskError, match="train_images is 4001, but the training split has only 4000"):
        load_task(TaskConfig(model="lenet5", data=data | {"train_images": 4001}), 0)


def test_initial_weights_follow_the_seed_and_nothing_else():
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    first, other = load_task(config(), 1), load_task(config(), 2)
    assert torch.equal(state, torch.random.get_rng_state())
    torch.manual_seed(6)
    assert same_weights(first.build_model(), first.build_model())
    assert same_weights(first.build_model(), load_task(config(), 1).build_model())
    assert not same_weights(first.build_model(), other.build_model())
    assert first.fingerprint == other.fingerprint


def test_user_factory_gets_exactly_its_arguments(project):
    task = load_task(config(model="es_user:exact", model_args={"a": 1, "b": None}), 0)
    assert type(task.build_model()).__name__ == "Net"


def test_user_factory_may_import_late(project):
    task = load_task(config(model="es_user:late", model_args={"num_classes": 10}), 0)
    assert task.build_model().conv.in_channels == 1


def test_a_factory_that_returns_one_shared_module_still_gives_new_ones(project):
    task = load_task(config(model="es_user:the_same_one"), 0)
    first, second = task.build_model(), task.build_model()
    with torch.no_grad():
        first.fc.weight.zero_()
    assert second.fc.weight.abs().sum() > 0
    assert task.build_model().fc.weight.abs().sum() > 0


def test_checkpoint(tmp_path):
    trained = load_task(config(), 7).build_model()
    torch.save({"state_dict": trained.state_dict()}, tmp_path / "best.pt")
    task = load_task(config(checkpoint=str(tmp_path / "best.pt")), 0)
    assert task.checkpoint == tmp_path / "best.pt"
    assert same_weights(task.initial_model(), trained)
    assert not same_weights(task.build_model(), trained)
    assert same_weights(load_task(config(), 3).initial_model(), load_task(config(), 3).build_model())


def test_checkpoint_of_another_model(tmp_path):
    torch.save(load_task(config(), 7).build_model().state_dict(), tmp_path / "best.pt")
    refuse(
        config(model="lenet300_100", checkpoint=str(tmp_path / "best.pt")), "is a checkpoint of another model"
    )
    refuse(config(checkpoint=str(tmp_path / "absent.pt")), "absent.pt cannot be read")


def test_task_without_classes(project):
    task = load_task("es_user:denoise", 3)
    assert isinstance(task, Task)
    assert same_weights(task.build_model(), load_task("es_user:denoise", 3).build_model())
    assert torch.equal(task.example_input, load_task("es_user:denoise", 3).example_input)
    ((x, y),) = task.test.batches(6)
    output = task.build_model()(x).detach()
    assert task.score(output.numpy(), y.numpy()) == {
        "negative_mse": pytest.approx(-float(((output - y) ** 2).mean())),
        "count": 6.0,
    }
    assert task.primary_metric == "negative_mse"


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("denoise", "neither a mapping with model and data nor 'package.module:build_task'"),
        ("es_user:absent", "module es_user ("),
        ("es_absent:build", "there is no module 'es_absent'"),
        ("es_user:no_task", "'es_user:no_task' returned int, not an edgesqueeze.task.Task"),
        ("es_user:task_raises", "'es_user:task_raises' raised RuntimeError: out of pictures"),
        ("es_user:no_metrics", "without metrics; at least one is needed"),
        ("es_user:empty_test", "the test split has no images"),
        ("es_user:empty_calibration", "the calibration split has no images"),
        (
            "es_user:other_size",
            "the test split has images of shape [1, 1, 9, 9], the example input [1, 1, 8, 8]",
        ),
        ("es_user:two_examples", "example_input is torch.float32 [2, 1, 8, 8]; one float32 image"),
        ("es_user:double_example", "example_input is torch.float64 [1, 1, 8, 8]; one float32 image"),
        ("es_user:list_split", "the training split is list, which has no len() or batches()"),
        ("es_user:bad_model", "the model factory returned str, not a torch.nn.Module"),
        ("es_user:bad_checkpoint", "checkpoint absent.pt cannot be read"),
    ],
)
def test_functions_that_are_refused(project, what, words):
    refuse(what, words)


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (
            config(model="es_absent:Net"),
            ["'es_absent:Net': there is no module 'es_absent', neither installed nor in"],
        ),
        (config(model="es_user:Absent"), ["module es_user (", "has no 'Absent'"]),
        (config(model="os:system"), ["'os:system': 'os' belongs to Python's standard library"]),
        (config(model="es_user:torch.Size"), ["is the class torch.Size; a function or a subclass of Module"]),
        (config(model="es_user:leaves"), ["'es_user:leaves' raised SystemExit: 3"]),
        (config(model="es_user:raises"), ["'es_user:raises' raised ValueError: no weights"]),
        (
            config(model="es_user:Net", model_args={"colour": 1}),
            ["'es_user:Net' raised TypeError", "'colour'"],
        ),
        (config(model="es_user:not_a_module"), ["the model factory returned list, not a torch.nn.Module"]),
        (config(model="es_user:lazy"), ["Sequential has lazy layers", "give the sizes"]),
        (
            user("es_user:Net", in_channels=3),
            ["an input of shape [1, 1, 28, 28] does not run through Net", "'conv' with weight [4, 3, 3, 3]"],
        ),
        (user("es_user:Wanting"), ["does not run through Wanting", "KeyError: 'mood'"]),
        (
            user("es_user:Net", 1000),
            [
                "the model returns [1, 1000] but the data has 10 classes; "
                "set task.model_args: {num_classes: 10}"
            ],
        ),
        (user("es_user:Pair"), ["the model returns tuple; one tensor of class scores is needed"]),
        (
            user("es_user:Map"),
            ["the model returns [1, 4, 26, 26] but the data has 10 classes; class scores of shape [1, 10]"],
        ),
        (
            config(data={"named": "mnist_sample", "image_size": [32, 32]}),
            ["lenet5 takes images of 28 × 28, found 32 × 32"],
        ),
        (
            config(calibration_images=4001),
            ["calibration_images is 4001, but the training split has only 4000"],
        ),
        (config(data={"idx": "nowhere"}), ["nowhere is not a directory; the four files"]),
        (config(data=folder_data("nowhere")), ["image_folder nowhere is not a directory"]),
        (
            config(data="mnist"),
            ["data 'mnist' is not on this machine: ", "torchvision", "edgesqueeze[mnist]"],
        ),
    ],
)
def test_settings_that_are_refused(project, what, words):
    refuse(what, *words)


def test_network_for_another_image_size(tmp_path):
    refuse(
        config(
            model="edgesqueeze.models.lenet:LeNet5",
            data={"idx": str(write_idx(tmp_path / "d", size=32))},
            calibration_images=1,
        ),
        "an input of shape [1, 1, 32, 32] does not run through LeNet5",
        "layer 'fc1' with weight [500, 800] was given [1, 1250]",
    )


def test_models_are_built_in_training_mode_with_gradients():
    """The checks at load run in evaluation mode, on a model nobody else sees."""
    model = load_task(config(), 0).build_model()
    assert isinstance(model, nn.Module)
    assert model.training
    assert all(p.requires_grad and p.is_leaf and p.grad is None for p in model.parameters())
