"""Checkpoints as people have them: each form is taken, with equal weights, or refused in the sentence of the docs."""

import warnings
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import torch
from pages import table
from torch import nn

from edgesqueeze.errors import TaskError
from edgesqueeze.task.checkpoint import Choice, load_checkpoint
from edgesqueeze.task.checkpoint.reading import conversion_command

PAGE = "docs/howto/checkpoints.md"


class Net(nn.Module):
    """Three classes."""

    def __init__(self, classes=3):
        super().__init__()
        self.conv, self.norm, self.fc = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(2, classes)

    def forward(self, x):
        return self.fc(self.norm(self.conv(x)).mean((2, 3)))


def trained(seed=0, classes=3):
    torch.manual_seed(seed)
    net = Net(classes)
    net(torch.randn(4, 1, 5, 5))
    return net


def state(seed=0, classes=3):
    return dict(trained(seed, classes).state_dict())


def prefixed(prefix, content=None):
    return {prefix + name: value for name, value in (content or state()).items()}


def cast(dtype, content=None):
    content = content or state()
    return {name: v.to(dtype) if v.is_floating_point() else v for name, v in content.items()}


def without_counter():
    return {name: value for name, value in state().items() if not name.endswith("num_batches_tracked")}


def with_changed(**changes):
    return {**state(), **{name.replace("__", "."): value for name, value in changes.items()}}


def saved(make):
    """A writer of what ``make`` returns."""
    return lambda path: torch.save(make(), path)


def safetensors(make):
    from safetensors.torch import save_file

    return lambda path: save_file(make(), path)


def old_format(path):
    torch.save(state(), path, _use_new_zipfile_serialization=False)


def torchscript(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated; its files are not gone
        torch.jit.save(torch.jit.trace(trained().eval(), torch.ones(1, 1, 5, 5)), path)


def cut(path):
    torch.save(state(), path)
    path.write_bytes(path.read_bytes()[:-200])


def lightning(weights, hyper_parameters):
    """What Lightning's trainer saves, in small."""
    optimizer = torch.optim.SGD(trained().parameters(), 0.1, momentum=0.9)
    return {
        "epoch": 3,
        "global_step": 40,
        "pytorch-lightning_version": "2.5.0",
        "state_dict": weights,
        "callbacks": {"ModelCheckpoint": {"best_model_score": torch.tensor(0.9)}},
        "optimizer_states": [optimizer.state_dict()],
        "hyper_parameters": hyper_parameters,
    }


def with_loss(weights):
    return {**weights, "criterion.weight": torch.ones(3)}


def with_heads():
    return with_changed(aux1__fc__weight=torch.ones(3, 2), aux2__fc__weight=torch.ones(3, 2))


def averaged():
    """As torch.optim.swa_utils.AveragedModel has it."""
    return {"n_averaged": torch.tensor(5), **prefixed("module.")}


EMA = {"state_dict": state, "state_dict_ema": lambda: state(2)}


def both(*keys):
    return lambda: {key: state(2 * index) for index, key in enumerate(keys)}


@dataclass(frozen=True)
class Form:
    """A file, what the recipe says of it, and the weights that are wanted; None if it is refused."""

    what: str
    name: str
    write: Callable
    choice: Choice = field(default_factory=Choice)
    wanted: Callable | None = state

    @property
    def settings(self):
        key, ignore = self.choice.key, list(self.choice.ignore)
        said = [f"checkpoint_key: {key}"] * (key is not None) + [f"ignore: {ignore}"] * bool(ignore)
        return f"`{', '.join(said)}`" if said else ""


def refused(what, name, write, choice=None):
    return Form(what, name, write, choice or Choice(), None)


FORMS = [
    Form("a state_dict", "best.pt", saved(state)),
    Form("a state_dict", "best.pth", saved(state)),
    Form("a state_dict (Hugging Face)", "pytorch_model.bin", saved(state)),
    Form("a state_dict", "best.ckpt", saved(state)),
    Form("safetensors", "best.safetensors", safetensors(state)),
    Form("torch's format of before 1.6", "old.pth", old_format),
    Form("parameters instead of tensors", "best.pt", saved(lambda: trained().state_dict(keep_vars=True))),
    Form(
        "`state_dict` beside other things (PyTorch's ImageNet example)",
        "model_best.pth.tar",
        saved(lambda: {"epoch": 9, "arch": "net", "best_acc1": torch.tensor(71.3), "state_dict": state()}),
    ),
    Form(
        "`model` beside an optimizer",
        "last.pt",
        saved(lambda: {"model": state(), "optimizer": {"state": {}}}),
    ),
    Form("`model_state_dict`", "last.pt", saved(lambda: {"epoch": 9, "model_state_dict": state()})),
    Form("DataParallel", "best.pt", saved(lambda: prefixed("module."))),
    Form("DataParallel, as safetensors", "best.safetensors", safetensors(lambda: prefixed("module."))),
    Form("torch.compile", "best.pt", saved(lambda: prefixed("_orig_mod."))),
    Form("torch.compile in DataParallel", "best.pt", saved(lambda: prefixed("module._orig_mod."))),
    Form("names from `self.net`", "best.pt", saved(lambda: prefixed("net."))),
    Form("names from `self.backbone`", "best.pt", saved(lambda: {"model": prefixed("backbone.")})),
    Form("Lightning", "epoch3.ckpt", saved(lambda: lightning(prefixed("model."), {"lr": 0.1}))),
    Form(
        "Lightning with torch.compile",
        "epoch3.ckpt",
        saved(lambda: lightning(prefixed("model._orig_mod."), {})),
    ),
    refused(
        "Lightning, a loss with weights",
        "epoch3.ckpt",
        saved(lambda: lightning(with_loss(prefixed("model.")), {})),
    ),
    Form(
        "the same",
        "epoch3.ckpt",
        saved(lambda: lightning(with_loss(prefixed("model.")), {})),
        Choice(ignore=("criterion.*",)),
    ),
    refused(
        "Lightning, hyperparameters that are objects",
        "epoch3.ckpt",
        saved(lambda: lightning(prefixed("model."), Namespace(lr=0.1))),
    ),
    Form("weights and their average", "last.pt", saved(both("state_dict", "state_dict_ema"))),
    Form(
        "the same",
        "last.pt",
        saved(both("state_dict", "state_dict_ema")),
        Choice("state_dict_ema"),
        lambda: state(2),
    ),
    Form("an average alone", "ema.pt", saved(lambda: {"ema": state()})),
    refused("an average deeper", "last.pt", saved(lambda: {"ema": {"module": state(), "updates": 3}})),
    Form(
        "the same", "last.pt", saved(lambda: {"ema": {"module": state(), "updates": 3}}), Choice("ema.module")
    ),
    refused("torch's AveragedModel", "swa.pt", saved(averaged)),
    Form("the same", "swa.pt", saved(averaged), Choice(ignore=("n_averaged",))),
    refused("two sets of weights", "last.pt", saved(both("model", "state_dict"))),
    refused("weights under another key", "last.pt", saved(lambda: {"epoch": 3, "net": state()})),
    Form("the same", "last.pt", saved(lambda: {"epoch": 3, "net": state()}), Choice("net")),
    refused("a key that is not there", "last.pt", saved(lambda: {"epoch": 3, "net": state()}), Choice("ema")),
    refused("a key for safetensors", "best.safetensors", safetensors(state), Choice("ema")),
    Form("half precision", "half.pt", saved(lambda: cast(torch.float16)), wanted=lambda: cast(torch.float16)),
    Form(
        "bfloat16",
        "half.safetensors",
        safetensors(lambda: cast(torch.bfloat16)),
        wanted=lambda: cast(torch.bfloat16),
    ),
    Form("double precision", "double.pt", saved(lambda: cast(torch.float64))),
    refused("float8", "small.pt", saved(lambda: cast(torch.float8_e4m3fn))),
    Form("no `num_batches_tracked`", "best.pt", saved(without_counter), wanted=without_counter),
    Form(
        "`num_batches_tracked` as int32",
        "best.pt",
        saved(lambda: with_changed(norm__num_batches_tracked=torch.tensor(1, dtype=torch.int32))),
    ),
    Form(
        "`num_batches_tracked` as float16",
        "best.pt",
        saved(lambda: with_changed(norm__num_batches_tracked=torch.tensor(1, dtype=torch.float16))),
    ),
    refused("heads that the model does not have", "best.pt", saved(with_heads)),
    Form("the same", "best.pt", saved(with_heads), Choice(ignore=("aux*",))),
    refused("a glob that leaves nothing out", "best.pt", saved(state), Choice(ignore=("aux*",))),
    refused("a glob for what the model needs", "best.pt", saved(state), Choice(ignore=("fc.*",))),
    Form(
        "a value that is no tensor",
        "best.pt",
        saved(lambda: with_changed(epoch=3)),
        Choice(ignore=("epoch",)),
    ),
    refused("a head for other classes", "imagenet.pt", saved(lambda: state(classes=1000))),
    refused("another network", "other.pt", saved(lambda: dict(nn.Sequential(nn.Linear(2, 2)).state_dict()))),
    refused(
        "a parametrized layer",
        "best.pt",
        saved(lambda: dict(nn.utils.parametrizations.weight_norm(nn.Linear(2, 3)).state_dict())),
    ),
    refused(
        "weights that are NaN", "nan.pt", saved(lambda: with_changed(fc__bias=torch.full((3,), torch.nan)))
    ),
    refused("int8 weights", "int8.pt", saved(lambda: with_changed(fc__bias=torch.ones(3, dtype=torch.int8)))),
    refused("a whole module", "model.pt", saved(trained)),
    refused(
        "`args` beside the weights (timm, torchvision)",
        "model.pth",
        saved(lambda: {"model": state(), "args": Namespace(lr=0.1)}),
    ),
    refused(
        "the same, with a key",
        "last.pt",
        saved(lambda: {"model": state(), "model_ema": state(2), "args": Namespace(lr=0.1)}),
        Choice("model_ema"),
    ),
    refused("TorchScript", "traced.pt", torchscript),
    refused("no mapping", "best.pt", saved(lambda: torch.ones(3))),
    refused("a file that was cut", "cut.pt", cut),
    refused("another kind of file", "weights.bin", lambda path: path.write_bytes(b"IR" * 99)),
    refused("another ending", "model.h5", lambda path: path.write_bytes(b"HDF")),
]


def outcome(form, folder, model):
    """What happens, as the page has it: without the folder, and without the command that converts."""
    path = folder / form.name
    form.write(path)
    try:
        sentence = "taken: " + "; ".join(load_checkpoint(model, path, form.choice).sentences())
    except TaskError as error:
        sentence = str(error).replace(conversion_command(path, form.choice.key), "…")
    return sentence.replace(f"{folder}/", "")


@pytest.mark.parametrize("number", range(len(FORMS)))
def test_a_form_of_checkpoint_is_taken_or_refused_as_the_page_says(number, tmp_path):
    form, model = FORMS[number], trained(1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    row = table(PAGE, "file")[number]
    assert list(row.values()) == [f"`{form.name}`", form.what, form.settings, outcome(form, tmp_path, model)]
    wanted = before if form.wanted is None else before | form.wanted()
    after = model.state_dict()
    assert row["what happens"].startswith("taken: ") == (form.wanted is not None)
    assert after.keys() == wanted.keys()
    for name, value in after.items():
        assert value.dtype == before[name].dtype
        assert torch.equal(value, wanted[name].to(value.dtype)), name


def test_the_page_has_every_form_and_no_other():
    assert len(table(PAGE, "file")) == len(FORMS) >= 25
