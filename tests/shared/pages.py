"""The code blocks of README and of the documents, and a folder in which a reader has photographs and a model."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
import torchvision
from PIL import Image
from sklearn.datasets import load_sample_image
from typer.testing import CliRunner

from edgesqueeze.cli.main import app

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(
    r"^(<!-- newcomer: (?P<marker>\w+) -->\n)?```(?P<language>\w+)\n(?P<code>.*?)^```$", re.M | re.S
)
NAMED = re.compile(r"# (\S+\.(?:yaml|py))\n")
"""A block that begins with the name of a file is that file."""
NOT_RUN = {"text", "bash", "hexdump"}
"""What commands print, commands for another machine or that install something, and bytes."""
_FEW = ("task.data={named: mnist_sample, train_images: 400}", "task.calibration_images=32")
SHORTER = {
    "deep_compression": [
        *_FEW,
        "stages.train.epochs=2",
        "stages.prune.epochs=1",
        "stages.share.epochs=1",
        "references=[]",
    ],
    "my_recipe.yaml": ["stages.ptq.gptq=false"],
    "baseline.yaml": _FEW,
    "int8.yaml": _FEW,
    "int8_trained.yaml": _FEW,
    "squeezed.yaml": _FEW,
    "keras.yaml": _FEW,
}
"""What a recipe is told in a test, before the settings of the page, so that it takes seconds."""


def blocks(page):
    """Marker, language and code of a page's blocks."""
    return [match.groupdict() for match in BLOCK.finditer((ROOT / page).read_text())]


def table(page, first):
    """The rows of the table whose first column has this heading, each a dictionary by the headings."""
    lines = (ROOT / page).read_text().splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith(f"| {first} |"))
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[start:]]
    end = next((place for place, row in enumerate(cells) if len(row) == 1), len(cells))
    return [dict(zip(cells[0], row, strict=True)) for row in cells[2:end]]


def run_page(page, folder):
    """Run what a page says, in order, in a folder that is the working directory; how many blocks that was."""
    runnable = [b for b in blocks(page) if not b["marker"] and b["language"] not in NOT_RUN]
    for block in runnable:
        if named := NAMED.match(block["code"]):
            (folder / named[1]).write_text(block["code"])
        elif block["language"] == "python":
            exec(compile(block["code"], str(page), "exec"), {"__name__": "__main__"})
        else:
            assert block["language"] == "console", block
            for line in block["code"].splitlines():
                _run_line(line, folder)
    return len(runnable)


def _run_line(line, folder):
    command, *words = shlex.split(line.removeprefix("$ "))
    if command == "edgesqueeze":
        recipe = words[words.index("--recipe") + 1] if "--recipe" in words else ""
        shorter = [part for setting in SHORTER.get(recipe, []) for part in ("--set", setting)]
        done = CliRunner().invoke(app, [words[0], *shorter, *words[1:]])
        assert done.exit_code == 0, f"{line}\n{done.output}\n{done.exception}"
        return
    if command == "gcc" and shutil.which("gcc") is None:
        return
    if command == "./unsqueeze" and not (folder / command).exists():  # gcc was not there
        return
    program = sys.executable if command == "python" else command
    done = subprocess.run([program, *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{line}\n{done.stderr}"


def make_reader(folder):
    """Real photographs, crops of two pictures in three classes, and a SqueezeNet that knows nothing."""
    rng = np.random.default_rng(0)
    pictures = {"temple": load_sample_image("china.jpg"), "flower": load_sample_image("flower.jpg")}
    pictures["negative"] = 255 - pictures["flower"]
    for split, count in (("train", 12), ("test", 6)):
        for name, picture in pictures.items():
            (folder / "photos" / split / name).mkdir(parents=True)
            for index in range(count):
                top, left = rng.integers(0, 300), rng.integers(0, 500)
                crop = Image.fromarray(picture[top : top + 120, left : left + 120])
                crop.save(folder / "photos" / split / name / f"{index}.jpg")
    torch.manual_seed(0)
    torch.save(torchvision.models.squeezenet1_1(num_classes=3).state_dict(), folder / "best.pt")
