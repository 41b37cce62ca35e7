"""From an image file to what a network is given, and from what it answers to lines for a reader."""

from pathlib import Path
from typing import Any, Dict, List

import numpy as np
from edge import BundleError


def read_image(path: Path, manifest: Dict[str, Any]) -> Any:
    """An image file or an .npy array as the network is given it: float32 [1, C, H, W].

    An array is what the network is given if it is float32 [C, H, W], and pixels if it is uint8 [H, W, C].
    """
    channels, height, width = manifest["input"]["shape"]
    if path.suffix == ".npy":
        pixels = np.load(path, allow_pickle=False)
        if pixels.dtype == np.float32:
            return _checked(pixels, (channels, height, width), path)[None]
        pixels = _checked(pixels, (height, width, channels), path)
    else:
        pixels = _pixels(path, channels, (width, height))
    if manifest["input"]["mean"] is None:
        raise BundleError("how pixels become inputs is not known of this network; give a float32 .npy array")
    mean, std = (np.asarray(manifest["input"][name], np.float32) for name in ("mean", "std"))
    x = (pixels.astype(np.float32) / np.float32(255) - mean) / std
    return np.ascontiguousarray(x.transpose(2, 0, 1)[None])


def _checked(x: Any, shape: Any, path: Path) -> Any:
    if x.shape != tuple(shape) or x.dtype not in (np.float32, np.uint8):
        raise BundleError(f"{path} holds {x.dtype} {list(x.shape)}; {list(shape)} is wanted")
    return x


def _pixels(path: Path, channels: int, size: Any) -> Any:
    try:
        from PIL import Image
    except ImportError:
        raise BundleError("images are read by Pillow: pip install pillow, or give an .npy array") from None
    try:
        with Image.open(path) as image:
            if image.width * image.height > 100_000_000:
                raise BundleError(
                    f"{path} has {image.width} × {image.height} pixels; 100 million are allowed"
                )
            plain = image.convert("L" if channels == 1 else "RGB").resize(size, Image.Resampling.BILINEAR)
            return np.asarray(plain, np.uint8).reshape(size[1], size[0], channels)
    except (OSError, ValueError) as error:
        raise BundleError(f"{path} cannot be read as an image: {error}") from None


def describe(answers: Dict[str, Any], manifest: Dict[str, Any], most: int = 5) -> List[str]:
    """What a network says, in lines."""
    labels, kind = manifest["labels"], manifest["task"]
    name = lambda index: labels[index] if index < len(labels) else str(index)  # noqa: E731
    if kind == "detection":
        from boxes import BoxDecoding

        (found,) = BoxDecoding(**manifest["decoding"]).decode(answers)
        rows = zip(found.labels.tolist(), found.scores.tolist(), found.boxes.round().astype(int).tolist())
        return [f"{name(label)}  {100 * score:.1f} %  {box}" for label, score, box in list(rows)[:most]] or [
            "nothing found"
        ]
    (value,) = answers.values()
    if kind == "classification":
        best = np.argsort(-value[0], kind="stable")[:most]
        return [f"{name(index)}  {value[0][index]:.4f}" for index in best.tolist()]
    if kind == "segmentation":
        shares = np.bincount(value[0].argmax(0).reshape(-1), minlength=len(value[0])) / value[0][0].size
        return [
            f"{name(i)}  {100 * shares[i]:.1f} % of the image" for i in np.argsort(-shares)[:most].tolist()
        ]
    return [
        f"{list(value.shape)}: least {value.min():.4f}, mean {value.mean():.4f}, largest {value.max():.4f}"
    ]
