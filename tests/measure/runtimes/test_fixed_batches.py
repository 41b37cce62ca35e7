"""A file for a number of inputs is asked as often as needed, the last time with copies of the last input."""

import numpy as np
import pytest
from parity_networks import network, pictures

from edgesqueeze.errors import ExportError
from edgesqueeze.formats.onnx.writing.emit import emit_onnx
from edgesqueeze.formats.tflite.writing.emit import emit_tflite
from edgesqueeze.measure.runtimes.predictor import fixed_batch, in_batches
from edgesqueeze.measure.runtimes.runtime import load_model


@pytest.mark.parametrize(("name", "emit"), [("m.onnx", emit_onnx), ("m.tflite", emit_tflite)])
def test_a_file_for_four_answers_six(name, emit, tmp_path):
    (graph, spec), x = network("tiny"), pictures(6)
    for used in (None, spec):
        found = []
        for batch in (1, 4):
            (tmp_path / name).write_bytes(emit(graph, used, batch=batch))
            predictor = load_model(tmp_path / name)
            found.append(predictor.predict(x) if used is None else predictor.predict_integers(x))
            predictor.prepare(x[:1])()
        np.testing.assert_array_equal(*found)
    with pytest.raises(ExportError, match="is wanted"):
        predictor.predict(x[:, :, :20])


@pytest.mark.parametrize(("name", "emit"), [("m.onnx", emit_onnx), ("m.tflite", emit_tflite)])
def test_a_file_of_an_open_batch_is_given_as_many_as_there_are(name, emit, tmp_path):
    """And is still asked one by one for answers."""
    (graph, _), x = network("tiny"), pictures(3)
    (tmp_path / name).write_bytes(emit(graph, None, batch="open"))
    predictor = load_model(tmp_path / name)
    before = predictor.predict(x)
    predictor.prepare(x)()
    np.testing.assert_array_equal(predictor.predict(x), before)
    if name.endswith(".tflite"):
        (end,) = predictor._interpreter.get_output_details()
        predictor.prepare(x)()
        np.testing.assert_allclose(
            predictor._interpreter.get_tensor(end["index"]), before, rtol=1e-4, atol=1e-5
        )


def test_what_stands_behind_the_last_input_does_not_count():
    parts = list(in_batches((np.arange(5), {"also": np.arange(5) * 2}), 3))
    assert [count for _, count in parts] == [3, 2]
    (first, also) = parts[1][0]
    assert first.tolist() == [3, 4, 4]
    assert also["also"].tolist() == [6, 8, 8]


def test_a_batch_is_what_all_inputs_agree_on():
    assert fixed_batch([[4, 3, 8, 8], [4, 5]]) == 4
    assert fixed_batch([["N", 3, 8, 8]]) == fixed_batch([[4, 3], [1, 3]]) == fixed_batch([[7]]) == 1
    assert fixed_batch([np.array([6, 2])]) == 6
