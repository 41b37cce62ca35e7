"""Every byte of a model file has one owner, and the owners are the right ones."""

import json
import sys

import numpy as np
import onnx
import pytest
from tiny import TinyNet

from bench import byte_account
from bench.byte_account import account
from bench.files import write_ours
from bench.onnx_bytes import onnx_bytes
from bench.subjects import noise_images, settle
from bench.tflite_bytes import tflite_bytes
from bench.wire import fields
from edgesqueeze.compression.quantizing.calibrate import calibrate_min_max
from edgesqueeze.compression.quantizing.graph_model import GraphModel
from edgesqueeze.network.integers.spec import make_spec
from edgesqueeze.network.reading.torch.build import build_graph


@pytest.fixture(scope="module")
def tiny():
    model, x = TinyNet(), noise_images(8, (1, 28, 28))
    settle(model, x)
    graph = build_graph(model, x[:1])
    return GraphModel(graph, make_spec(graph, calibrate_min_max(graph, x.split(4))))


@pytest.fixture(scope="module")
def files(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    return {path.name: path for path in write_ours(tiny, folder, with_float=True)}


def test_the_categories_sum_to_every_file(files):
    assert len(files) == 4
    for path in files.values():
        assert sum(account(path).values()) == path.stat().st_size


def test_an_onnx_file_holds_what_its_own_reader_finds(tiny, files):
    found = account(files["model_int8.onnx"])
    model = onnx.load(files["model_int8.onnx"])
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    layers = tiny.spec.weights.values()
    assert found["weights"] == sum(t.nbytes for n, t in constants.items() if n.endswith("weight"))
    assert found["biases"] == sum(q.bias.nbytes for q in layers) == found["weight and bias scales"] // 2
    names = [t.name for t in model.graph.initializer] + [model.graph.name, "input", "output"]
    for node in model.graph.node:
        names += [node.name, *node.input, *node.output]
    assert found["names"] == sum(len(name.encode()) for name in names)


def test_a_tflite_file_holds_the_integers_of_the_network(tiny, files):
    found = account(files["model_int8.tflite"])
    layers = tiny.spec.weights.values()
    lengths = 4 * len(layers)  # every vector is led by its length
    assert found["weights"] == sum(q.weight.nbytes for q in layers) + lengths
    assert found["biases"] == sum(q.bias.nbytes for q in layers) + lengths
    assert found["weight and bias scales"] == 2 * (sum(q.scale.nbytes for q in layers) + lengths)
    widths = {len(q.scale) for q in layers} | {1}
    assert found["zero points"] >= sum(8 * n + 4 for n in widths)
    assert 0 < found["alignment"] < 16 * 4 * len(layers)


def test_float_files_have_no_grids(files):
    for name in ("model.onnx", "model.tflite"):
        assert not [key for key, n in account(files[name]).items() if n and ("scale" in key or "zero" in key)]


def test_more_bytes_in_a_constant_are_more_bytes_of_weights(files):
    model = onnx.load(files["model.onnx"])
    before = onnx_bytes(model.SerializeToString())
    weight = next(t for t in model.graph.initializer if len(t.dims) == 4)
    weight.raw_data += b"\0" * 10
    after = onnx_bytes(model.SerializeToString())
    assert after["weights"] == before["weights"] + 10
    assert after["names"] == before["names"]


def test_bytes_that_belong_to_nobody_are_alignment(files):
    data = files["model.tflite"].read_bytes()
    assert tflite_bytes(data + bytes(7))["alignment"] == tflite_bytes(data)["alignment"] + 7


def test_a_message_that_ends_early_is_refused(files):
    data = files["model.onnx"].read_bytes()
    with pytest.raises(ValueError, match="ends behind its message"):
        list(fields(memoryview(data[:-1])))
    with pytest.raises(ValueError, match="wire type 3"):
        list(fields(memoryview(b"\x0b")))


def test_the_script_says_what_keeps_a_file_from_a_quarter(tmp_path, monkeypatch, capsys):
    arguments = ["--random", "squeezenet1_1", "--image-size", "32", "--output", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", ["byte_account.py", *arguments])
    byte_account.main()
    files = json.loads((tmp_path / "out" / "report.json").read_text())["files"]
    floats, integers = files["model.tflite"], files["model_int8.tflite"]
    excess = sum(integers.values()) - sum(floats.values()) / 4
    assert f"{excess:,.0f} bytes that" in capsys.readouterr().out.replace("\n", " ")
    command = (tmp_path / "out" / "command.txt").read_text()
    assert command.startswith("python -m bench.byte_account --random squeezenet1_1 --image-size 32")
    assert np.isclose(integers["biases"], floats["biases"])
