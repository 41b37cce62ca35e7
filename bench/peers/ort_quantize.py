"""ONNX Runtime's own post-training quantization, with the settings its documentation names for x86-64.

Runs in the environment of requirements-int8.txt:

    python ort_quantize.py MODEL.onnx CALIBRATION.npy DIRECTORY [VARIANT ...]

The calibration images are float32 [N, C, H, W]. Writes DIRECTORY/VARIANT.onnx for every variant, all of
them if none is named, and DIRECTORY/variants.json.
"""

import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from variants import write_variants

METHODS = {
    "ort_min_max": CalibrationMethod.MinMax,
    "ort_entropy": CalibrationMethod.Entropy,
    "ort_percentile": CalibrationMethod.Percentile,
}
SETTINGS = {label: f"QDQ, QUInt8, per channel, {method.name}" for label, method in METHODS.items()}


class Images(CalibrationDataReader):
    """The calibration images, one at a time."""

    def __init__(self, name: str, images: np.ndarray) -> None:
        self._feeds = iter([{name: images[i : i + 1]} for i in range(len(images))])

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next feed, None behind the last."""
        return next(self._feeds, None)


def main() -> None:
    """Prepare the model once, then quantize it in every wanted way."""
    model, calibration, directory = (Path(argument) for argument in sys.argv[1:4])
    images = np.load(calibration)
    prepared = directory / "prepared.onnx"
    quant_pre_process(model, prepared)
    name = onnx.load(prepared).graph.input[0].name

    def quantize(label: str, path: Path) -> None:
        quantize_static(
            prepared,
            path,
            Images(name, images),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=METHODS[label],
        )

    tool = f"onnxruntime {version('onnxruntime')} quantize_static"
    write_variants(tool, {label: SETTINGS[label] for label in sys.argv[4:] or SETTINGS}, quantize, directory)


if __name__ == "__main__":
    main()
