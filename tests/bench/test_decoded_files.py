"""Every decoder on a finished run: equal files are named, a changed export is noticed."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from bench.decoded_files import all_decoders, decode, report
from edgesqueeze.errors import CodecError, OutputError
from edgesqueeze.formats.onnx.writing.emit import emit_onnx
from edgesqueeze.formats.sqz.file import emit_sqz
from edgesqueeze.formats.tflite.writing.emit import emit_tflite
from edgesqueeze.network.reading.torch.build import build_graph

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    (folder / "artifacts").mkdir()
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU()).eval()  # small: one decoder is plain Python
    graph = build_graph(network, torch.zeros(1, 1, 8, 8))
    files = {"model.onnx": emit_onnx(graph, None), "model.tflite": emit_tflite(graph, None)}
    files["model.sqz"] = emit_sqz(graph, None, files)
    for name, content in files.items():
        (folder / "artifacts" / name).write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def decoders(tmp_path_factory):
    return all_decoders(tmp_path_factory.mktemp("decoders"))


@pytest.fixture
def _without_numba(tmp_path, monkeypatch):
    """As on a device; and compiling would take seconds, since nothing is kept for an archive in a new place."""
    (tmp_path / "numba.py").write_text("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)


@pytest.mark.usefixtures("_without_numba")
@pytest.mark.parametrize("decoder", ["edgesqueeze decode", "unsqueeze.pyz", "unsqueeze.c"])
def test_every_decoder_gives_the_exported_files(decoder, run, decoders):
    found = decode("tiny", run, decoder, decoders)
    assert set(found.equal) == {"model.onnx", "model.tflite"}
    assert not found.different
    assert found.seconds > 0
    assert found.peak_rss_bytes > 0
    line = next(line for line in report([found])[1].splitlines() if decoder in line)
    assert "model.onnx, model.tflite" in line


def test_a_changed_export_is_noticed(run, decoders, tmp_path):
    shutil.copytree(run / "artifacts", tmp_path / "artifacts")
    (tmp_path / "artifacts" / "model.onnx").write_bytes(b"other")
    found = decode("tiny", tmp_path, "unsqueeze.c", decoders)
    assert set(found.different) == {"model.onnx"}
    assert set(found.equal) == {"model.tflite"}
    assert "model.onnx" in report([replace(found, equal={})])[1]


def test_a_run_without_the_file_and_a_damaged_one_are_refused(decoders, tmp_path):
    with pytest.raises(OutputError, match="has no artifacts/model.sqz"):
        decode("tiny", tmp_path, "unsqueeze.c", decoders)
    (tmp_path / "artifacts").mkdir()
    Path(tmp_path / "artifacts" / "model.sqz").write_bytes(b"no such file")
    with pytest.raises(CodecError, match="tiny: unsqueeze.c failed: "):
        decode("tiny", tmp_path, "unsqueeze.c", decoders)
