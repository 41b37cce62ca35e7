"""A row is read from its file."""

import pytest
from parity_networks import network

from edgesqueeze.formats.onnx.writing.emit import emit_onnx
from edgesqueeze.measure.runtimes.onnx_runtime import load_onnx
from edgesqueeze.run.rows import file_candidate


@pytest.fixture
def rows(tiny_task, tmp_path):
    """The rows of one network's file by its batch."""
    graph, found = network("tiny")[0], {}
    for batch in (1, "open", 3):
        path = tmp_path / f"{batch}.onnx"
        path.write_bytes(emit_onnx(graph, None, batch))
        found[batch] = file_candidate(path, load_onnx(path), tiny_task, graph.returns).row
    return found


def test_a_file_for_several_inputs_says_whose_figures_these_are(rows):
    assert rows[1].notes == rows["open"].notes == ()
    assert rows[3].notes == ("takes 3 inputs at once, and its MACs and latency are those of all 3",)
    assert rows[3].macs == 3 * rows[1].macs == 3 * rows["open"].macs
    assert rows[3].metrics == rows[1].metrics == rows["open"].metrics
