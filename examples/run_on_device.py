"""Run a TFLite or ONNX file with numpy and one runtime: ai-edge-litert, or onnxruntime.

python run_on_device.py MODEL IMAGES.npz

IMAGES.npz holds ``images``, float32 [N, C, H, W] as the network was trained with, and ``labels`` [N]. Prints
the share that is answered right, and the milliseconds an image takes.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

Run = Callable[[np.ndarray], np.ndarray]


def load(path: Path) -> Run:
    """A function from one image [C, H, W] to the scores of its classes."""
    return load_tflite(path) if path.suffix == ".tflite" else load_onnx(path)


def load_onnx(path: Path) -> Run:
    """float32 in and out; an int8 file quantizes inside."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda image: session.run(None, {name: image[None]})[0][0]


def load_tflite(path: Path) -> Run:
    """Channels last; an int8 file takes and gives int8, on the grids that it names."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

    def run(image: np.ndarray) -> np.ndarray:
        x = image.transpose(1, 2, 0)[None]
        if source["dtype"] == np.int8:
            scale, zero_point = source["quantization"]
            x = np.clip(np.rint(x / scale) + zero_point, -128, 127).astype(np.int8)
        interpreter.set_tensor(source["index"], x)
        interpreter.invoke()
        return interpreter.get_tensor(target["index"])[0]  # int8 scores have the order of the real ones

    return run


def main(model: Path, images: Path) -> None:
    """Answer every image once."""
    run = load(model)
    data = np.load(images)
    run(data["images"][0])  # the first run is slower
    start = time.perf_counter()
    right = [
        run(image).argmax() == label for image, label in zip(data["images"], data["labels"], strict=True)
    ]
    spent = 1000 * (time.perf_counter() - start) / len(right)
    sys.stdout.write(f"{model.name}: {100 * np.mean(right):.1f} % right, {spent:.3f} ms an image\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
