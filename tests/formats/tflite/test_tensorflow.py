"""TensorFlow, which had no part in writing them, reads our TFLite files and computes the same."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from edgesqueeze.compression.quantizing.calibrate import calibrate_min_max
from edgesqueeze.formats.tflite.writing.emit import emit_tflite
from edgesqueeze.measure.runtimes.litert import load_tflite
from edgesqueeze.network.integers.spec import make_spec
from edgesqueeze.network.reading.torch.build import build_graph

# In a process of its own: TensorFlow and torch.export do not survive each other in one.
READER = """
import sys
import numpy as np
import tensorflow as tf
folder = sys.argv[1]
x = np.load(folder + "/x.npy")
for name in sys.argv[2:]:
    interpreter = tf.lite.Interpreter(model_path=f"{folder}/{name}.tflite")
    interpreter.allocate_tensors()
    source, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    outputs = []
    for image in x.transpose(0, 2, 3, 1)[:, None]:
        scale, zero_point = source["quantization"]
        if source["dtype"] == np.int8:
            image = np.clip(np.rint(image / np.float32(scale)) + zero_point, -128, 127).astype(np.int8)
        interpreter.set_tensor(source["index"], image)
        interpreter.invoke()
        y = interpreter.get_tensor(result["index"])
        if result["dtype"] == np.int8:
            scale, zero_point = result["quantization"]
            y = (y.astype(np.float32) - zero_point) * np.float32(scale)
        outputs.append(y)
    np.save(f"{folder}/{name}.npy", np.concatenate(outputs))
"""


@pytest.mark.slow
def test_tensorflow_computes_what_litert_computes(lenet_task, tiny_task, tmp_path):
    x = next(lenet_task.test.batches(20))[0]
    np.save(tmp_path / "x.npy", x.numpy())
    names = []
    for name, task in (("lenet", lenet_task), ("tiny", tiny_task)):
        graph = build_graph(task.build_model(), x[:1])
        spec = make_spec(graph, calibrate_min_max(graph, [x]))
        for suffix, chosen in (("", None), ("_int8", spec)):
            (tmp_path / f"{name}{suffix}.tflite").write_bytes(emit_tflite(graph, chosen))
            names.append(f"{name}{suffix}")
    command = [sys.executable, "-X", "faulthandler", "-c", READER, str(tmp_path), *names]
    found = subprocess.run(command, check=False, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    for name in names:
        theirs = np.load(tmp_path / f"{name}.npy")
        ours = load_tflite(tmp_path / f"{name}.tflite").predict(x.numpy())
        if name.endswith("int8"):
            assert np.array_equal(theirs, ours)
        else:
            assert np.abs(theirs - ours).max() < 1e-5
        assert not torch.equal(torch.from_numpy(ours[0]), torch.from_numpy(ours[1]))
