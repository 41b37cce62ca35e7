"""Facts, parity and stored integers of the files that are neither plain fp32 nor plain int8."""

import json
from itertools import pairwise

import numpy as np
import onnx
import pytest
import torch
from emit_networks import SOURCE, conv, graph_of, small_input
from onnx import numpy_helper
from parity_networks import (
    NETWORKS,
    change_onnx,
    change_tflite,
    change_tflite_grid,
    network,
    pictures,
    write_precisions,
)

from edgesqueeze.errors import ExportError
from edgesqueeze.formats.any_file import read_model_file
from edgesqueeze.formats.onnx.writing.emit import emit_onnx_weights
from edgesqueeze.formats.tflite.writing.emit import emit_tflite_weights
from edgesqueeze.measure.proof.equal_integers import prove_equal, prove_weights
from edgesqueeze.measure.proof.float_reference import DYNAMIC_TOLERANCE, fake_quantize_dynamic
from edgesqueeze.measure.proof.parity import check_parity
from edgesqueeze.measure.proof.verification import verify_files
from edgesqueeze.measure.runtimes.litert import load_tflite
from edgesqueeze.measure.runtimes.onnx_runtime import load_onnx
from edgesqueeze.network.graph.counts import count_graph
from edgesqueeze.network.integers.spec import spec_from_activations
from edgesqueeze.network.integers.weight_only import int8_weights

PRECISIONS = {
    "model_fp16": "fp16",
    "model_int8_weights": "int8_weights",
    "model_dynamic": "dynamic",
    "model_int8_qoperator": "int8",
    "model_int8_float32_io": "int8",
}


@pytest.fixture(scope="module", params=[(name, mode) for name in NETWORKS for mode in (True, False)])
def written(request, tmp_path_factory):
    name, per_channel = request.param
    graph, spec = network(name)
    spec = spec_from_activations(graph, spec.activations, per_channel=per_channel)
    return graph, spec, write_precisions(tmp_path_factory.mktemp(name), graph, spec)


@pytest.fixture
def plain(tmp_path):
    graph, spec = network("plain")
    return graph, spec, write_precisions(tmp_path, graph, spec)


def test_right_files_pass_and_store_the_same_numbers(written):
    graph, spec, paths = written
    found = verify_files(graph, spec, list(paths.values()), pictures())
    assert found.failures() == []
    entries = {entry.file: entry for entry in found.parity.files}
    for name, path in paths.items():
        assert entries[name].precision == PRECISIONS[path.stem]
    assert entries["model_dynamic.onnx"].values > 12 * sum(np.prod(n.shape) for n in graph.nodes[1:])
    assert entries["model_int8_weights.tflite"].reference == "torch with int8 weights"
    assert (
        "2 int8 files equal the integer reference, 4 float files equal torch within 0.001, "
        "2 dynamic files node by node within 0.01"
    ) in found.parity.summary()
    assert json.loads(json.dumps(found.to_json()))["holds"] is True
    weights = sum(layer.weight.size + layer.scale.size + layer.bias.size for layer in spec.weights.values())
    proofs = {proof.other: proof.compared for proof in found.proofs if proof.one == "int8 weights"}
    assert proofs == dict.fromkeys((n for n in paths if "weights" in n or "dynamic" in n), weights)


@pytest.mark.parametrize(("name", "kept"), [("plain", ("conv2", "fc1")), ("tiny", ("same", "depthwise.0"))])
def test_layers_kept_in_float_are_so_in_every_file(name, kept, tmp_path):
    graph, spec = network(name, kept)
    paths = write_precisions(tmp_path, graph, spec)
    found = verify_files(graph, spec, list(paths.values()), pictures(4))
    assert found.failures() == []
    for file, path in paths.items():
        facts = read_model_file(path)
        if "fp16" in file:
            assert facts.float_weights == ()
        else:
            assert set(facts.float_weights) == {f"{layer}.weight" for layer in kept}
            assert facts.precision == ("mixed" if "int8_q" in file or "io" in file else PRECISIONS[path.stem])
    # Cut there, a QOperator file still names the layer that is wrong.
    change_onnx(paths["model_int8_qoperator.onnx"], f"{kept[0]}.weight", lambda w: w * np.float32(1.5))
    wrong = check_parity(graph, spec, [paths["model_int8_qoperator.onnx"]], pictures(4)).files[0]
    assert wrong.first.layer == kept[0]


def test_facts_come_from_the_file_alone(written):
    graph, spec, paths = written
    expected = count_graph(graph)
    integers = sum(int(np.count_nonzero(layer.weight)) for layer in spec.weights.values())
    for name, path in paths.items():
        facts = read_model_file(path)
        assert facts.precision == PRECISIONS[path.stem], name
        if facts.precision != "int8":  # those hold lowered layers as well
            assert (facts.params, facts.macs) == (expected.params, expected.macs), name
        if "weights" in name or "dynamic" in name:
            biases = sum(int(np.count_nonzero(graph.bias(node))) for node in graph.weighted)
            assert facts.nonzero_params == integers + biases, name
    qoperator, qdq = (
        read_model_file(paths[f"model_int8_{n}"]) for n in ("qoperator.onnx", "float32_io.tflite")
    )
    assert (qoperator.params, qoperator.macs, qoperator.effective_macs) == (
        qdq.params,
        qdq.macs,
        qdq.effective_macs,
    )


def _one(values):
    values.reshape(-1)[5] ^= 1
    return values


def change_qoperator(path, node, position, change):
    """Change one input constant of one operator, for no other reader."""
    model = onnx.load(path)
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    op = next(op for op in model.graph.node if op.name == f"{node}/int")
    value = constants[op.input[position]]
    op.input[position] = f"{node}.changed"
    model.graph.initializer.append(
        numpy_helper.from_array(np.asarray(change(value), value.dtype), f"{node}.changed")
    )
    onnx.save(model, path)


# File, change, arguments, and the layer that the gate must name.
FAULTS = {
    "qoperator weight": ("model_int8_qoperator.onnx", change_onnx, ("conv2.weight", lambda w: -w), "conv2"),
    "qoperator bias": ("model_int8_qoperator.onnx", change_onnx, ("fc1.bias", lambda b: b + 30_000), "fc1"),
    "qoperator weight scale": (
        "model_int8_qoperator.onnx",
        change_onnx,
        ("conv1.weight_scale", lambda s: s * 2),
        "conv1",
    ),
    "qoperator input scale": (
        "model_int8_qoperator.onnx",
        change_qoperator,
        ("fc1", 1, lambda s: s * 1.5),
        "fc1",
    ),
    "qoperator scale": (
        "model_int8_qoperator.onnx",
        change_qoperator,
        ("conv2", 6, lambda s: s * 1.5),
        "conv2",
    ),
    "qoperator zero point": (
        "model_int8_qoperator.onnx",
        change_qoperator,
        ("fc2", 8, lambda z: z + 3),
        "fc2",
    ),
    "float io weight": (
        "model_int8_float32_io.tflite",
        change_tflite,
        ("conv2.weight", lambda w: -w),
        "conv2",
    ),
    "float io scale": (
        "model_int8_float32_io.tflite",
        change_tflite_grid,
        ("fc1", "scale", lambda s: s * 1.5),
        "fc1",
    ),
    "fp16 onnx": ("model_fp16.onnx", change_onnx, ("fc1.weight", lambda w: w * np.float16(1.1)), "fc1"),
    "fp16 tflite": ("model_fp16.tflite", change_tflite, ("conv2.weight", lambda w: -w), "conv2"),
    "weights onnx": (
        "model_int8_weights.onnx",
        change_onnx,
        ("conv2.weight_scale", lambda s: s * 1.1),
        "conv2",
    ),
    "weights tflite": ("model_int8_weights.tflite", change_tflite, ("fc1.weight", lambda w: -w), "fc1"),
    "dynamic onnx conv": (
        "model_dynamic.onnx",
        change_onnx,
        ("conv2.weight_scale", lambda s: s * 1.1),
        "conv2",
    ),
    "dynamic onnx dense": ("model_dynamic.onnx", change_onnx, ("fc1.weight", lambda w: -w), "fc1"),
    "dynamic onnx offset": ("model_dynamic.onnx", change_onnx, ("zero_point_128", lambda z: z - 20), "conv1"),
    "dynamic tflite weight": ("model_dynamic.tflite", change_tflite, ("conv2.weight", lambda w: -w), "conv2"),
    "dynamic tflite scale": (
        "model_dynamic.tflite",
        change_tflite_grid,
        ("fc1.weight", "scale", lambda s: s * 1.1),
        "fc1",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found_at_its_layer(plain, fault):
    graph, spec, paths = plain
    file, change, arguments, layer = FAULTS[fault]
    change(paths[file], *arguments)
    wrong = [e for e in check_parity(graph, spec, list(paths.values()), pictures()).files if not e.holds]
    assert [entry.file for entry in wrong] == [file]
    assert wrong[0].first.layer == layer


STORED = {
    "qoperator weight": (
        "model_int8_qoperator.onnx",
        change_onnx,
        ("conv2.weight", _one),
        ("conv2", "weight", 1),
    ),
    "qoperator bias": ("model_int8_qoperator.onnx", change_onnx, ("fc2.bias", _one), ("fc2", "bias", 1)),
    "qoperator input scale": (
        "model_int8_qoperator.onnx",
        change_qoperator,
        ("fc2", 1, lambda s: s * 1.001),
        ("fc2", "bias scale", 10),
    ),
    "qoperator input zero point": (
        "model_int8_qoperator.onnx",
        change_qoperator,
        ("fc2", 2, lambda z: z + 1),
        ("fc2", "input zero point", 1),
    ),
    "qoperator scale": (
        "model_int8_qoperator.onnx",
        change_qoperator,
        ("conv1", 6, lambda s: s * 1.001),
        ("conv1", "scale", 1),
    ),
    "dynamic onnx": ("model_dynamic.onnx", change_onnx, ("conv2.weight", _one), ("conv2", "weight", 1)),
    "dynamic onnx scale": (
        "model_dynamic.onnx",
        change_onnx,
        ("fc1.weight_scale", lambda s: s * 1.001),
        ("fc1", "weight scale", 20),
    ),
    "dynamic tflite": ("model_dynamic.tflite", change_tflite, ("fc1.weight", _one), ("fc1", "weight", 1)),
    "weights onnx": ("model_int8_weights.onnx", change_onnx, ("fc1.weight", _one), ("fc1", "weight", 1)),
    "weights onnx bias": (
        "model_int8_weights.onnx",
        change_onnx,
        ("fc1.bias", lambda b: b * 1.001),
        ("fc1", "bias", 20),
    ),
    "weights tflite scale": (
        "model_int8_weights.tflite",
        change_tflite_grid,
        ("conv1.weight", "scale", lambda s: s * 1.001),
        ("conv1", "weight scale", 6),
    ),
}


@pytest.mark.parametrize("fault", STORED)
def test_one_changed_number_is_found(plain, fault):
    graph, spec, paths = plain
    file, change, arguments, expected = STORED[fault]
    change(paths[file], *arguments)
    prove = prove_equal if "int8_q" in file else prove_weights
    # A wrong grid shows in what reads it as well, but the layer that is wrong comes first.
    found = [(e.layer, e.kind, e.differing) for e in prove([paths[file]], graph, spec)[0].differences]
    assert expected in found
    assert found[0][0] == expected[0]


def test_a_whole_file_that_answers_otherwise_than_its_nodes_is_noticed(plain, monkeypatch):
    graph, _, paths = plain
    from edgesqueeze.measure.runtimes import onnx_runtime

    right = onnx_runtime._OnnxPredictor.predict_all

    def wrong_as_a_whole(self, x):
        found = right(self, x)
        factor = np.float32(
            1.1 if len(found) == 1 else 1.0
        )  # the other file has its inner tensors as outputs
        return {name: y * factor for name, y in found.items()}

    monkeypatch.setattr(onnx_runtime._OnnxPredictor, "predict_all", wrong_as_a_whole)
    entry = check_parity(graph, None, [paths["model_dynamic.onnx"]], pictures(2)).files[0]
    assert not entry.holds and entry.first is None


def test_in_a_deep_network_every_node_agrees_although_the_answers_drift(tmp_path):
    names = ["input", *(f"c{i}" for i in range(24))]
    layers = [
        conv(name, source, SOURCE.shape, out=8, kernel=(1, 1) if i % 2 else (3, 3), pads=(1 - i % 2,) * 4)
        for i, (source, name) in enumerate(pairwise(names))
    ]
    graph = graph_of(*layers, scale=0.3)
    for name, emit in (("m.onnx", emit_onnx_weights), ("m.tflite", emit_tflite_weights)):
        (tmp_path / name).write_bytes(emit(graph, "dynamic", int8_weights(graph, None)))
    report = check_parity(graph, None, [tmp_path / "m.onnx", tmp_path / "m.tflite"], small_input(4))
    assert report.failures() == []
    # End to end, the two rules for the grids of 1 × 1 convolutions lead elsewhere.
    answers = (
        load_onnx(tmp_path / "m.onnx").predict(small_input(4)),
        load_tflite(tmp_path / "m.tflite").predict(small_input(4)),
    )
    assert np.abs(answers[0] - answers[1]).max() > DYNAMIC_TOLERANCE * np.abs(answers[0]).max()


def test_the_grid_of_a_dynamic_input():
    x = torch.tensor([[0.0, 2.55, 1.004], [-1.0, 0.0, 1.55], [0.0, 0.0, 0.0], [3.0, 4.0, 5.1]])
    expected = torch.tensor([[0.0, 2.55, 1.0], [-1.0, 0.0, 1.55], [0.0, 0.0, 0.0], [3.0, 4.0, 5.1]])
    torch.testing.assert_close(fake_quantize_dynamic(x), expected)


def test_files_without_integers_have_none(plain):
    _, _, paths = plain
    for name, load in (("model_dynamic.onnx", load_onnx), ("model_dynamic.tflite", load_tflite)):
        with pytest.raises(ExportError, match="is not quantized to 8 bits"):
            load(paths[name]).predict_integers(pictures(1))
