"""The setting ``batch``: what it means for each precision, in .sqz files, for detectors, and in the gate."""

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from operator_bodies import BODIES, Net
from parity_networks import network, pictures
from pydantic import ValidationError
from two_levels import TwoLevels

from edgesqueeze.compression.quantizing.calibrate import calibrate_min_max
from edgesqueeze.errors import ParityError
from edgesqueeze.exports.onnx import OnnxExport
from edgesqueeze.exports.squeezed import SqueezedExport, check_decoded
from edgesqueeze.exports.tflite import TfliteExport
from edgesqueeze.formats.any_file import read_model_file
from edgesqueeze.formats.detections import onnx_with_detections, tflite_with_detections
from edgesqueeze.formats.onnx.writing.emit import emit_onnx
from edgesqueeze.formats.sqz.file import decode_sqz
from edgesqueeze.formats.tflite.writing.emit import emit_tflite
from edgesqueeze.measure.checks.float_operators import float_operators
from edgesqueeze.measure.inspect import inspect_file
from edgesqueeze.measure.proof.verification import verify_files
from edgesqueeze.measure.runtimes.runtime import load_model
from edgesqueeze.network.integers.spec import make_spec
from edgesqueeze.network.reading.torch.build import build_graph
from edgesqueeze.numerics.boxes import BoxDecoding

EVERY = ("fp32", "int8", "fp16", "dynamic", "int8_weights", "int4")


def test_onnx_files_are_open_but_for_dynamic_ones(tmp_path):
    written = OnnxExport(precision=EVERY).write(*network("tiny"), tmp_path)
    batches = {artifact.precision: read_model_file(artifact.path).batch for artifact in written}
    assert batches == {precision: 1 if precision == "dynamic" else "open" for precision in EVERY}
    (asked,) = OnnxExport(precision=("dynamic",), batch="open").write(*network("tiny"), tmp_path)
    facts = read_model_file(asked.path)
    assert (facts.batch, facts.precision) == ("open", "dynamic")
    plain = read_model_file(OnnxExport(precision=("dynamic",)).write(*network("tiny"), tmp_path)[0].path)
    assert (facts.macs, facts.params) == (plain.macs, plain.params)


def test_one_input_is_counted_of_an_open_batch_and_all_of_a_fixed_one(tmp_path):
    for kind in (OnnxExport, TfliteExport):
        macs = {}
        for batch in (1, "open", 3):
            (artifact,) = kind(batch=batch).write(*network("tiny"), tmp_path)
            facts = read_model_file(artifact.path)
            macs[batch] = facts.macs
            assert facts.batch == batch
        assert macs[1] == macs["open"] == macs[3] / 3 > 0
        (artifact,) = kind(batch="open").write(*network("tiny"), tmp_path)
        assert any("?×" in table for table in inspect_file(artifact.path).tables)


@pytest.mark.parametrize(
    "settings",
    [{"batch": 0}, {"batch": -1}, {"batch": 1025}, {"batch": "any"}, {"batch": True}, {"batch": 2.0}],
)
def test_other_batches_are_refused(settings):
    for kind in (OnnxExport, TfliteExport):
        with pytest.raises(ValidationError):
            kind(**settings)


def test_boxes_are_found_in_one_image(tmp_path):
    for kind in (OnnxExport, TfliteExport):
        with pytest.raises(ValidationError, match="finds boxes takes one image, batch is 4; 1 and open go"):
            kind(batch=4, detections=True)
        assert kind(batch="open", detections=True).finds_boxes
    torch.manual_seed(0)
    graph = build_graph(TwoLevels(6.0).eval(), torch.zeros(1, 3, 96, 64))
    decoding = BoxDecoding((96, 64), (8, 16), score_threshold=0.3, iou_threshold=0.4, max_detections=40)
    x = torch.randn(2, 3, 96, 64).numpy()
    for name, emit, suppress in (
        ("m.onnx", emit_onnx, onnx_with_detections),
        ("m.tflite", emit_tflite, tflite_with_detections),
    ):
        found = []
        for batch in (1, "open"):
            path = tmp_path / name
            path.write_bytes(suppress(emit(graph, None, batch=batch), decoding))
            assert read_model_file(path).batch == 1
            found.append(load_model(path).predict_all(x))
        for key, y in found[0].items():
            np.testing.assert_array_equal(y, found[1][key])
        assert found[0]["count"].sum() > 2


def test_a_sqz_file_gives_back_open_files_by_templates_and_files_for_one_input_without(tmp_path):
    graph, spec = network("tiny")
    others = OnnxExport(precision=("fp32", "int8")).write(graph, spec, tmp_path)
    others += TfliteExport(precision=("int8",), batch="open").write(graph, spec, tmp_path)
    (whole,) = SqueezedExport().write_beside(graph, spec, tmp_path, others)
    decoded = {path.name: path.read_bytes() for path in decode_sqz(whole.path, tmp_path / "whole")}
    assert all(decoded[artifact.path.name] == artifact.path.read_bytes() for artifact in others)
    check_decoded(whole, others)
    (bare,) = SqueezedExport(templates=()).write_beside(graph, spec, tmp_path, others)
    decoded = {path.name: path.read_bytes() for path in decode_sqz(bare.path, tmp_path / "bare")}
    assert decoded["model.onnx"] == emit_onnx(graph, None)
    assert decoded["model_int8.tflite"] == emit_tflite(graph, spec)
    check_decoded(bare, others)
    (other,) = OnnxExport().write(network("plain")[0], None, tmp_path)
    with pytest.raises(ParityError, match=r"model\.onnx decoded from model\.sqz is not the exported file"):
        check_decoded(bare, [other])


@pytest.mark.parametrize("batch", ["open", 4])
def test_the_gate_passes_files_of_any_batch_and_names_what_is_wrong_in_one(batch, tmp_path):
    torch.manual_seed(3)
    x = torch.randn(6, 3, 10, 8)
    graph = build_graph(Net(BODIES["cls"]).eval(), x[:1])
    spec = make_spec(graph, calibrate_min_max(graph, [x]))
    written = OnnxExport(precision=("fp32", "int8", "dynamic", "int4"), batch=batch).write(
        graph, spec, tmp_path
    )
    written += OnnxExport(precision=("int8",), int8_form="qoperator", batch=batch).write(
        graph, spec, tmp_path
    )
    written += TfliteExport(precision=("fp32", "int8"), batch=batch).write(graph, spec, tmp_path)
    paths = [artifact.path for artifact in written]
    verify_files(graph, spec, paths, x.numpy()).require()
    assert float_operators(tmp_path / "model_int8.onnx") == ()
    assert float_operators(tmp_path / "model_int8.tflite") == ()
    graph, spec = network("tiny")
    (artifact,) = OnnxExport(precision=("fp32",), batch=batch).write(graph, spec, tmp_path)
    model = onnx.load(artifact.path)
    tensor = next(t for t in model.graph.initializer if t.name == "same.weight")
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * 1.5, tensor.name))
    onnx.save(model, artifact.path)
    found = verify_files(graph, spec, [artifact.path], pictures(3))
    with pytest.raises(ParityError, match="same"):
        found.require()
