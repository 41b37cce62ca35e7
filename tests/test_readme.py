"""The README's code runs: its YAML, its Python, and its commands, in order, in one folder."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from sklearn.datasets import load_sample_image

README = Path(__file__).parent.parent / "README.md"
BLOCK = re.compile(
    r"^(<!-- newcomer: (?P<marker>\w+) -->\n)?```(?P<language>\w+)\n(?P<code>.*?)^```$", re.M | re.S
)


def blocks():
    return [match.groupdict() for match in BLOCK.finditer(README.read_text())]


def write_photos(folder):
    """Real photographs: crops of two pictures, in three classes."""
    rng = np.random.default_rng(0)
    pictures = {"temple": load_sample_image("china.jpg"), "flower": load_sample_image("flower.jpg")}
    pictures["negative"] = 255 - pictures["flower"]
    for split, count in (("train", 12), ("test", 6)):
        for name, picture in pictures.items():
            (folder / split / name).mkdir(parents=True)
            for index in range(count):
                top, left = rng.integers(0, 300), rng.integers(0, 500)
                crop = Image.fromarray(picture[top : top + 120, left : left + 120])
                crop.save(folder / split / name / f"{index}.jpg")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reader")
    write_photos(folder / "photos")
    torch.manual_seed(0)
    torch.save(torchvision.models.squeezenet1_1(num_classes=3).state_dict(), folder / "best.pt")
    return folder


def run(command, folder):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stderr}"
    return done.stdout


def test_the_two_newcomer_commands_are_there():
    marked = {block["marker"]: block["code"] for block in blocks() if block["marker"]}
    assert set(marked) == {"run", "test"}
    assert "compress --recipe deep_compression" in marked["run"]
    assert "./check" in marked["test"]


@pytest.mark.slow
def test_every_block_runs(folder):
    executed = 0
    for block in blocks():
        if block["marker"]:
            continue
        code = block["code"]
        if named := re.match(r"# (\S+\.(yaml|py))\n", code):
            (folder / named[1]).write_text(code)
        elif block["language"] == "python":
            run([sys.executable, "-c", code], folder)
        else:
            assert block["language"] == "console", block
            for line in code.splitlines():
                words = shlex.split(line.removeprefix("$ "))
                assert words[0] == "edgesqueeze"
                run([sys.executable, "-m", "edgesqueeze.cli", *words[1:]], folder)
        executed += 1
    assert executed >= 5
    for name in ("model.onnx", "model_int8.onnx", "model.tflite", "model_int8.tflite"):
        assert (folder / "decoded" / name).read_bytes() == (folder / "out" / "artifacts" / name).read_bytes()
