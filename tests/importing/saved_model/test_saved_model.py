"""SavedModel folders, written by TensorFlow itself in a process of its own."""

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from edgesqueeze.errors import TaskError
from edgesqueeze.importing.load import load_network, network_files
from edgesqueeze.importing.names import is_model_file
from edgesqueeze.importing.saved_model.convert import RefusedError, example_of, layer_of

# Not by importing them: Keras would run on TensorFlow in this process from then on.
pytestmark = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("tensorflow", "tf2onnx")), reason="needs TensorFlow and tf2onnx"
)
SHAPE = (1, 16, 16)
WRITE = """
import os, sys
os.environ["KERAS_BACKEND"] = "tensorflow"
import keras, numpy as np, tensorflow as tf
from keras import layers
keras.utils.set_random_seed(0)
x = inputs = keras.Input((16, 16, 1))
x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name="stem")(layers.Rescaling(1 / 255)(x))
x = layers.ReLU(6.0)(layers.BatchNormalization(name="norm")(x))
x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
x = layers.Conv2D(6, 1, activation="relu", name="pointwise")(x)
x = layers.GlobalAveragePooling2D()(layers.MaxPooling2D(2)(x))
model = keras.Model(inputs, layers.Dense(4, activation="softmax", name="classes")(x))
pixels = np.random.default_rng(0).uniform(0, 255, (3, 16, 16, 1)).astype("float32")
model.export(sys.argv[1] + "/net")
np.savez(sys.argv[1] + "/answers.npz", pixels=pixels, answers=model(pixels).numpy())


class Reads(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec((None, 16, 16, 1), tf.float32)])
    def __call__(self, x):
        return x + tf.cast(tf.strings.length(tf.io.read_file("/etc/hostname")), tf.float32)


reads = Reads()
tf.saved_model.save(reads, sys.argv[1] + "/reads", signatures={"serving_default": reads.__call__})
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found = tmp_path_factory.mktemp("saved")
    subprocess.run([sys.executable, "-c", WRITE, str(found)], check=True, capture_output=True)
    return found


@pytest.mark.slow
def test_it_answers_as_tensorflow_does_under_the_names_of_its_layers(folder, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")  # as those set it who run Keras on torch
    assert is_model_file(str(folder / "net"))
    network = load_network(folder / "net", SHAPE)
    stored = np.load(folder / "answers.npz")
    with torch.no_grad():
        found = network(torch.from_numpy(stored["pixels"]).movedim(-1, 1)).numpy()
    np.testing.assert_allclose(found, stored["answers"], atol=1e-5)
    layers = {name.rpartition(".")[0] for name, _ in network.named_parameters()}
    assert {"stem", "depthwise", "pointwise", "classes"} <= layers
    assert folder / "net" / "saved_model.pb" in network_files(folder / "net")


@pytest.mark.slow
def test_what_reaches_out_is_refused(folder):
    with pytest.raises(TaskError, match="holds the operation 'ReadFile', which reaches out of the model"):
        load_network(folder / "reads", SHAPE)


def test_another_size_is_refused():
    assert example_of("x", (None, None, 8, 3), (3, 6, 8)).shape == (1, 6, 8, 3)
    with pytest.raises(RefusedError, match=r"does not fit images \[8, 8, 1\]; set image_size of the data"):
        example_of("x", (None, 16, 16, 1), (1, 8, 8))


@pytest.mark.slow
def test_a_damaged_folder_is_one_sentence(folder, tmp_path):
    shutil.copytree(folder / "net", tmp_path / "net")
    (tmp_path / "net" / "saved_model.pb").write_bytes(b"\xff" * 100)
    with pytest.raises(TaskError, match="cannot be converted: ") as caught:
        load_network(tmp_path / "net", SHAPE)
    assert len(str(caught.value).splitlines()) == 1


def test_a_link_out_of_the_folder_is_refused(tmp_path):
    (tmp_path / "net" / "variables").mkdir(parents=True)
    (tmp_path / "net" / "saved_model.pb").write_bytes(b"")
    (tmp_path / "elsewhere").write_text(json.dumps({}))
    (tmp_path / "net" / "variables" / "variables.index").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(TaskError, match="is a link out of the SavedModel's folder"):
        load_network(tmp_path / "net", SHAPE)


LAYERS = {"stem", "block/conv", "conv", "conv2d_1", "conv2d"}


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("StatefulPartitionedCall/net_1/stem_1/convolution/merged_input:0", "stem"),
        ("StatefulPartitionedCall/net/block/conv/Conv2D", "block/conv"),
        ("net/conv2d_1/Conv2D/ReadVariableOp:0", "conv2d_1"),
        ("net_1/conv2d_2/Conv2D", "conv2d"),
        ("const_fold_opt__28", ""),
    ],
)
def test_the_layer_of_an_operation(name, layer):
    assert layer_of(name, LAYERS) == layer
