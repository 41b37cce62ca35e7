"""Keras networks beside TensorFlow's converter: a pair is judged by its file, its answers and its time."""

import numpy as np
import pytest
import torch

from bench.int8_peers import Variant
from bench.keras_converters import Compared, report_of, to_json, with_test_images
from bench.keras_files import CASES, stages_of
from bench.keras_measured import ConverterFile, Pair, differences, measure
from bench.timed_files import TimingPlan
from edgesqueeze.errors import TaskError
from edgesqueeze.exports import TfliteExport
from edgesqueeze.importing.keras.load import keras_on_torch, network_of
from edgesqueeze.network.reading.torch.build import build_graph
from edgesqueeze.numerics.proportions import mcnemar_exact
from edgesqueeze.numerics.time_ratios import TimeRatio

QUICK = TimingPlan(processes=2, rounds=2)


@pytest.fixture(scope="module")
def written(tiny_task, tmp_path_factory):
    """The float network twice, as ours and as theirs; theirs is larger by a byte that nobody reads."""
    folder = tmp_path_factory.mktemp("files")
    graph = build_graph(tiny_task.initial_model().eval(), tiny_task.example_input)
    (ours,) = TfliteExport().write(graph, None, folder)
    theirs = folder / "theirs.tflite"
    theirs.write_bytes(ours.path.read_bytes() + b"\0")
    return [
        ConverterFile("float TFLite", "edgesqueeze", ours.path, "TensorFlow float"),
        ConverterFile("TensorFlow float", "TensorFlow", theirs),
    ]


def test_files_are_scored_once_and_timed_in_processes_of_their_own(tiny_task, written, tmp_path):
    task = with_test_images(tiny_task, 64)
    rows, (pair,) = measure(written, task, tmp_path / "answers", QUICK)
    assert [[len(p.rounds_s) for p in row.timing.processes] for row in rows] == [[2, 2], [2, 2]]
    assert [row.timing.path for row in rows] == [str(file.path) for file in written]
    assert rows[0].value == rows[1].value
    assert (pair.change, pair.test.won, pair.test.lost, pair.no_worse) == (0, 0, 0, True)
    assert pair.bytes == rows[0].num_bytes / (rows[0].num_bytes + 1)
    assert pair.time is None or pair.time.low <= pair.time.ratio <= pair.time.high
    kept = sorted((tmp_path / "answers").iterdir())
    assert len(kept) == 2
    for path in kept:
        np.save(path, np.zeros_like(np.load(path)))
    again, _ = measure(written, task, tmp_path / "answers", QUICK)
    assert again[0].value < rows[0].value  # of what was kept: all images are of class 0


def test_differences_are_of_the_range_of_what_keras_answers(tiny_task, written):
    with torch.no_grad():
        x = next(iter(tiny_task.test.batches(256)))[0]
        exact = tiny_task.initial_model().eval()(x).numpy()
    found = differences(written, tiny_task, exact, 1)
    assert set(found) == {"read", "float TFLite", "TensorFlow float"}
    assert max(found.values()) < 1e-5
    exact[3, 1] += 0.25 * float(exact.max() - exact.min())
    moved = differences(written[:1], tiny_task, exact, 1)
    assert 0.1 < moved["read"] < 0.26


def test_the_report_says_where_the_bar_is_met(tiny_task, written, tmp_path):
    rows, _ = measure(written, with_test_images(tiny_task, 64), tmp_path, QUICK)
    lost = Pair("a", "b", -0.02, mcnemar_exact(30, 10), 0.9, TimeRatio(1.0, 0.9, 1.1))
    near = Pair("a", "b", -0.001, mcnemar_exact(11, 10), 0.9, TimeRatio(1.04, 0.9, 1.1))
    slow = Pair("a", "b", 0.0, mcnemar_exact(0, 0), 0.9, TimeRatio(1.06, 1.0, 1.1))
    large = Pair("a", "b", 0.0, None, 1.001, TimeRatio(1.0, 1.0, 1.0))
    busy = Pair("a", "b", 0.0, None, 0.9, None)
    assert [pair.meets_the_bar for pair in (lost, near, slow, large, busy)] == [False, True, *[False] * 3]
    apart = {"read": 1e-7, "float TFLite": 2e-7, "float ONNX": 3e-7, "TensorFlow float": 4e-7}
    tool = [Variant("float", "tensorflow 0", "nothing set", 1.0)]
    one = Compared("tiny", "accuracy", "share", 64, rows, (lost, near), apart, {}, tool)
    parts = report_of([one])
    assert f"{rows[0].num_bytes:,}" in parts[3]
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in parts[6].splitlines()[2:]]
    assert lines[0][2:] == [
        "-2.00 points (10 won, 30 lost)",
        "0.0022",
        "0.900×",
        "1.000× [0.900–1.100], cannot tell",
        "no",
    ]
    assert lines[1][-1] == "yes"
    assert "1.0e-07" in parts[8]
    data = to_json(one)
    assert [row["label"] for row in data["rows"]] == ["float TFLite", "TensorFlow float"]
    assert data["pairs"][0]["meets_the_bar"] is False


def test_more_test_images_than_there_are_are_refused(tiny_task):
    with pytest.raises(TaskError, match="100000 test images are wanted, the test split has"):
        with_test_images(tiny_task, 100_000)


@pytest.mark.parametrize("name", ["squeeze_autoencoder", "squeezenet"])
def test_every_stage_fits_its_network(name):
    keras_on_torch()
    from bench.keras_training import NETWORKS

    assert set(CASES) == set(NETWORKS)
    model = network_of(NETWORKS[name].build(), name)
    for stages, _ in stages_of(name).values():
        for stage in stages:
            stage.check(model)
