"""One contract for every export: the file on disk, loaded back, is the model."""

import hashlib

import numpy as np
import pytest
import torch
from emit_networks import graph_of
from pydantic import ValidationError

from edgesqueeze.coding.decoder.unsqueeze import open_squeezed
from edgesqueeze.compression.stages import Prune, Ptq, Share
from edgesqueeze.compression.weights.weights import bake
from edgesqueeze.errors import ExportError, OutputError, ParityError
from edgesqueeze.exports import OnnxExport, SqueezedExport, TfliteExport
from edgesqueeze.exports.squeezed import check_decoded
from edgesqueeze.formats.sqz.file import decode_sqz
from edgesqueeze.network.graph.nodes import Flatten
from edgesqueeze.network.reading.torch.build import build_graph

BOTH = ("fp32", "int8")
EXPORTS = {
    "squeezed": SqueezedExport(),
    "squeezed_paper": SqueezedExport(coder="huffman", index_bits=5),
    "onnx": OnnxExport(precision=BOTH, batch=1),
    "tflite": TfliteExport(precision=BOTH),
}


@pytest.fixture(scope="module", params=["lenet", "tiny"])
def quantized(request, lenet_task, tiny_task):
    from training import Recorder

    from edgesqueeze.task.training import Session

    task = lenet_task if request.param == "lenet" else tiny_task
    session = Session("test", 1, Recorder())
    model = Prune(sparsity=0.6).apply(task.build_model(), task, session)
    model = Share(num_bits=4).apply(model, task, session)
    plain = bake(model)
    return task, plain, Ptq(method="min_max").apply(model, task, session)


@pytest.mark.parametrize("name", EXPORTS)
def test_a_file_loaded_back_is_the_model(name, quantized, tmp_path):
    task, plain, model = quantized
    export = EXPORTS[name]
    x = torch.cat([x for x, _ in task.test.batches(50)])
    with torch.no_grad():
        expected = {"fp32": plain(x).numpy(), "int8": model(x).numpy()}
    artifacts = export.write(model.graph, model.spec, tmp_path)
    assert [a.precision for a in artifacts] == list(export.precisions)
    for artifact in artifacts:
        data = artifact.path.read_bytes()
        assert artifact.num_bytes == len(data)
        assert artifact.sha256 == hashlib.sha256(data).hexdigest()
        got = export.load(artifact, threads=1).predict(x.numpy())
        want = expected[artifact.precision]
        if artifact.precision == "fp32":
            assert np.abs(got - want).max() < 1e-4 * max(1, np.abs(want).max())
        else:  # the simulation is not the integers, but it must not be far from them
            grid = model.spec.activations[model.graph.output.name]
            assert np.abs(got - want).max() <= 3.01 * grid.scale
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(a.path.name for a in artifacts)


@pytest.mark.parametrize("name", EXPORTS)
def test_writing_twice_gives_the_same_bytes(name, quantized, tmp_path):
    _, _, model = quantized
    first = EXPORTS[name].write(model.graph, model.spec, tmp_path)
    second = EXPORTS[name].write(model.graph, model.spec, tmp_path)
    assert first == second


def test_decoding_gives_the_exported_files(quantized, tmp_path):
    _, _, model = quantized
    others = [
        a for name in ("onnx", "tflite") for a in EXPORTS[name].write(model.graph, model.spec, tmp_path)
    ]
    squeezed = SqueezedExport().write(model.graph, model.spec, tmp_path)[0]
    check_decoded(squeezed, others)
    (tmp_path / "decoded").mkdir()
    decoded = decode_sqz(squeezed.path, tmp_path / "decoded")
    assert {p.name: p.read_bytes() for p in decoded} == {a.path.name: a.path.read_bytes() for a in others}


@pytest.mark.slow
def test_by_default_there_are_templates_of_what_the_other_exports_wrote(quantized, tmp_path):
    _, _, model = quantized
    onnx = EXPORTS["onnx"].write(model.graph, model.spec, tmp_path)
    for export, others, names in [
        (SqueezedExport(), onnx, ["model.onnx", "model_int8.onnx"]),
        (SqueezedExport(), [], []),
        (SqueezedExport(templates=()), onnx, []),
        (SqueezedExport(templates=("tflite_int8", "onnx_fp32")), [], ["model_int8.tflite", "model.onnx"]),
    ]:
        (artifact,) = export.write_beside(model.graph, model.spec, tmp_path, others)
        found = open_squeezed(artifact.path.read_bytes()).meta.files
        assert [template.name for template in found] == names
        check_decoded(artifact, onnx)


def test_settings_that_do_not_fit_are_refused():
    for settings, message in [
        ({"index_bits": 5}, "index_bits is for coder: huffman; coder: range has none"),
        ({"templates": ("onnx_fp32", "onnx_fp32")}, "names a file twice"),
        ({"templates": ("onnx_int4",)}, "onnx_fp32"),
        ({"coder": "zip"}, "range"),
    ]:
        with pytest.raises(ValidationError, match=message):
            SqueezedExport(**settings)
    assert SqueezedExport(templates=("onnx_int8",)).precisions == ("fp32", "int8")


def test_a_file_that_is_not_what_was_coded_is_noticed(quantized, tmp_path):
    _, plain, model = quantized
    squeezed = SqueezedExport().write(model.graph, model.spec, tmp_path)[0]
    with torch.no_grad():
        for parameter in plain.parameters():
            parameter.add_(0.01)
    other = build_graph(plain, torch.zeros(1, *model.graph.inputs[0].shape[1:]))
    with pytest.raises(ParityError, match=r"model\.onnx decoded from model\.sqz is not the exported file"):
        check_decoded(squeezed, OnnxExport().write(other, None, tmp_path))


def test_a_directory_that_is_not_there_is_an_error(quantized, tmp_path):
    _, _, model = quantized
    with pytest.raises(OutputError, match="cannot write"):
        OnnxExport().write(model.graph, None, tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["tflite", "squeezed"])
def test_what_tflite_cannot_express_is_refused_before_training(name):
    # A flattened map is in another order there; only dense layers can be written for that.
    graph = graph_of(Flatten(name="flat", inputs=("input",), shape=(1, 8 * 13 * 12)))
    OnnxExport().check(graph)
    with pytest.raises(ExportError):
        EXPORTS[name].check(graph)
