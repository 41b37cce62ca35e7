"""Checks on files: each with facts that make it fire and facts that do not, and real files behind the facts."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from edgesqueeze.compression.quantizing.post_training import Plan, quantize_graph
from edgesqueeze.errors import ExportError
from edgesqueeze.formats.any_file import read_int8_weights
from edgesqueeze.formats.onnx.writing.emit import emit_onnx
from edgesqueeze.formats.tflite.writing.emit import emit_tflite
from edgesqueeze.measure.checks.delegate import check_delegated
from edgesqueeze.measure.checks.delegation import left_over, undelegated
from edgesqueeze.measure.checks.faster import check_faster
from edgesqueeze.measure.checks.file_facts import FileEvidence, PlacedOperator
from edgesqueeze.measure.checks.float_operators import float_operators
from edgesqueeze.measure.checks.integer_operators import check_integer_operators
from edgesqueeze.measure.checks.smaller import check_smaller
from edgesqueeze.measure.runtimes.latency import Latency
from edgesqueeze.network.reading.torch.build import build_graph
from edgesqueeze.run.facts_of_a_run import kept_in_float


def latency(low, middle, high):
    return Latency(middle * 1e-3, low * 1e-3, high * 1e-3, 50, 1, 1, 5)


FP32 = FileEvidence("model.onnx", "onnx", "fp32", 1000, "ort", latency(0.9, 1.0, 1.1))
INT8 = FileEvidence("model_int8.onnx", "onnx", "int8", 300, "ort", latency(0.4, 0.5, 0.6), ())
SQZ = FileEvidence("model.sqz", "sqz", "fp32", 100, "ort", latency(0.9, 1.0, 1.1))


def sentences(check):
    return [finding.text() for finding in check.faults]


# -- smaller ---------------------------------------------------------------------------------------


def test_smaller_holds():
    check = check_smaller([FP32, INT8, SQZ], "train", 990)
    assert check.status == "ok"
    assert check.lines() == [
        "- ok smaller: model_int8.onnx, model.sqz: fewer bytes than 'train' as saved and than the fp32 file "
        "of the format"
    ]


@pytest.mark.parametrize("num_bytes", [300, 299])
def test_a_file_as_large_as_its_input_fires(num_bytes):
    check = check_smaller([FP32, INT8, SQZ], "train", num_bytes)
    assert sentences(check) == [
        f"model_int8.onnx has 300 bytes, no fewer than 'train' as saved with {num_bytes}"
    ]
    assert check.status == "fired"
    assert check.passed == ""


def test_a_file_as_large_as_its_float_twin_fires():
    check = check_smaller([replace(FP32, num_bytes=250), INT8], "train", 990)
    assert sentences(check) == ["model_int8.onnx has 300 bytes, no fewer than model.onnx with 250"]
    assert check_smaller([replace(SQZ, num_bytes=2000)], "train", 990).status == "fired"
    assert check_smaller([replace(INT8, precision="fp16", num_bytes=2000)], "train", 990).status == "fired"


def test_a_file_that_templates_make_too_large_says_so():
    check = check_smaller([replace(SQZ, num_bytes=2000, template_bytes=1700)], "train", 990)
    assert sentences(check) == [
        "model.sqz has 2,000 bytes, 1,700 of them for templates (fewer under 'templates' take fewer), no fewer "
        "than 'train' as saved with 990"
    ]


def test_float_files_claim_nothing():
    assert check_smaller([FP32], "train", 10).status == "not checked"


# -- faster ----------------------------------------------------------------------------------------


def test_a_slower_int8_file_fires_in_words():
    check = check_faster([FP32, replace(INT8, latency=latency(1.2, 1.3, 1.4))])
    assert sentences(check) == [
        "model_int8.onnx is slower than model.onnx in ort: 1.300 ms [1.200–1.400] against "
        "1.000 ms [0.900–1.100]; the quartile ranges do not touch"
    ]


def test_overlapping_ranges_are_noted_and_do_not_fire():
    check = check_faster([FP32, replace(INT8, latency=latency(1.1, 1.3, 1.4))])
    assert check.status == "ok"
    assert "cannot be told apart in ort" in check.findings[0].what
    assert "the quartile ranges overlap" in check.lines()[1]


def test_a_faster_int8_file_passes():
    assert check_faster([FP32, INT8]).passed == "model_int8.onnx is 2.00× as fast as model.onnx"


def test_only_files_of_one_runtime_are_compared():
    tflite = replace(INT8, format="tflite", latency=latency(8, 9, 10))
    check = check_faster([FP32, SQZ, tflite])
    assert (check.status, check.findings) == ("not checked", ())


# -- integer operators -----------------------------------------------------------------------------


class Up(nn.Module):
    def __init__(self, mode):
        super().__init__()
        self.conv, self.up, self.fc = (
            nn.Conv2d(1, 8, 3),
            nn.Upsample(scale_factor=2, mode=mode),
            nn.Linear(8, 3),
        )

    def forward(self, x):
        return self.fc(self.up(torch.relu(self.conv(x))).mean((2, 3)))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """fp32 and int8 files of a network with a resize that XNNPACK (nearest) or ONNX Runtime (bilinear) lacks."""
    folder = tmp_path_factory.mktemp("up")
    torch.manual_seed(0)
    for mode in ("nearest", "bilinear"):
        x = torch.randn(4, 1, 12, 12)
        graph = build_graph(Up(mode).eval(), x[:1])
        spec = quantize_graph(graph, [x], Plan()).spec
        for name, integers in (("fp32", None), ("int8", spec)):
            (folder / f"{mode}_{name}.onnx").write_bytes(emit_onnx(graph, integers))
            (folder / f"{mode}_{name}.tflite").write_bytes(emit_tflite(graph, integers))
    return folder


def in_float_again(path, layer):
    """An int8 ONNX file in which one layer's output is no longer quantized, as a careless exporter leaves it."""
    model = onnx.load(path)
    quantize, dequantize = (
        next(node for node in model.graph.node if node.name == f"{layer}{end}") for end in ("/int", "/out")
    )
    for node in model.graph.node:
        for i, name in enumerate(node.input):
            if name == dequantize.output[0]:
                node.input[i] = quantize.input[0]
    model.graph.node.remove(quantize)
    model.graph.node.remove(dequantize)
    careless = path.with_name("careless.onnx")
    onnx.save(model, careless)
    return careless


def test_what_onnxruntime_really_runs_is_read(files):
    assert float_operators(files / "nearest_int8.onnx") == ()
    assert float_operators(files / "bilinear_int8.onnx") == (PlacedOperator("Resize", "upsample_bilinear2d"),)
    found = float_operators(in_float_again(files / "nearest_int8.onnx", "conv"))
    assert PlacedOperator("Conv", "conv") in found
    assert {"Conv", "Gemm"} <= {place.operator for place in float_operators(files / "nearest_fp32.onnx")}


def test_tflite_files_say_what_is_float(files):
    assert float_operators(files / "nearest_int8.tflite") == ()
    found = float_operators(files / "nearest_fp32.tflite")
    assert found[0] == PlacedOperator("CONV_2D", "conv")
    assert found[-1] == PlacedOperator("FULLY_CONNECTED", "fc")


def test_a_file_onnxruntime_cannot_run_is_refused(tmp_path):
    (tmp_path / "bad.onnx").write_bytes(b"nothing")
    with pytest.raises(ExportError, match="does not say what it makes of"):
        float_operators(tmp_path / "bad.onnx")


def test_float_operators_fire_by_operator_and_layer(files):
    file = replace(INT8, float_operators=float_operators(files / "bilinear_int8.onnx"))
    check = check_integer_operators([FP32, file], frozenset())
    assert sentences(check) == ["model_int8.onnx computes Resize in float in ort: upsample_bilinear2d"]
    many = tuple(PlacedOperator("Conv", f"c{i}") for i in range(7))
    check = check_integer_operators([replace(INT8, float_operators=many)], frozenset())
    assert sentences(check)[0].endswith("c0, c1, c2, c3, c4 and 2 more")
    assert check.findings[0].where[-1] == "c6"


def test_what_is_kept_in_float_by_request_is_listed_and_no_fault():
    file = replace(INT8, float_operators=(PlacedOperator("Conv", "first"), PlacedOperator("Conv", "last")))
    check = check_integer_operators([file], frozenset({"first", "last"}))
    assert check.status == "ok"
    assert check.lines()[-1].endswith("computes Conv in float in ort, as asked: first, last")
    check = check_integer_operators([file], frozenset({"first"}))
    assert [finding.where for finding in check.faults] == [("last",)]


@pytest.mark.parametrize("suffix", ["onnx", "tflite"])
def test_layers_kept_in_float_have_the_same_name_in_both_files(suffix, tmp_path):
    torch.manual_seed(0)
    x = torch.randn(4, 1, 12, 12)
    graph = build_graph(Up("nearest").eval(), x[:1])
    spec = quantize_graph(graph, [x], Plan(keep_float=("conv", "fc"))).spec
    path = tmp_path / f"model_int8.{suffix}"
    path.write_bytes(emit_onnx(graph, spec) if suffix == "onnx" else emit_tflite(graph, spec))
    file = replace(INT8, float_operators=float_operators(path))
    check = check_integer_operators([file], kept_in_float(graph, spec))
    assert check.status == "ok"
    assert {layer for finding in check.findings for layer in finding.where} == {"conv", "fc"}
    assert read_int8_weights(path) == {}


def test_integers_throughout_pass():
    assert check_integer_operators([FP32, INT8], frozenset()).status == "ok"
    assert check_integer_operators([FP32], frozenset()).status == "not checked"


# -- delegate --------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_what_xnnpack_does_not_take_is_read_from_litert(precision, files):
    left = undelegated(files / f"nearest_{precision}.tflite")
    assert left == (PlacedOperator("RESIZE_NEAREST_NEIGHBOR", "upsample_nearest2d"),)
    assert undelegated(files / f"bilinear_{precision}.tflite") == ()


def test_a_file_litert_cannot_run_is_refused(tmp_path):
    (tmp_path / "bad.tflite").write_bytes(b"nothing")
    with pytest.raises(ExportError, match="LiteRT cannot run"):
        undelegated(tmp_path / "bad.tflite")


def test_a_litert_that_does_not_tell_is_said(monkeypatch, files):
    from ai_edge_litert.interpreter import Interpreter

    monkeypatch.delattr(Interpreter, "_get_ops_details")
    assert undelegated(files / "nearest_int8.tflite") is None
    check = check_delegated([replace(INT8, format="tflite")])
    assert check.status == "cannot tell"
    assert "this LiteRT does not tell" in check.findings[0].what


def operator(index, name, inputs, outputs):
    return {"index": index, "op_name": name, "inputs": np.array(inputs), "outputs": np.array(outputs)}


def test_going_back_stops_where_the_part_begins():
    """0 → A → 1 → B → 2 → C → 3, with B taken; D writes a second input of C; E only converts a constant."""
    own = [
        operator(0, "A", [0], [1]),
        operator(1, "B", [1, 9], [2]),
        operator(2, "D", [0], [4]),
        operator(3, "C", [2, 4, -1, 6], [3]),
        operator(4, "DEQUANTIZE", [5], [6]),
        operator(5, "DEQUANTIZE", [0], [7]),
    ]
    part = operator(6, "DELEGATE", [1, 9], [2])
    assert [o["op_name"] for o in left_over([*own, part], {0})] == ["A", "D", "C", "DEQUANTIZE"]
    whole = operator(6, "DELEGATE", [0, 9, 5], [3])
    assert [o["op_name"] for o in left_over([*own[:5], whole], {0})] == []
    assert [o["op_name"] for o in left_over(own[:4], {0})] == ["A", "B", "D", "C"]


def test_undelegated_operators_fire_by_name(files):
    left = undelegated(files / "nearest_int8.tflite")
    file = FileEvidence("m.tflite", "tflite", "int8", 1, "litert", latency(1, 1, 1), (), left)
    check = check_delegated([FP32, file])
    assert sentences(check) == [
        "XNNPACK does not take RESIZE_NEAREST_NEIGHBOR of m.tflite: upsample_nearest2d"
    ]
    assert check_delegated([replace(file, undelegated=())]).status == "ok"
    assert check_delegated([FP32]).status == "not checked"
