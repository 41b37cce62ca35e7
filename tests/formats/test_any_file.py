"""What is read from ONNX and TFLite files of our own, and from files that are none."""

import json
import random

import hostile_files
import numpy as np
import onnx
import pytest
import torch
from torch import nn

from edgesqueeze.compression.quantizing.calibrate import calibrate_min_max
from edgesqueeze.errors import ExportError
from edgesqueeze.formats.any_file import read_model_file, stored_integers
from edgesqueeze.formats.onnx.writing.emit import emit_onnx
from edgesqueeze.formats.tflite.writing.emit import emit_tflite
from edgesqueeze.models import built_in_model
from edgesqueeze.network.graph.counts import count_graph
from edgesqueeze.network.integers.spec import make_spec
from edgesqueeze.network.reading.torch.build import build_graph

EMITTERS = {".onnx": emit_onnx, ".tflite": emit_tflite}


def lenet5_graph():
    torch.manual_seed(0)
    model = built_in_model("lenet5").build()
    with torch.no_grad():
        model.fc1.weight[100:] = 0
    return build_graph(model, torch.zeros(1, 1, 28, 28))


@pytest.fixture(scope="module")
def lenet5():
    graph = lenet5_graph()
    spec = make_spec(graph, calibrate_min_max(graph, [torch.randn(4, 1, 28, 28)]))
    return graph, spec


def written(path, data):
    path.write_bytes(data)
    return read_model_file(path)


# -- files of our own ----------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", EMITTERS)
def test_float_file_agrees_with_its_graph(suffix, lenet5, tmp_path):
    facts = written(tmp_path / f"m{suffix}", EMITTERS[suffix](lenet5[0], None))
    counts = count_graph(lenet5[0])
    assert facts.num_bytes == (tmp_path / f"m{suffix}").stat().st_size
    assert (facts.params, facts.nonzero_params) == (counts.params, counts.nonzero_params)
    assert (facts.macs, facts.flops) == (counts.macs, counts.flops)
    assert facts.effective_macs == counts.effective_macs
    assert facts.precision == "fp32"
    assert facts.weight_dtypes == {"float32": 431_080}
    assert facts.format == suffix[1:]
    assert sorted(facts.inputs[0].shape) == [1, 1, 28, 28]
    assert facts.outputs[0].shape == (1, 10)


@pytest.mark.parametrize("suffix", EMITTERS)
def test_int8_file_counts_every_weight_once_and_no_scale(suffix, lenet5, tmp_path):
    graph, spec = lenet5
    facts = written(tmp_path / f"m{suffix}", EMITTERS[suffix](graph, spec))
    assert (facts.params, facts.macs) == (431_080, 2_293_000)
    assert facts.weight_dtypes == {"int8": 430_500, "int32": 580}
    assert facts.precision == "int8"
    stored = [part for layer in spec.weights.values() for part in (layer.weight, layer.bias)]
    assert facts.nonzero_params == sum(int(np.count_nonzero(part)) for part in stored)


def test_operator_counts(lenet5, tmp_path):
    onnx_facts = written(tmp_path / "m.onnx", emit_onnx(lenet5[0], None))
    assert onnx_facts.operators["Conv"] == 2
    assert onnx_facts.operators["Gemm"] == 2
    tflite_facts = written(tmp_path / "m.tflite", emit_tflite(lenet5[0], None))
    assert tflite_facts.operators["CONV_2D"] == 2
    assert tflite_facts.operators["FULLY_CONNECTED"] == 2
    assert sum(tflite_facts.operators.values()) == 7  # two pools, one reshape


class Depthwise(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.point = nn.Conv2d(8, 12, 1)
        self.head = nn.Linear(12, 5)

    def forward(self, x):
        return self.head(torch.relu(self.point(self.depthwise(torch.relu(self.stem(x))))).mean((2, 3)))


@pytest.mark.parametrize("suffix", EMITTERS)
def test_depthwise_convolutions(suffix, tmp_path):
    graph = build_graph(Depthwise(), torch.zeros(1, 3, 16, 16))
    facts = written(tmp_path / f"m{suffix}", EMITTERS[suffix](graph, None))
    counts = count_graph(graph)
    assert (facts.params, facts.macs) == (counts.params, counts.macs)


def test_facts_are_plain_json(lenet5, tmp_path):
    facts = written(tmp_path / "m.tflite", emit_tflite(lenet5[0], None))
    data = json.loads(json.dumps(facts.to_json()))
    assert data["flops"] == 4_586_000
    assert data["path"] == str(tmp_path / "m.tflite")


def test_external_data_counts_as_bytes_of_the_model(lenet5, tmp_path):
    model = onnx.load_from_string(emit_onnx(lenet5[0], None))
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="m.data")
    facts = read_model_file(tmp_path / "m.onnx")
    assert facts.num_bytes == sum((tmp_path / name).stat().st_size for name in ("m.onnx", "m.data"))
    assert facts.params == 431_080
    (tmp_path / "m.data").unlink()
    with pytest.raises(ExportError, match=r"m\.onnx is not a readable ONNX model: .*m\.data"):
        read_model_file(tmp_path / "m.onnx")


# -- files that are not what they seem -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("m.sqz", b"", r"found a \.sqz file, \.onnx and \.tflite are allowed; run `edgesqueeze decode`"),
        ("m.pt", b"", r"found a \.pt file, \.onnx and \.tflite are allowed$"),
        ("model", b"", "found a nameless file"),
        ("m.onnx", None, "there is no such file"),
        ("m.onnx", b"", "is not an ONNX model: it holds no operators"),
        ("m.onnx", b"GIF89a, a picture", "is not a readable ONNX model"),
        ("m.tflite", b"", r"is not a TFLite model: bytes 4 to 8 are b''"),
        ("m.tflite", b"\x08\x00\x00\x00TFL2" + bytes(64), r"bytes 4 to 8 are b'TFL2'"),
        ("m.tflite", b"\xff\xff\xff\x7fTFL3" + bytes(64), "is damaged or cut short"),
    ],
)
def test_foreign_files_are_refused_in_one_sentence(name, data, message, tmp_path):
    path = tmp_path / name
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(ExportError, match=message) as caught:
        read_model_file(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", EMITTERS)
def test_a_truncated_file_is_refused(suffix, tmp_path):
    graph = build_graph(Depthwise(), torch.zeros(1, 3, 16, 16))
    data = EMITTERS[suffix](graph, None)
    path = tmp_path / f"m{suffix}"
    for length in range(0, len(data) - 1, max(1, len(data) // 150)):
        path.write_bytes(data[:length])
        with pytest.raises(ExportError, match=r"m\.(onnx|tflite) is "):
            read_model_file(path)


@pytest.mark.parametrize("suffix", EMITTERS)
def test_altered_bytes_raise_nothing_but_our_errors(suffix, tmp_path):
    graph = build_graph(Depthwise(), torch.zeros(1, 3, 16, 16))
    data = EMITTERS[suffix](graph, None)
    path = tmp_path / f"m{suffix}"
    generator = random.Random(0)
    refused = 0
    for _ in range(300):
        altered = bytearray(data)
        for _ in range(4):
            altered[generator.randrange(len(data))] = generator.randrange(256)
        path.write_bytes(altered)
        try:
            assert read_model_file(path).params >= 0
        except ExportError:
            refused += 1
    assert refused > 10


def test_integers_that_are_not_where_ours_are_is_one_sentence(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(hostile_files.good_files()["int8.onnx"])
    assert "fc" in stored_integers(path)
    path.write_bytes(path.read_bytes().replace(b"fc.bias_scale", b"fc.bias_sgale", 1))
    with pytest.raises(ExportError, match=r"model\.onnx is not built as files of edgesqueeze are: .*bias_s"):
        stored_integers(path)
