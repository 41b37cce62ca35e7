"""NNCF's post-training quantization of an ONNX file.

Runs in the environment of requirements-int8.txt:

    python nncf_quantize.py MODEL.onnx CALIBRATION.npy DIRECTORY [VARIANT ...]

The calibration images are float32 [N, C, H, W]. Writes DIRECTORY/VARIANT.onnx for every variant, all of
them if none is named, and DIRECTORY/variants.json.
"""

import sys
from importlib.metadata import version
from pathlib import Path

import nncf
import numpy as np
import onnx
from variants import write_variants

SETTINGS = {
    "nncf_default": "defaults",  # as NNCF's examples for ONNX call it
    "nncf_mixed": "mixed preset",  # activations may be asymmetric
    "nncf_accurate": "mixed preset, accurate bias correction",  # slower; its documentation's second step
}


def main() -> None:
    """Quantize the model in every wanted way."""
    model_path, calibration, directory = (Path(argument) for argument in sys.argv[1:4])
    images = np.load(calibration)
    model = onnx.load(model_path)
    name = model.graph.input[0].name

    def quantize(label: str, path: Path) -> None:
        dataset = nncf.Dataset([images[i : i + 1] for i in range(len(images))], lambda x: {name: x})
        quantized = nncf.quantize(
            model,
            dataset,
            preset=None if label == "nncf_default" else nncf.QuantizationPreset.MIXED,
            subset_size=len(images),
            fast_bias_correction=label != "nncf_accurate",
        )
        onnx.save(quantized, path)

    tool = f"nncf {version('nncf')} quantize"
    write_variants(tool, {label: SETTINGS[label] for label in sys.argv[4:] or SETTINGS}, quantize, directory)


if __name__ == "__main__":
    main()
