"""Several inputs and outputs, and layers used more than once, through every format and both decoders."""

import shutil
import subprocess
from functools import cache

import numpy as np
import onnx
import pytest
import torch
from damage import SANITIZE, SOURCES, compile_c
from ends_networks import NETWORKS, inputs_of, model_of
from parity_networks import write_files, write_precisions

from edgesqueeze.compression.quantizing.calibrate import calibrate_min_max
from edgesqueeze.errors import CodecError, ExportError, TaskError
from edgesqueeze.formats.sqz.file import decode_sqz, emit_sqz, read_sqz
from edgesqueeze.formats.sqz.version1 import emit_v1
from edgesqueeze.formats.tflite.cut import TfliteFile
from edgesqueeze.measure.proof.verification import verify_files, verify_pair
from edgesqueeze.measure.runtimes.runtime import load_model
from edgesqueeze.network.floats.run import graph_weights, run_graph
from edgesqueeze.network.integers.spec import make_spec
from edgesqueeze.network.reading.torch.build import build_graph
from edgesqueeze.task.training import call
from edgesqueeze.trees import leaves, map_tree, rows_of

NAMES = {
    "TwoHeads": ["boxes", "scores"],
    "NamedHeads": ["boxes", "scores"],
    "Pyramid": ["output_0_0", "output_0_1", "output_0_2", "output_1", "output_2"],
    "Siamese": ["output"],
    "Tied": ["output"],
    "NormedApart": ["output_0", "output_1"],
    "Signals": ["output_0", "output_1"],
}


@cache
def network(name):
    model, x = model_of(name), inputs_of(name)
    graph = build_graph(model, rows_of(x, slice(1)))
    return model, graph, make_spec(graph, calibrate_min_max(graph, [x]))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_graph_returns_what_the_module_returns(name):
    model, graph, _ = network(name)
    x = inputs_of(name, 3, seed=5)
    with torch.no_grad():
        expected, found = call(model, x), run_graph(graph, x, graph_weights(graph))
    assert [output.name for output in graph.outputs] == NAMES[name]
    assert type(found).__name__ == type(expected).__name__
    for one, other in zip(leaves(found), leaves(expected), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_file_answers_as_the_network_does(name, tmp_path):
    _, graph, spec = network(name)
    x = map_tree(torch.Tensor.numpy, inputs_of(name, 4, seed=6))
    files = [*write_files(tmp_path, graph, spec), *write_precisions(tmp_path, graph, spec).values()]
    verification = verify_files(graph, spec, files, x)
    assert verification.failures() == []
    compared = [
        (entry.file, entry.output) for entry in verification.parity.files if entry.precision == "fp32"
    ]
    outputs = NAMES[name] if len(NAMES[name]) > 1 else [""]
    assert compared == [(file, output) for file in ("model.onnx", "model.tflite") for output in outputs]
    assert verify_pair(files[2], files[3], x).failures() == []


@pytest.mark.parametrize("name", NETWORKS)
def test_files_name_inputs_and_outputs(name, tmp_path):
    _, graph, spec = network(name)
    x = map_tree(torch.Tensor.numpy, inputs_of(name, 2))
    for path in write_files(tmp_path, graph, spec):
        predictor = load_model(path)
        found = predictor.predict_all(x)
        assert list(found) == NAMES[name]
        if name == "Siamese":
            by_name = dict(zip(("facts", "right", "left"), reversed(x), strict=True))
            assert np.array_equal(predictor.predict(by_name), found["output"])
            with pytest.raises(ExportError, match="left"):
                predictor.predict_all(x[0])
        if len(found) > 1:
            with pytest.raises(ExportError, match=f"has {len(found)} outputs: {', '.join(found)}"):
                predictor.predict(x)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_squeezed_file_gives_all_back(name, tmp_path):
    _, graph, spec = network(name)
    files = {path.name: path.read_bytes() for path in write_files(tmp_path, graph, spec)}
    squeezed = tmp_path / "model.sqz"
    squeezed.write_bytes(emit_sqz(graph, spec, files))
    found, integers = read_sqz(squeezed.read_bytes())
    assert (found.nodes, found.outputs) == (graph.nodes, graph.outputs)
    assert integers.activations == spec.activations
    for layer, quant in spec.weights.items():
        assert np.array_equal(integers.weights[layer].weight, quant.weight)
        assert np.array_equal(integers.weights[layer].bias, quant.bias)
    decoded = {path.name: path.read_bytes() for path in decode_sqz(squeezed, tmp_path / "python")}
    assert decoded == files
    again = {path.name: path.read_bytes() for path in decode_sqz_without_templates(graph, spec, tmp_path)}
    assert again == files


def decode_sqz_without_templates(graph, spec, folder):
    path = folder / "bare.sqz"
    path.write_bytes(emit_sqz(graph, spec))
    return decode_sqz(path, folder / "bare")


def test_the_c_decoder_writes_the_same_files(tmp_path):
    if shutil.which("gcc") is None:
        pytest.skip("there is no gcc here")
    program = compile_c(tmp_path / "unsqueeze", *SANITIZE, SOURCES / "unsqueeze.c")
    for name in ("Pyramid", "Siamese", "Signals"):
        _, graph, spec = network(name)
        folder = tmp_path / name
        folder.mkdir()
        files = {path.name: path.read_bytes() for path in write_files(folder, graph, spec)}
        squeezed, out = folder / "model.sqz", folder / "out"
        squeezed.write_bytes(emit_sqz(graph, spec, files))
        out.mkdir()
        subprocess.run([program, squeezed, out], check=True, capture_output=True)
        assert {path.name: path.read_bytes() for path in out.iterdir()} == files


@pytest.mark.parametrize(
    ("name", "layers"), [("Pyramid", 6), ("Siamese", 4), ("Tied", 3), ("NormedApart", 2), ("Signals", 5)]
)
def test_weights_that_are_used_again_are_stored_once(name, layers, tmp_path):
    _, graph, spec = network(name)
    assert len(graph.owners) == layers
    assert len(graph.weighted) > layers or name == "NormedApart"
    for path in write_files(tmp_path, graph, spec):
        if path.suffix == ".onnx":
            stored = [t.name for t in onnx.load(path).graph.initializer if t.name.endswith(".weight")]
        else:
            file = TfliteFile(path)
            tensors = [
                t.name.decode() for t in file.graph.tensors if file.model.buffers[t.buffer].data is not None
            ]
            stored = [tensor for tensor in tensors if tensor.endswith(".weight")]
        assert len(stored) == layers


def test_the_calls_of_a_layer_have_names_and_one_grid():
    _, graph, spec = network("Pyramid")
    calls = [node for node in graph.weighted if node.owner == "head.1"]
    assert [node.name for node in calls] == ["head.1", "head.1#2", "head.1#3"]
    assert len({spec.activations[node.inputs[0]] for node in calls}) == 1


def test_boxes_and_scores_have_grids_of_their_own():
    _, graph, spec = network("TwoHeads")
    boxes, scores = (spec.activations[node.name] for node in graph.output_nodes.values())
    assert boxes.scale > 20 * scores.scale


def test_other_inputs_are_refused():
    _, graph, _ = network("Siamese")
    x = inputs_of("Siamese", 1)
    for wrong, words in [
        (x[:2], "found 2 inputs; the network takes 3: left, right, facts"),
        ({"a": x[0]}, "called a;"),
    ]:
        with pytest.raises(TaskError, match=words):
            run_graph(graph, wrong, graph_weights(graph))


def test_version_1_says_what_it_lacks():
    for name in ("TwoHeads", "Siamese", "Tied"):
        _, graph, spec = network(name)
        with pytest.raises(CodecError, match="one input, one output, and every layer once"):
            emit_v1(graph, spec)
