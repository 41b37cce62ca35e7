"""Our coder in a process of its own; a peer that is not there; which of the peer's points ours stands against."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import TinyNet, build_task

from bench.nncodec import run_nncodec
from bench.rate_accuracy import Point, published_sizes, published_table, report
from bench.subjects import Subject
from edgesqueeze.errors import CodecError
from edgesqueeze.formats.sqz.file import emit_sqz
from edgesqueeze.network.reading.torch.build import build_graph

ROOT = Path(__file__).parents[2]


def run_sqz(*arguments):
    command = [sys.executable, "-m", "bench.sqz_run", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)


@pytest.mark.slow
def test_our_coder_is_timed_without_torch(tmp_path):
    path = tmp_path / "model.sqz"
    path.write_bytes(emit_sqz(build_graph(TinyNet().eval(), torch.zeros(1, 1, 28, 28)), None))
    done = run_sqz(path, tmp_path / "facts.json")
    assert done.returncode == 0, done.stderr
    facts = json.loads((tmp_path / "facts.json").read_text())
    assert facts["encode_s"] > 0
    assert facts["decode_s"] > 0
    assert 0 < facts["idle_rss_bytes"] <= facts["peak_rss_bytes"] < 300e6  # torch alone takes more


def test_a_peer_that_is_not_there_is_named(tmp_path):
    with pytest.raises(CodecError, match="make_environments.sh nncodec"):
        run_nncodec(tmp_path / "python", "lossless", {"a": np.zeros(3, np.int32)}, tmp_path / "out")


def test_a_peer_that_fails_is_quoted(tmp_path):
    with pytest.raises(CodecError, match="nncodec failed: ModuleNotFoundError: No module named 'nncodec'"):
        run_nncodec(Path(sys.executable), "lossless", {"a": np.zeros(3, np.int32)}, tmp_path / "out")


def test_ours_stands_against_the_smallest_that_is_as_accurate():
    original = Point("fp32", "float.onnx", 1000, 0.9)
    theirs = [Point("nncodec", "fine", 300, 0.9), Point("nncodec", "coarse", 200, 0.8)]
    theirs.append(Point("nncodec", "broken", 20, 0.1))
    ours = [Point("edgesqueeze", "small", 100, 0.75), Point("edgesqueeze", "best", 250, 0.95)]
    text = "\n".join(report(Subject(build_task(), has_labels=True), original, ours, theirs))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "| small | 100 | 75.00 % | 200 (80.00 %, coarse) | 0.500 |" in lines
    assert "| best | 250 | 95.00 % | none is as accurate | – |" in lines
    assert "| nncodec | coarse | 200 | 5.0× | 80.00 % | -10.00 |" in lines
    sizes = [int(line.split("|")[3]) for line in lines if line.startswith(("| nncodec |", "| edgesq"))]
    assert sizes == sorted(sizes, reverse=True)


def test_published_sizes_name_their_data_and_source():
    for rows in published_sizes().values():
        text = published_table(rows)[0]
        for row in rows:
            assert row["data"] in ("MNIST", "ImageNet")
            assert all(value in text for value in row.values())
