"""Files that decode and suppress by operators of their own find what the numpy module finds."""

import numpy as np
import pytest
import torch
from two_levels import TwoLevels

from edgesqueeze.compression.quantizing.calibrate import calibrate_min_max
from edgesqueeze.errors import ExportError
from edgesqueeze.formats.detections import onnx_with_detections, tflite_with_detections
from edgesqueeze.formats.onnx.writing.emit import emit_onnx
from edgesqueeze.formats.tflite.writing.emit import emit_tflite
from edgesqueeze.measure.runtimes.runtime import load_model
from edgesqueeze.network.integers.spec import make_spec
from edgesqueeze.network.reading.torch.build import build_graph
from edgesqueeze.numerics.boxes import BoxDecoding

FORMATS = {"onnx": (emit_onnx, onnx_with_detections), "tflite": (emit_tflite, tflite_with_detections)}
DECODING = BoxDecoding((96, 64), (8, 16), score_threshold=0.3, iou_threshold=0.4, max_detections=40)


@pytest.fixture(scope="module", params=[6.0, 0.5], ids=["many", "few"])
def network(request):
    torch.manual_seed(0)
    x = torch.randn(12, 3, 96, 64)
    graph = build_graph(TwoLevels(request.param).eval(), x[:1])
    return graph, make_spec(graph, calibrate_min_max(graph, [x])), x.numpy()


def as_rows(boxes, scores, labels):
    """One row for every box, in an order that equal scores do not change."""
    rows = np.column_stack([-scores, labels, boxes]).astype(np.float64).round(2)
    return rows[np.lexsort(rows.T[::-1])]


@pytest.mark.parametrize("kind", ["fp32", "int8"])
@pytest.mark.parametrize("name", FORMATS)
def test_a_file_finds_the_boxes_that_numpy_finds(name, kind, network, tmp_path):
    graph, spec, x = network
    emit, suppress = FORMATS[name]
    data = emit(graph, spec if kind == "int8" else None)
    raw, whole = tmp_path / f"raw.{name}", tmp_path / f"whole.{name}"
    raw.write_bytes(data)
    whole.write_bytes(suppress(data, DECODING))
    expected, found = DECODING.decode(load_model(raw).predict_all(x)), load_model(whole).predict_all(x)
    assert list(found) == ["boxes", "scores", "labels", "count"]
    assert sum(len(image.labels) for image in expected) > 20
    for i, image in enumerate(expected):
        count = int(found["count"][i])
        assert count == len(image.labels)
        rows = as_rows(*(found[key][i, :count] for key in ("boxes", "scores", "labels")))
        np.testing.assert_allclose(rows, as_rows(image.boxes, image.scores, image.labels), atol=0.011)
        assert not found["scores"][i, count:].any()
        assert np.all(np.diff(found["scores"][i, :count]) <= 0)


@pytest.mark.parametrize("name", FORMATS)
def test_another_network_is_refused_with_what_it_returns(name, network):
    emit, suppress = FORMATS[name]
    data = emit(network[0], None)
    with pytest.raises(ExportError, match=r"boxes \[1, 30, 4\] .* this file has boxes \[1, 120, 4\], scores"):
        suppress(data, BoxDecoding((48, 32), (8, 16)))
