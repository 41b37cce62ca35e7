"""The equal-integers proof: equal files are proved equal, and one changed number is found in its layer."""

import json

import numpy as np
import pytest
from emit_networks import SMALL_GRAPHS, calibrated, small_input
from parity_networks import (
    NETWORKS,
    change_onnx,
    change_onnx_grid,
    change_tflite,
    change_tflite_grid,
    network,
    write_files,
)

from edgesqueeze.errors import ParityError
from edgesqueeze.formats.onnx.writing.emit import emit_onnx
from edgesqueeze.formats.tflite.writing.emit import emit_tflite
from edgesqueeze.measure.proof.equal_integers import (
    compare_integers,
    prove_equal,
    read_integers,
    spec_integers,
)


def int8_files(folder, graph, spec):
    return [path for path in write_files(folder, graph, spec) if "int8" in path.name]


@pytest.mark.parametrize("name", NETWORKS)
def test_both_files_store_the_same_numbers(name, tmp_path):
    graph, spec = network(name)
    proofs = prove_equal(int8_files(tmp_path, graph, spec), graph, spec)
    assert [(proof.one, proof.other) for proof in proofs] == [
        ("integer reference", "model_int8.onnx"),
        ("integer reference", "model_int8.tflite"),
        ("model_int8.onnx", "model_int8.tflite"),
    ]
    parameters = sum(layer.weight.size + layer.bias.size for layer in spec.weights.values())
    for proof in proofs:
        proof.require()
        assert proof.compared > parameters
        assert set(proof.counts) == set(spec.activations)
        for node in graph.weighted:
            assert proof.counts[node.name]["weight"] == spec.weights[node.name].weight.size
        assert json.loads(json.dumps(proof.to_json()))["equal"] is True


@pytest.mark.parametrize("name", [name for name in SMALL_GRAPHS if name not in ("input_only",)])
def test_every_layout_is_undone(name, tmp_path):
    graph = SMALL_GRAPHS[name]
    spec = calibrated(graph, small_input())
    paths = tmp_path / "m.onnx", tmp_path / "m.tflite"
    paths[0].write_bytes(emit_onnx(graph, spec))
    paths[1].write_bytes(emit_tflite(graph, spec))
    for proof in prove_equal(paths, graph, spec):
        assert proof.failures() == []


FAULTS = {
    "onnx weight": ("onnx", change_onnx, ("conv2.weight", lambda w: _one(w)), ("conv2", "weight", 1)),
    "onnx weight scale": (
        "onnx",
        change_onnx,
        ("fc1.weight_scale", lambda s: s * 2),
        ("fc1", "weight scale", 20),
    ),
    "onnx bias": ("onnx", change_onnx, ("fc2.bias", lambda b: _one(b)), ("fc2", "bias", 1)),
    "onnx scale": ("onnx", change_onnx_grid, ("conv1", 1, lambda s: s * 1.001), ("conv1", "scale", 1)),
    "onnx zero point": ("onnx", change_onnx_grid, ("fc2", 2, lambda z: z - 1), ("fc2", "zero point", 1)),
    "onnx input scale": ("onnx", change_onnx_grid, ("INPUT", 1, lambda s: s * 2), ("INPUT", "scale", 1)),
    "tflite weight": ("tflite", change_tflite, ("fc1.weight", lambda w: _one(w)), ("fc1", "weight", 1)),
    "tflite weight scale": (
        "tflite",
        change_tflite_grid,
        ("conv2.weight", "scale", lambda s: s * 2),
        ("conv2", "weight scale", 8),
    ),
    "tflite bias": ("tflite", change_tflite, ("conv1.bias", lambda b: _one(b)), ("conv1", "bias", 1)),
    "tflite scale": (
        "tflite",
        change_tflite_grid,
        ("fc1", "scale", lambda s: s * 1.001),
        ("fc1", "scale", 1),
    ),
    "tflite zero point": (
        "tflite",
        change_tflite_grid,
        ("fc2", "zeroPoint", lambda z: z + 1),
        ("fc2", "zero point", 1),
    ),
}


def _one(values):
    values.reshape(-1)[5] ^= 1
    return values


@pytest.mark.parametrize("fault", FAULTS)
def test_one_changed_number_is_found(fault, tmp_path):
    graph, spec = network("plain")
    paths = int8_files(tmp_path, graph, spec)
    kind, change, arguments, expected = FAULTS[fault]
    arguments = [graph.inputs[0].name if a == "INPUT" else a for a in arguments]
    layer = graph.inputs[0].name if expected[0] == "INPUT" else expected[0]
    file = next(path for path in paths if path.suffix == f".{kind}")
    change(file, *arguments)
    for proof in prove_equal(paths, graph, spec):
        found = [(entry.layer, entry.kind, entry.differing) for entry in proof.differences]
        assert found == ([(layer, *expected[1:])] if file.name in (proof.one, proof.other) else [])
    with pytest.raises(ParityError, match=f"differ in layer '{layer}': .* numbers of its {expected[1]}"):
        prove_equal(paths)[0].require()
    assert "≠" in prove_equal(paths)[0].table()


def test_a_layer_that_only_one_source_has_differs_entirely(tmp_path):
    graph, spec = network("plain")
    files = int8_files(tmp_path, graph, spec)
    one = read_integers(files[0])
    del one.layers["fc1"]
    proof = compare_integers(spec_integers(graph, spec), one)
    assert {entry.layer for entry in proof.differences} == {"fc1"}
    assert {e.kind: e.differing for e in proof.differences}["weight"] == np.prod((20, 288))
