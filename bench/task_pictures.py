"""What a file of a run answers, drawn beside what is right: boxes, masks, or pictures given back.

    python -m bench.task_pictures --run RUN --file model_int8.tflite --output docs/pictures/detector.png

Two rows of the first test images: what is right (of a reconstruction the image), and below it what the file
finds in its runtime.
"""

import colorsys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from edgesqueeze.measure.runtimes.runtime import load_model
from edgesqueeze.run.rundir import open_run
from edgesqueeze.task.loading import load_task
from edgesqueeze.task.task import Task

Picture = NDArray[np.uint8]
_ZOOM, _GAP, _SURE = 2, 4, 0.4


def main() -> None:
    """Run the file over a few test images and draw."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="a finished run")
    parser.add_argument("--file", default="model_int8.tflite", help="one of its artifacts")
    parser.add_argument("--output", type=Path, required=True, help="a .png file")
    parser.add_argument("--images", type=int, default=8)
    arguments = parser.parse_args()
    run, recipe = open_run(arguments.run)
    task = load_task(recipe.task, recipe.seed)
    x, targets = next(iter(task.test.batches(arguments.images)))
    outputs = load_model(run.artifacts / arguments.file).predict_all(x.numpy())
    images = pixels(x)
    rows = {"detection": boxes, "segmentation": masks, "reconstruction": given_back}[task.kind](
        task, images, targets, outputs
    )
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    sheet(rows).quantize(256).save(arguments.output, optimize=True)


def pixels(x: torch.Tensor) -> list[Picture]:
    """Images [N, C, H, W] as RGB of 0 to 255, each spread over the whole range."""
    low, high = x.amin((1, 2, 3), keepdim=True), x.amax((1, 2, 3), keepdim=True)
    levels = ((x - low) / (high - low) * 255).round().to(torch.uint8).numpy()
    return [np.repeat(image, 3 // len(image), axis=0).transpose(1, 2, 0) for image in levels]


def boxes(task: Task, images: list[Picture], targets: Any, outputs: Any) -> list[list[Image.Image]]:
    """True boxes, and those that are found with some certainty."""
    assert task.decoding is not None
    wanted = [
        [(b, int(c), "") for b, c in zip(rows, labels, strict=True) if c >= 0]
        for rows, labels in zip(targets["boxes"].numpy(), targets["labels"].numpy(), strict=True)
    ]
    found = [
        [
            (b, int(c), f" {s:.2f}")
            for b, c, s in zip(one.boxes, one.labels, one.scores, strict=True)
            if s >= _SURE
        ]
        for one in task.decoding.decode(outputs)
    ]
    return [
        [_with_boxes(image, some, task.classes) for image, some in zip(images, drawn, strict=True)]
        for drawn in (wanted, found)
    ]


def _with_boxes(image: Picture, drawn: list[Any], classes: tuple[str, ...]) -> Image.Image:
    picture = _large(image)
    pen = ImageDraw.Draw(picture)
    for box, label, score in drawn:
        color = _color(label, len(classes))
        left, top, right, bottom = (float(side) * _ZOOM for side in box)
        pen.rectangle((left, top, right, bottom), outline=color, width=2)
        pen.text((left + 3, top + 1), f"{classes[label]}{score}", fill=color)
    return picture


def masks(task: Task, images: list[Picture], targets: Any, outputs: Any) -> list[list[Image.Image]]:
    """True classes of the pixels and those that are found, over the image; class 0 is left clear."""
    found = next(iter(outputs.values())).argmax(1)
    return [
        [_with_mask(image, mask, len(task.classes)) for image, mask in zip(images, drawn, strict=True)]
        for drawn in (targets.numpy(), found)
    ]


def _with_mask(image: Picture, mask: NDArray[Any], count: int) -> Image.Image:
    colors = np.array([_color(label, count) for label in range(count)], np.float32)
    covered = (mask > 0) & (mask < count)
    tinted = 0.35 * image + 0.65 * colors[np.where(covered, mask, 0)]
    return _large(np.where(covered[..., None], tinted, image).astype(np.uint8))


def given_back(task: Task, images: list[Picture], targets: Any, outputs: Any) -> list[list[Image.Image]]:
    """The images and what became of them."""
    del task, images
    answers = torch.from_numpy(next(iter(outputs.values())))
    return [[_large(_levels(image)) for image in some.numpy().clip(0, 1)] for some in (targets, answers)]


def _levels(image: NDArray[Any]) -> Picture:
    levels = np.rint(image * 255).astype(np.uint8)
    return np.repeat(levels, 3 // len(levels), axis=0).transpose(1, 2, 0)


def _large(image: Picture) -> Image.Image:
    height, width = image.shape[:2]
    return Image.fromarray(image).resize((width * _ZOOM, height * _ZOOM), Image.Resampling.NEAREST)


def _color(label: int, count: int) -> tuple[int, ...]:
    return tuple(round(255 * part) for part in colorsys.hsv_to_rgb(label / count, 0.85, 1.0))


def sheet(rows: list[list[Image.Image]]) -> Image.Image:
    """Pictures of one size in rows, on white."""
    width, height = rows[0][0].size
    size = (len(rows[0]) * (width + _GAP) + _GAP, len(rows) * (height + _GAP) + _GAP)
    whole = Image.new("RGB", size, "white")
    for down, row in enumerate(rows):
        for across, picture in enumerate(row):
            whole.paste(picture, (_GAP + across * (width + _GAP), _GAP + down * (height + _GAP)))
    return whole


if __name__ == "__main__":
    main()
