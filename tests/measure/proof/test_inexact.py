"""Nodes that a runtime rounds in its own way: one unit is excused there, by name, and nothing anywhere else."""

import json

import numpy as np
import pytest
import torch
from parity_networks import change_onnx, change_tflite, network, pictures, write_files
from torch import nn

from edgesqueeze.compression.quantizing.calibrate import calibrate_min_max
from edgesqueeze.errors import ParityError
from edgesqueeze.measure.proof.equal_integers import prove_equal
from edgesqueeze.measure.proof.parity import check_parity
from edgesqueeze.measure.proof.two_files import compare_files
from edgesqueeze.measure.proof.verification import verify_files, verify_pair
from edgesqueeze.network.integers.inexact import inexact_nodes
from edgesqueeze.network.integers.spec import make_spec
from edgesqueeze.network.reading.torch.build import build_graph

KEPT = ("low", "head")
CHANGE = {"model_int8.onnx": change_onnx, "model_int8.tflite": change_tflite}


@pytest.fixture(scope="module")
def kept():
    """The network with two resizes, two of its layers kept in float."""
    return network("resized", KEPT)


@pytest.fixture
def written(kept, tmp_path):
    """Its graph, its spec, and its int8 files by name."""
    graph, spec = kept
    return graph, spec, {p.name: p for p in write_files(tmp_path, graph, spec) if "int8" in p.name}


def units(spec, layer, count):
    """A bias moved so far that the layer's integers move by a count."""
    return lambda bias: bias + np.float32(count * spec.activations[layer].scale)


def test_the_layers_are_named_and_files_pass(written):
    graph, spec, paths = written
    verified = verify_files(graph, spec, list(paths.values()), pictures(20))
    verified.require()
    for entry in verified.parity.files[:2]:
        assert [(n.layer, n.why, n.tolerance) for n in entry.inexact] == [
            ("low", "layer kept in float32", 1),
            ("head", "layer kept in float32", 1),
        ]
        assert [n.values for n in entry.inexact] == [20 * 8 * 6 * 6, 20 * 10]
        # Float sums land on the other side of a half rarely: more means that the layer is not in float.
        assert all(n.differing <= 0.002 * n.values for n in entry.inexact)
        assert entry.differing == 0
    stored = json.loads(json.dumps(verified.to_json()))["outputs"]["files"][0]["inexact"]
    assert stored[0]["layer"] == "low"
    assert "layer kept in float32" in verified.text()
    assert len(verified.proofs) == 3  # files with float layers are proved equal like others
    for proof in verified.proofs:
        assert set(proof.counts["low"]) == {"weight", "bias", "scale", "zero point"}


@pytest.mark.parametrize("file", CHANGE)
def test_one_unit_is_excused_and_counted(written, file):
    graph, spec, paths = written
    CHANGE[file](paths[file], "low.bias", units(spec, "low", 1))
    report = check_parity(graph, spec, list(paths.values()), pictures())
    report.require()
    low = next(entry for entry in report.files if entry.file == file).inexact[0]
    assert low.largest == 1
    assert low.differing > 0.3 * low.values
    assert "(but for at most 1 unit at low)" in report.summary()
    # What is stored is compared without any tolerance.
    with pytest.raises(ParityError, match="differ in layer 'low': 8 of 8 numbers of its bias"):
        prove_equal(list(paths.values()), graph, spec)[0 if "onnx" in file else 1].require()


FAULTS = {
    "two units in an inexact layer": ("low.bias", lambda spec: units(spec, "low", 2), "low"),
    "two units in the last layer": ("head.bias", lambda spec: units(spec, "head", 2), "head"),
    "in front of an inexact layer": ("stem.bias", lambda spec: lambda b: b + 200, "stem"),
    "behind an inexact layer": ("middle.weight", lambda spec: lambda w: -w, "middle"),
}


@pytest.mark.parametrize("file", CHANGE)
@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_found_at_their_layer(written, file, fault):
    graph, spec, paths = written
    tensor, change, layer = FAULTS[fault]
    CHANGE[file](paths[file], tensor, change(spec))
    report = check_parity(graph, spec, list(paths.values()), pictures())
    assert [entry.file for entry in report.files if not entry.holds] == [file]
    with pytest.raises(
        ParityError, match=f"{file} does not .*first tensor that differs is '{layer}'"
    ) as error:
        report.require()
    assert ("by up to 2 where 1 is allowed" in str(error.value)) == fault.startswith("two units")
    (pair,) = compare_files(*paths.values(), pictures())
    assert not pair.holds
    assert pair.first.layer == layer


def test_an_excused_unit_does_not_hide_a_fault_behind_it(written):
    graph, spec, paths = written
    path = paths["model_int8.onnx"]
    change_onnx(path, "low.bias", units(spec, "low", 1))
    change_onnx(path, "middle.bias", lambda b: b + 2000)
    entry = check_parity(graph, spec, [path], pictures()).files[0]
    assert entry.first.layer == "middle"


def test_two_files_alone_name_what_onnx_runtime_computes_in_float(written):
    paths = list(written[2].values())
    for one, other in (paths, paths[::-1]):
        verified = verify_pair(one, other, pictures())
        verified.require()
        entry = verified.parity.files[0]
        assert entry.file == one.name
        assert [n.layer for n in entry.inexact] == [
            "low",
            "upsample_bilinear2d",
            "upsample_bilinear2d_1",
            "head",
        ]
        assert {n.layer for n in entry.inexact if n.largest == 1} >= {"upsample_bilinear2d"}
        assert entry.differing == 0


def test_two_files_of_one_runtime_must_be_equal_everywhere(written, tmp_path):
    _, spec, paths = written
    for path in paths.values():
        other = tmp_path / f"other{path.suffix}"
        other.write_bytes(path.read_bytes())
        assert compare_files(path, other, pictures())[0].holds
        CHANGE[path.name](other, "low.bias", units(spec, "low", 1))
        (entry,) = compare_files(path, other, pictures())
        assert entry.inexact == ()
        assert entry.first.layer == "low"


def test_which_nodes_are_inexact(kept):
    graph, spec = kept
    named = dict.fromkeys(KEPT, "layer kept in float32")
    assert inexact_nodes(graph, spec, "xnnpack", "aarch64") == named
    assert inexact_nodes(graph, spec, "onnxruntime", "x86_64") == named
    # Elsewhere the compiler may fuse what the reference's rule keeps apart.
    elsewhere = inexact_nodes(graph, spec, "onnxruntime", "aarch64")
    assert list(elsewhere) == ["low", "upsample_bilinear2d", "upsample_bilinear2d_1", "head"]
    assert inexact_nodes(*network("plain"), "onnxruntime", "aarch64") == {}


def test_another_networks_file_is_refused(written, tmp_path):
    graph, spec, _ = written
    other = tmp_path / "other"
    other.mkdir()
    path = next(p for p in write_files(other, *network("plain")) if p.name == "model_int8.onnx")
    with pytest.raises(ParityError, match="model_int8.onnx computes 'view' with shape"):
        check_parity(graph, spec, [path], pictures())


class Decoder(nn.Module):
    """What a decoder is made of: transposed convolutions, a layer norm over channels, GELU, softmax."""

    def __init__(self):
        super().__init__()
        self.down, self.up = nn.Conv2d(1, 6, 3, stride=4), nn.ConvTranspose2d(6, 4, 3, 2, 1, 1)
        self.norm, self.wide = nn.LayerNorm(4), nn.ConvTranspose2d(4, 4, 4, (2, 1), 1)
        self.head = nn.Linear(4, 10)

    def forward(self, x):
        y = torch.relu(self.up(self.down(x)))
        y = nn.functional.gelu(self.norm(y.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)
        return self.head(self.wide(y).mean((2, 3))).softmax(1)


def test_layer_norm_and_softmax_are_the_only_inexact_parts_of_a_decoder(tmp_path):
    torch.manual_seed(0)
    x = torch.from_numpy(pictures())
    graph = build_graph(Decoder().eval(), x[:1])
    spec = make_spec(graph, calibrate_min_max(graph, [x]))
    paths = write_files(tmp_path, graph, spec)
    verified = verify_files(graph, spec, paths, pictures(20))
    verified.require()
    for entry in (entry for entry in verified.parity.files if "int8" in entry.file):
        assert [node.layer for node in entry.inexact] == ["norm", "softmax"]
        assert all(node.differing <= 0.002 * node.values for node in entry.inexact)
    assert compare_files(*(path for path in paths if "int8" in path.name), pictures())[0].holds
    # One weight of the convolution that stands for the transposed one, in one of the files.
    change_onnx(paths[2], "up/conv.weight", lambda w: -w)
    with pytest.raises(ParityError, match="'up"):
        check_parity(graph, spec, paths[2:], pictures()).require()
    with pytest.raises(ParityError, match="differ in layer 'up/conv'"):
        prove_equal(paths[2:], graph, spec)[0].require()
