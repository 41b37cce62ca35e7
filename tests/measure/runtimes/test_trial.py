"""A file that brings its runtime down is refused, and what cannot be fed is, too."""

import numpy as np
import pytest
from hostile_files import good_files
from onnx import helper

from edgesqueeze.errors import ExportError
from edgesqueeze.formats.any_file import read_model_file
from edgesqueeze.measure.runtimes import trial
from edgesqueeze.measure.runtimes.runtime import load_model


def model(path, nodes, shape):
    """An ONNX file of these nodes from x to y."""
    ends = [helper.make_tensor_value_info(name, 1, size) for name, size in (("x", shape), ("y", None))]
    graph = helper.make_graph(nodes, "g", [ends[0]], [ends[1]])
    opset = [helper.make_opsetid("", 17)]
    path.write_bytes(helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString())
    return path


def test_a_file_that_runs_survives(tmp_path):
    path = tmp_path / "good.tflite"
    path.write_bytes(good_files()["good.tflite"])
    trial.check_survives(path)


def test_a_file_that_ends_the_process_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(trial, "_CHILD", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    with pytest.raises(
        ExportError, match=r"bad\.onnx cannot be run: it ends its runtime's process .SIGSEGV."
    ):
        trial.check_survives(tmp_path / "bad.onnx")


@pytest.mark.parametrize("shape", [[1, 2**29], [1, 0], [1, -1, 3], ["batch", "width"]])
def test_an_input_that_cannot_be_made_is_refused(shape, tmp_path):
    path = model(tmp_path / "m.onnx", [helper.make_node("Relu", ["x"], ["y"])], shape)
    with pytest.raises(ExportError, match="has an input of shape"):
        trial.example_input(read_model_file(path))


def test_open_sizes_are_filled(tmp_path):
    path = model(tmp_path / "m.onnx", [helper.make_node("Relu", ["x"], ["y"])], ["n", 3, "h", "w"])
    facts = read_model_file(path)
    assert trial.input_shapes(facts, 8, (3, 4, 5)) == ((8, 3, 4, 5),)
    for sizes in (None, (4, 5)):
        with pytest.raises(ExportError, match="only the batch may be open"):
            trial.input_shapes(facts, 1, sizes)


def test_what_fails_while_it_runs_is_one_sentence(tmp_path):
    nodes = [helper.make_node("Gather", ["x", "i"], ["y"])]
    nodes.insert(0, helper.make_node("Constant", [], ["i"], value_ints=[99]))
    path = model(tmp_path / "m.onnx", nodes, [1, 3])
    run = load_model(path).prepare(np.zeros((1, 3), np.float32))
    with pytest.raises(ExportError, match=r"ONNX Runtime cannot run .*m\.onnx"):
        run()
