"""A network of keras.applications as ONNX files: by tf2onnx, and by Keras's own export.

Runs where TensorFlow, Keras 3 and tf2onnx are installed:

    KERAS_BACKEND=tensorflow python keras_onnx.py VARIANT SIZE DIRECTORY

Random weights, norms with statistics of noise. Writes DIRECTORY/VARIANT.tf2onnx.onnx and VARIANT.keras.onnx.
"""

import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
import tf2onnx

_OPSET = 15


def main() -> None:
    """Build, settle, write both."""
    variant, size, directory = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    keras.utils.set_random_seed(0)
    shape = (size, size, 3)
    model = getattr(keras.applications, variant)(weights=None, classes=10, input_shape=shape)
    settle(model, shape)
    function = tf.function(lambda x: model(x, training=False))
    signature = (tf.TensorSpec((None, *shape), tf.float32, name="x"),)
    path = directory / f"{variant}.tf2onnx.onnx"
    tf2onnx.convert.from_function(function, input_signature=signature, opset=_OPSET, output_path=str(path))
    model.export(directory / f"{variant}.keras.onnx", format="onnx", verbose=False)


def settle(model: keras.Model, shape: tuple[int, int, int]) -> None:
    """Norms' statistics from data, and offsets that leave most units in their linear part."""
    generator = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Rescaling):
            layer.scale, layer.offset = 1.0, 0.0
        elif isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
            layer.beta.assign(generator.uniform(0.5, 1.5, layer.beta.shape))
    model(generator.normal(size=(4, *shape)).astype(np.float32), training=True)


if __name__ == "__main__":
    main()
