"""TensorFlow's own converter on a Keras model: float, and full int8 with integers or floats at both ends.

Runs where TensorFlow is installed, in a process of its own, since Keras has one backend per process:

    KERAS_BACKEND=tensorflow python tensorflow_convert.py MODEL.keras CALIBRATION.npy INPUTS.npy DIRECTORY

Calibration images and inputs are float32 [N, H, W, C]. Writes DIRECTORY/VARIANT.tflite for every variant,
DIRECTORY/variants.json, and DIRECTORY/answers.npy: what Keras itself answers to the inputs.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from variants import write_variants

INT8 = "optimizations=[DEFAULT], representative_dataset, supported_ops=[TFLITE_BUILTINS_INT8]"
SETTINGS = {
    "float": "TFLiteConverter.from_keras_model, nothing set",
    "int8": f"{INT8}, inference_input_type and inference_output_type int8",
    "int8_float_io": INT8,
}


def main() -> None:
    """Answer as Keras does, then convert in every way."""
    source, calibration, inputs, directory = (Path(argument) for argument in sys.argv[1:5])
    images = np.load(calibration)
    model = keras.saving.load_model(source, compile=False)
    np.save(directory / "answers.npy", model.predict(np.load(inputs), batch_size=64, verbose=0))

    def one_by_one() -> Iterator[list[np.ndarray]]:
        return ([images[i : i + 1]] for i in range(len(images)))

    def convert(label: str, path: Path) -> None:
        converter: Any = tf.lite.TFLiteConverter.from_keras_model(model)
        if label != "float":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = one_by_one
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        if label == "int8":
            converter.inference_input_type = converter.inference_output_type = tf.int8
        path.write_bytes(converter.convert())

    tool = f"tensorflow {tf.__version__} TFLiteConverter"
    write_variants(tool, SETTINGS, convert, directory, ".tflite")


if __name__ == "__main__":
    main()
