"""The same columns for every kind of file, and a reason for every question mark."""

import gzip

import numpy as np
import pytest
from hostile_files import good_files
from onnx import TensorProto, helper, numpy_helper

from edgesqueeze.errors import CodecError, ExportError
from edgesqueeze.measure.bench.candidates import write_built_in
from edgesqueeze.measure.bench.counts import count_file
from edgesqueeze.measure.runtimes.runtime import RuntimeName


def test_all_forms_of_a_network_are_counted_alike(tmp_path):
    found = {}
    for name, data in good_files().items():
        if name.endswith((".onnx", ".tflite", ".sqz")):
            (tmp_path / name).write_bytes(data)
            found[name] = count_file(tmp_path / name, name).counts
            assert found[name].num_bytes == len(data)
            assert found[name].gzip_bytes == len(gzip.compress(data, 6))
    assert len({(c.params, c.macs) for c in found.values()}) == 1
    assert len({(c.nonzero_params, c.effective_macs) for n, c in found.items() if "good" in n}) == 1
    for name in ("good.onnx", "good.tflite"):
        assert found[name].weight_bytes == 4 * found[name].params
        assert found[name].doubts == ()
    assert found["int8.onnx"].weight_bytes < 2 * found["int8.onnx"].params
    assert "a .sqz file does not run" in found["good.sqz"].doubts[0]


def test_a_module_of_torch_is_counted_from_its_weights(tmp_path):
    path = write_built_in("lenet5", tmp_path, [RuntimeName.TORCH])[RuntimeName.TORCH, "fp32"]
    counts = count_file(path, "lenet5").counts
    assert (counts.params, counts.macs, counts.flops) == (431_080, 2_293_000, 4_586_000)
    assert counts.weight_bytes == 4 * 431_080 < counts.num_bytes
    assert count_file(path, "lenet5").shapes("lenet5", 8, None) == ((8, 1, 28, 28),)


def test_a_file_for_several_inputs_counts_one(tmp_path):
    single, eight = (write_built_in("lenet300_100", tmp_path, [RuntimeName.LITERT], n) for n in (1, 8))
    one, many = (count_file(files[RuntimeName.LITERT, "fp32"], "").counts for files in (single, eight))
    assert (one.macs, one.batch, many.batch) == (many.macs, 1, 8)


def branching(path):
    """A dense layer, and an If with nothing in it that can be counted."""
    value = helper.make_tensor_value_info
    branch = helper.make_graph([helper.make_node("Identity", ["h"], ["b"])], "b", [], [value("b", 1, [1, 3])])
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"]),
        helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch),
    ]
    ends = [value("x", TensorProto.FLOAT, [1, 4]), value("c", TensorProto.BOOL, [])]
    weights = [numpy_helper.from_array(np.ones((4, 3), np.float32), "w")]
    graph = helper.make_graph(nodes, "g", ends, [value("y", 1, [1, 3])], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())


def test_what_cannot_be_counted_says_why(tmp_path):
    branching(tmp_path / "if.onnx")
    counts = count_file(tmp_path / "if.onnx", "").counts
    assert (counts.params, counts.macs, counts.flops, counts.effective_flops) == (12, None, None, None)
    assert counts.doubts == ("MACs: the work of operator If is not known",)


def test_sizes_that_a_file_leaves_open_can_be_given(tmp_path):
    value, path = helper.make_tensor_value_info, tmp_path / "m.onnx"
    ends = [value("x", 1, ["n", 2, "h", "w"]), value("y", 1, ["n", 4, "a", "b"])]
    weights = [numpy_helper.from_array(np.ones((4, 2, 3, 3), np.float32), "k")]
    nodes = [helper.make_node("Conv", ["x", "k"], ["y"])]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    open_sizes = count_file(path, "")
    assert open_sizes.counts.doubts == ("MACs: a shape of operator Conv is only known at run time",)
    for batch in (1, 3):
        counted = count_file(path, "", (2, 8, 10))
        assert counted.counts.macs == 72 * 6 * 8
        assert counted.shapes("", batch, (2, 8, 10)) == ((batch, 2, 8, 10),)
    assert count_file(path, "", (8, 10)).counts.macs is None


@pytest.mark.parametrize("name", ["m.onnx", "m.tflite", "m.sqz"])
def test_no_file_and_damaged_ones_are_refused(name, tmp_path):
    with pytest.raises(ExportError, match="there is no such file"):
        count_file(tmp_path / name, "")
    (tmp_path / name).write_bytes(b"nonsense")
    with pytest.raises((ExportError, CodecError)):
        count_file(tmp_path / name, "")
