"""Places of largest values: near ties may fall either way, nothing else may."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from edgesqueeze.errors import ParityError
from edgesqueeze.formats.onnx.writing.emit import emit_onnx
from edgesqueeze.formats.tflite.writing.emit import emit_tflite
from edgesqueeze.measure.proof.parity import check_parity
from edgesqueeze.measure.proof.places import compared_by, scores_at
from edgesqueeze.network.floats.run import graph_weights, run_graph
from edgesqueeze.network.reading.torch.build import build_graph


class Labels(nn.Module):
    """The class of every pixel, columns first; two of the classes have the same weights if ``tied``."""

    def __init__(self, tied=False):
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3, padding=1)
        if tied:
            with torch.no_grad():
                self.conv.weight[3] = self.conv.weight[1]
                self.conv.bias[3] = self.conv.bias[1]

    def forward(self, x):
        return self.conv(x).argmax(1).transpose(1, 2)


@pytest.fixture
def network():
    torch.manual_seed(0)
    x = torch.randn(4, 3, 6, 8)
    return build_graph(Labels().eval(), x[:1]), x


def test_places_are_judged_by_the_scores_that_stand_there(network):
    graph, x = network
    assert compared_by(graph, "output").name == "conv"
    conv = dataclasses.replace(graph, nodes=graph.nodes[:2], outputs=(), returns=None)
    scores = run_graph(conv, x, graph_weights(graph)).numpy()
    places = run_graph(graph, x, graph_weights(graph)).numpy()
    found, best = scores_at(graph, "output", places, scores)
    np.testing.assert_array_equal(found, best)
    np.testing.assert_array_equal(best, scores.max(1).transpose(0, 2, 1))
    places[2, 7, 1] = scores[2, :, 1, 7].argmin()
    places[3, 0, 0] = 5
    found, best = scores_at(graph, "output", places, scores)
    wrong = {tuple(int(n) for n in place) for place in np.argwhere(found != best)}
    assert wrong == {(2, 7, 1), (3, 0, 0)}
    assert found[2, 7, 1] == scores[2, :, 1, 7].min()
    assert found[3, 0, 0] == -np.inf


@pytest.mark.parametrize("emit", [emit_onnx, emit_tflite])
def test_a_file_may_name_either_of_two_equal_classes_but_no_other(emit, network, tmp_path):
    _, x = network
    torch.manual_seed(0)
    tied = build_graph(Labels(tied=True).eval(), x[:1])
    weight, bias = (tied.tensors[f"conv.{name}"].copy() for name in ("weight", "bias"))
    bias[1] -= 1e-6 * np.abs(bias).max()  # the other of the two is now the largest
    nudged = dataclasses.replace(tied, tensors={"conv.weight": weight, "conv.bias": bias})
    path = tmp_path / f"model.{'onnx' if emit is emit_onnx else 'tflite'}"
    path.write_bytes(emit(nudged, None))
    answers = [run_graph(one, x, graph_weights(one)) for one in (tied, nudged)]
    assert int((answers[0] != answers[1]).sum()) > 10
    check_parity(tied, None, [path], x.numpy()).require()
    bias[2] += 0.05
    path.write_bytes(
        emit(dataclasses.replace(tied, tensors={"conv.weight": weight, "conv.bias": bias}), None)
    )
    with pytest.raises(ParityError, match="does not compute what its torch computes"):
        check_parity(tied, None, [path], x.numpy()).require()
