"""What a file of a run answers, drawn beside what is right: boxes, masks, or pictures given back.

    python -m bench.task_pictures --run RUN --file model_int8.tflite --output docs/pictures/detector.png

Two rows of the first test images: what is right (of a reconstruction the image), and below it what the file
finds in its runtime.
"""

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

from PIL import Image

from edgesqueeze.measure.runtimes.runtime import load_model
from edgesqueeze.page.drawing import answers_of, images_of, truth_of
from edgesqueeze.run.rundir import open_run
from edgesqueeze.task.loading import load_task

_GAP = 4


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
    images = images_of(task, x)
    rows = [truth_of(task, images, targets), answers_of(task, images, outputs)]
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    sheet(rows).quantize(256).save(arguments.output, optimize=True)


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
