"""Faults planted in the files of a run, and what the gate says of them."""

import sys

import pytest
from torch import nn

from bench import planted_faults
from bench.files import write_ours
from bench.subjects import noise_images, settle
from edgesqueeze.compression.quantizing.calibrate import calibrate_min_max
from edgesqueeze.compression.quantizing.graph_model import GraphModel
from edgesqueeze.network.integers.spec import make_spec
from edgesqueeze.network.reading.torch.build import build_graph


def chain():
    """A network in which a fault cannot hide behind a sum, and pictures."""
    layers = (nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 6, 3, stride=2), nn.ReLU(), nn.Flatten())
    model, x = nn.Sequential(*layers, nn.Linear(6 * 6 * 6, 5)), noise_images(8, (1, 15, 15))
    settle(model, x)
    graph = build_graph(model, x[:1])
    return GraphModel(graph, make_spec(graph, calibrate_min_max(graph, [x]))), x.numpy()


@pytest.mark.parametrize("suffix", [".onnx", ".tflite"])
def test_the_planted_layer_is_named(tmp_path, suffix):
    model, x = chain()
    path = next(p for p in write_ours(model, tmp_path, with_float=False) if p.suffix == suffix)
    before = path.read_bytes()
    names = [node.name for node in model.graph.weighted]
    found = planted_faults.planted("chain", (model.graph, model.spec), path, names, x)
    assert [f.planted for f in found] == [f.named for f in found] == names
    assert all(f.differing > 0 and f.largest > 1 for f in found)
    assert path.read_bytes() == before


def test_a_run_without_int8_is_refused(tmp_path, monkeypatch, capsys):
    (tmp_path / "recipe.yaml").write_text(
        "version: 1\nname: x\ntask: {model: lenet5, data: mnist_sample}\nstages: []\n"
        "exports: [{export: onnx}]\n"
    )
    monkeypatch.setattr(planted_faults, "finished_network", lambda *_: (None, None))
    monkeypatch.setattr(sys, "argv", ["planted_faults.py", f"a={tmp_path}", "--output", str(tmp_path / "o")])
    with pytest.raises(SystemExit):
        planted_faults.main()
    assert "has no int8 files to plant a fault in" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()
