"""The parity gate: right files pass, wrong ones are caught at the layer that is wrong."""

import json

import numpy as np
import pytest
from parity_networks import (
    NETWORKS,
    change_onnx,
    change_onnx_grid,
    change_tflite,
    change_tflite_grid,
    network,
    pictures,
    write_files,
)

from edgesqueeze.errors import ExportError, ParityError
from edgesqueeze.formats.any_file import open_cuttable
from edgesqueeze.measure.proof.fidelity import layer_fidelity, sqnr_db
from edgesqueeze.measure.proof.parity import check_parity
from edgesqueeze.measure.proof.two_files import compare_files


@pytest.fixture(scope="module", params=list(NETWORKS))
def written(request, tmp_path_factory):
    graph, spec = network(request.param)
    return graph, spec, write_files(tmp_path_factory.mktemp(request.param), graph, spec)


@pytest.fixture
def plain(tmp_path):
    graph, spec = network("plain")
    return graph, spec, {path.name: path for path in write_files(tmp_path, graph, spec)}


def test_right_files_pass(written):
    graph, spec, paths = written
    report = check_parity(graph, spec, paths, pictures())
    report.require()
    by_file = {entry.file: entry for entry in report.files}
    assert by_file["model_int8.onnx"].differing == by_file["model_int8.tflite"].differing == 0
    assert by_file["model.onnx"].largest < by_file["model.onnx"].tolerance
    assert by_file["model_int8.onnx"].values == 12 * 10
    assert not by_file["torch fake-quant"].gated
    assert [layer.name for layer in report.layers] == [node.name for node in graph.nodes]
    assert all(layer.sqnr_db is None or layer.sqnr_db > 10 for layer in report.layers)
    assert "2 int8 files equal the integer reference" in report.summary()
    assert json.loads(json.dumps(report.to_json()))["files"][0]["holds"] is True
    assert "SQNR dB" in report.table()


def test_two_files_alone(written):
    paths = {path.name: path for path in written[2]}
    (entry,) = compare_files(paths["model_int8.onnx"], paths["model_int8.tflite"], pictures())
    assert entry.holds
    assert entry.values == 120


def test_every_layer_can_be_cut_at(written):
    graph, _, paths = written
    wanted = {node.name for node in graph.nodes}
    for path in paths:
        names = set(open_cuttable(path).names)
        assert names & wanted >= {node.name for node in graph.weighted}


FAULTS = {
    "onnx weight": ("model_int8.onnx", change_onnx, ("conv2.weight", lambda w: -w), "conv2"),
    "onnx bias": ("model_int8.onnx", change_onnx, ("fc1.bias", lambda b: b + 30_000), "fc1"),
    "onnx weight scale": ("model_int8.onnx", change_onnx, ("conv1.weight_scale", lambda s: s * 2), "conv1"),
    "onnx scale": ("model_int8.onnx", change_onnx_grid, ("conv2", 1, lambda s: s * 1.5), "conv2"),
    "onnx zero point": ("model_int8.onnx", change_onnx_grid, ("fc2", 2, lambda z: z + 3), "fc2"),
    "onnx float weight": ("model.onnx", change_onnx, ("fc1.weight", lambda w: w * 1.1), "fc1"),
    "tflite weight": ("model_int8.tflite", change_tflite, ("conv2.weight", lambda w: -w), "conv2"),
    "tflite bias": ("model_int8.tflite", change_tflite, ("fc1.bias", lambda b: b + 30_000), "fc1"),
    "tflite weight scale": (
        "model_int8.tflite",
        change_tflite_grid,
        ("conv1.weight", "scale", lambda s: s * 2),
        "conv1",
    ),
    "tflite scale": ("model_int8.tflite", change_tflite_grid, ("conv2", "scale", lambda s: s * 1.5), "conv2"),
    "tflite zero point": (
        "model_int8.tflite",
        change_tflite_grid,
        ("fc1", "zeroPoint", lambda z: z + 3),
        "fc1",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found_at_its_layer(plain, fault):
    graph, spec, paths = plain
    file, change, arguments, layer = FAULTS[fault]
    change(paths[file], *arguments)
    report = check_parity(graph, spec, list(paths.values()), pictures())
    wrong = [entry for entry in report.files if not entry.holds]
    assert [entry.file for entry in wrong] == [file]
    assert wrong[0].first.layer == layer
    with pytest.raises(
        ParityError, match=f"{file} does not compute .*first tensor that differs is '{layer}'"
    ):
        report.require()


def test_without_the_network_the_files_find_the_layer_too(plain):
    paths = plain[2]
    change_tflite(paths["model_int8.tflite"], "conv2.weight", lambda w: -w)
    (entry,) = compare_files(paths["model_int8.onnx"], paths["model_int8.tflite"], pictures())
    assert not entry.holds
    assert entry.first.layer == "conv2"


def test_what_cannot_be_compared_is_refused(plain, tmp_path):
    graph, spec, paths = plain
    with pytest.raises(ExportError, match="the network it is compared with is not quantized"):
        check_parity(graph, None, [paths["model_int8.onnx"]], pictures())
    with pytest.raises(ExportError, match="not a file"):
        check_parity(graph, spec, [tmp_path / "nothing.onnx"], pictures())
    with pytest.raises(ExportError, match="found a .txt file, .onnx and .tflite are allowed"):
        check_parity(graph, spec, [tmp_path / "model.txt"], pictures())


def test_sqnr():
    signal = np.array([3.0, 4.0], np.float32)
    assert sqnr_db(signal, signal) is None
    assert sqnr_db(signal, signal + np.float32(0.5)) == pytest.approx(10 * np.log10(25 / 0.5))
    assert sqnr_db(np.zeros(2, np.float32), signal) == -np.inf


def test_the_simulation_is_compared_node_by_node(written):
    graph, spec, _ = written
    for layer in layer_fidelity(graph, spec, pictures()):
        assert layer.fake_quant_max_lsb <= 1
