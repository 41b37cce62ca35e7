"""Checkpoints: real files, every way they can be wrong, and never a half-loaded model."""

import shlex
import warnings
from argparse import Namespace
from collections import OrderedDict

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from edgesqueeze.errors import TaskError
from edgesqueeze.task.checkpoint import Choice, load_checkpoint
from edgesqueeze.task.checkpoint.reading import SUFFIXES, conversion_command


def network(seed):
    torch.manual_seed(seed)
    return nn.Sequential(
        OrderedDict(conv=nn.Conv2d(1, 2, 3), norm=nn.BatchNorm2d(2), flat=nn.Flatten(), fc=nn.Linear(8, 3))
    )


def equal_state(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def refuse(path, *words, model=None, choice=None):
    """Loading fails with one line that has the words in it, and leaves the model untouched."""
    model = model or network(1)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(TaskError) as caught:
        load_checkpoint(model, path, choice)
    assert equal_state(before, model.state_dict())
    message = str(caught.value)
    assert message.replace("\0", "").isprintable()
    for word in (str(path), *words):
        assert word in message, message


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model", "model_state_dict"])
@pytest.mark.parametrize("suffix", [".pt", ".pth"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_torch_files_in_every_accepted_form(tmp_path, wrapper, suffix, prefix):
    state = {prefix + k: v for k, v in network(0).state_dict().items()}
    path = tmp_path / f"best{suffix}"
    torch.save({wrapper: state, "epoch": 3} if wrapper else state, path)
    model = network(1)
    load_checkpoint(model, path)
    assert equal_state(model.state_dict(), network(0).state_dict())


@pytest.mark.parametrize("prefix", ["", "module."])
def test_safetensors(tmp_path, prefix):
    path = tmp_path / "best.safetensors"
    save_file({prefix + k: v for k, v in network(0).state_dict().items()}, path)
    model = network(1)
    load_checkpoint(model, path)
    assert equal_state(model.state_dict(), network(0).state_dict())


def test_a_part_called_module_keeps_its_name(tmp_path):
    source, target = nn.ModuleDict({"module": nn.Linear(2, 2)}), nn.ModuleDict({"module": nn.Linear(2, 2)})
    torch.save(source.state_dict(), tmp_path / "m.pt")
    load_checkpoint(target, tmp_path / "m.pt")
    assert equal_state(source.state_dict(), target.state_dict())


def test_half_precision_is_cast(tmp_path):
    state = {k: v.half() if v.is_floating_point() else v for k, v in network(0).state_dict().items()}
    torch.save(state, tmp_path / "half.pt")
    model = network(1)
    load_checkpoint(model, tmp_path / "half.pt")
    assert all(torch.equal(v, state[k].to(v.dtype)) for k, v in model.state_dict().items())
    assert model.fc.weight.dtype == torch.float32


def saved(tmp_path, change):
    state = network(0).state_dict()
    change(state)
    torch.save(state, tmp_path / "c.pt")
    return tmp_path / "c.pt"


def test_missing_tensors(tmp_path):
    def change(state):
        del state["conv.bias"], state["fc.weight"]

    path = saved(tmp_path, change)
    refuse(path, "checkpoint of another model than Sequential", "2 of 9 tensors are missing", "'conv.bias'")


def test_unexpected_tensors(tmp_path):
    path = saved(
        tmp_path, lambda state: state.update({"head.weight": torch.ones(1), "head.bias": torch.ones(1)})
    )
    refuse(path, "does not know 2 of its names", "'head.weight'", "task.ignore: ['head.*'] leaves them out")


def test_wrong_shape(tmp_path):
    path = saved(tmp_path, lambda state: state.update({"fc.weight": torch.ones(3, 9)}))
    refuse(path, "1 have another shape", "'fc.weight' with [3, 9] where the model has [3, 8]")


def test_a_number_where_the_model_has_a_list_of_one(tmp_path):
    path = saved(tmp_path, lambda state: state.update({"norm.num_batches_tracked": torch.ones(1)}))
    refuse(path, "'norm.num_batches_tracked' with [1] where the model has []")


def test_a_head_for_other_classes(tmp_path):
    path = saved(
        tmp_path, lambda state: state.update({"fc.weight": torch.ones(10, 8), "fc.bias": torch.ones(10)})
    )
    refuse(path, "another number of classes", "'fc' has 10 outputs (classes) in the file and 3 in the model")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["fc.weight", "norm.running_var"])
def test_values_that_are_not_finite(tmp_path, value, name):
    path = saved(tmp_path, lambda state: state[name].view(-1)[1].fill_(value))
    refuse(path, f"tensor {name!r} has 1 values that are NaN or infinite")


def test_double_that_overflows_float(tmp_path):
    path = saved(
        tmp_path, lambda state: state.update({"fc.bias": torch.tensor([0, 1e300, 0], dtype=torch.float64)})
    )
    refuse(path, "'fc.bias' has", "NaN or infinite")


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (torch.ones(3, dtype=torch.int8), "int8"),
        (torch.ones(3, dtype=torch.complex64), "complex64"),
        (torch.ones(3).to_sparse(), "sparse_coo"),
        (torch.ones(3, device="meta"), "without data"),
    ],
)
def test_tensors_of_another_kind(tmp_path, value, word):
    path = saved(tmp_path, lambda state: state.update({"fc.bias": value}))
    refuse(path, "'fc.bias'", word, "the model's float32")


@pytest.mark.parametrize("suffix", [".tar", ".PT", "", ".onnx"])
def test_unknown_suffix(tmp_path, suffix):
    path = tmp_path / f"best{suffix}"
    path.write_bytes(b"x")
    refuse(path, "allowed: .safetensors, .pt, .pth")


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth"])
def test_missing_file_and_directory(tmp_path, suffix):
    refuse(tmp_path / f"no{suffix}", "cannot be read", "No such file")
    (tmp_path / f"dir{suffix}").mkdir()
    refuse(tmp_path / f"dir{suffix}", "cannot be read", "directory")
    refuse(tmp_path / f"a\0b{suffix}", "cannot be read", "null byte")


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth"])
@pytest.mark.parametrize(
    "content", [b"", b"\x80", b"hello, this is no checkpoint", b"PK\x03\x04", b"\0" * 64]
)
def test_other_bytes(tmp_path, suffix, content):
    path = tmp_path / f"junk{suffix}"
    path.write_bytes(content)
    refuse(path, "checkpoint")


@pytest.fixture(scope="module")
def whole_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    state = network(0).state_dict()
    save_file(state, folder / "a.safetensors")
    torch.save(state, folder / "a.pt")
    torch.save(state, folder / "a.pth", _use_new_zipfile_serialization=False)
    return {p.suffix: p.read_bytes() for p in folder.iterdir()}


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth"])
def test_truncated_anywhere(tmp_path, whole_files, suffix):
    path = tmp_path / f"cut{suffix}"
    for length in range(0, len(whole_files[suffix]), 11):
        path.write_bytes(whole_files[suffix][:length])
        refuse(
            path,
            "is damaged or not a torch file" if suffix != ".safetensors" else "not a whole safetensors file",
        )


@given(
    where=st.floats(0, 1, exclude_max=True),
    flip=st.integers(1, 255),
    suffix=st.sampled_from([".safetensors", ".pt", ".pth"]),
)
@settings(max_examples=150)
def test_altered_byte_loads_or_raises_only_our_error(tmp_path_factory, whole_files, where, flip, suffix):
    content = bytearray(whole_files[suffix])
    content[int(where * len(content))] ^= flip
    path = tmp_path_factory.mktemp("bad") / f"bad{suffix}"
    path.write_bytes(content)
    model = network(1)
    try:
        load_checkpoint(model, path)
    except TaskError:
        assert equal_state(model.state_dict(), network(1).state_dict())


@pytest.mark.parametrize("content", [[1, 2], 3, "weights", torch.ones(3)])
def test_not_a_mapping(tmp_path, content):
    torch.save(content, tmp_path / "c.pt")
    refuse(tmp_path / "c.pt", f"{type(content).__name__}, not a state_dict")


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ({}, "holds no weights"),
        ({"state_dict": {}}, "entry 'state_dict' is a dict"),
        ({"epoch": 3, "fc.weight": torch.ones(1)}, "entry 'epoch' is an int"),
        ({0: torch.ones(1)}, "entry 0 is a Tensor"),
    ],
)
def test_mappings_that_are_no_state_dict(tmp_path, content, word):
    torch.save(content, tmp_path / "c.pt")
    refuse(tmp_path / "c.pt", word, "save model.state_dict()")


def whole_model(path):
    torch.save(network(0), path)


def whole_model_in_the_old_format(path):
    torch.save(network(0), path, _use_new_zipfile_serialization=False)


def state_and_arguments(path):
    torch.save({"model": network(0).state_dict(), "args": Namespace(lr=0.1)}, path)


def model_in_a_dict(path):
    torch.save({"epoch": 1, "model": network(0)}, path)


def torchscript(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated; its files are not gone
        torch.jit.save(torch.jit.trace(network(0).eval(), torch.ones(1, 1, 4, 4)), path)


def plain_and_average(path):
    torch.save({"model": network(1), "extra": {"ema": network(0)}}, path)


@pytest.mark.parametrize(
    ("write", "name", "key", "word"),
    [
        (whole_model, "it's 2.pth", None, "holds more than weights"),
        (state_and_arguments, "best.pt", None, "holds more than weights"),
        (model_in_a_dict, "best.pth.tar", None, "holds more than weights"),
        (plain_and_average, "last.ckpt", "extra.ema", "leave task.checkpoint_key out"),
        (torchscript, "best.pt", None, "is a TorchScript program"),
        (whole_model_in_the_old_format, "old.pt", None, "holds more than weights"),
    ],
)
def test_pickles_that_want_more_are_refused_and_the_printed_command_converts_them(
    tmp_path, write, name, key, word
):
    path = tmp_path / name
    write(path)
    command = conversion_command(path, key)
    refuse(path, word, "if you trust the file", command, choice=Choice(key))
    program, option, code = shlex.split(command)
    assert (program, option) == ("python", "-c")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(code, {})
    stem, _, suffix = name.partition(".")
    model = network(1)
    load_checkpoint(model, path.with_name(f"{stem}_weights.{suffix}"))
    assert equal_state(model.state_dict(), network(0).state_dict())


def test_weights_that_lie_in_themselves(tmp_path):
    content = {"epoch": 3}
    content["model"] = content
    torch.save(content, tmp_path / "c.pt")
    refuse(tmp_path / "c.pt", "is not a state_dict")
    refuse(tmp_path / "c.pt", "is not a state_dict", choice=Choice("model.model.model"))


def test_a_whole_number_that_the_model_cannot_hold(tmp_path):
    path = saved(tmp_path, lambda state: state.update({"norm.num_batches_tracked": torch.tensor(0.5)}))
    refuse(path, "'norm.num_batches_tracked' has values that int64 cannot hold")


def test_names_that_would_speak_to_the_terminal_are_written_out(tmp_path):
    name = "\x1b[2Jhead"
    torch.save({name: network(0).state_dict()}, tmp_path / "c.pt")
    refuse(tmp_path / "c.pt", repr(name))
    state = {**network(0).state_dict(), name: torch.ones(1)}
    torch.save(state, tmp_path / "c.pt")
    refuse(tmp_path / "c.pt", repr(name))
    refuse(tmp_path / "c.pt", "matches no name", choice=Choice(ignore=("aux*",)))
    taken = load_checkpoint(network(1), tmp_path / "c.pt", Choice(ignore=("*head",)))
    assert taken.sentences()[1] == f"ignored as asked: {name!r}"


def test_names_that_begin_as_a_prefix_in_part_only(tmp_path):
    state = {("module." if "fc" in k else "") + k: v for k, v in network(0).state_dict().items()}
    torch.save(state, tmp_path / "c.pt")
    refuse(tmp_path / "c.pt", "2 of 9 tensors are missing, the first is 'fc.weight'", "'module.fc.weight'")


class Touch:
    """A pickle that would create a file if it were trusted."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (open, (self.target, "w"))


@pytest.mark.parametrize("suffix", SUFFIXES[1:])
def test_code_in_a_pickle_does_not_run(tmp_path, suffix):
    content = {"state_dict": network(0).state_dict(), "x": Touch(str(tmp_path / "owned"))}
    torch.save(content, tmp_path / f"evil{suffix}")
    refuse(tmp_path / f"evil{suffix}", "holds more than weights")
    assert not (tmp_path / "owned").exists()
