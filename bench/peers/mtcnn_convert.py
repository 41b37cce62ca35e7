"""TensorFlow's converter, full int8 with floats at both ends, and what Keras answers in float.

Runs where TensorFlow and Keras 3 are installed:

    KERAS_BACKEND=tensorflow python mtcnn_convert.py MODEL.keras CALIBRATION.npy TESTED.npy DIRECTORY

Images are float32 [N, H, W, C]. Writes DIRECTORY/int8.tflite, and the float outputs in DIRECTORY/float.npz.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf


def main() -> None:
    """Answer in float, convert, write."""
    model = keras.models.load_model(sys.argv[1], compile=False)
    calibration, tested = np.load(sys.argv[2]), np.load(sys.argv[3])
    directory = Path(sys.argv[4])
    answers = [np.asarray(y) for y in model(tested, training=False)]
    np.savez(directory / "float.npz", *answers)

    def images() -> Iterator[list[np.ndarray]]:
        for i in range(len(calibration)):
            yield [calibration[i : i + 1]]

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = images
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    (directory / "int8.tflite").write_bytes(converter.convert())


if __name__ == "__main__":
    main()
