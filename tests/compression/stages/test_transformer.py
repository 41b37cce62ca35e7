"""A network of attention, whose products stay in float, through the stages and out to files."""

from pathlib import Path

import pytest
import torch
from torch import nn

from edgesqueeze.pipeline import compress
from edgesqueeze.run.recipe import parse_recipe
from edgesqueeze.run.rundir import new_run
from edgesqueeze.task import ArraySplit, Task, top1_accuracy


class TinyTransformer(nn.Module):
    """Patches of 4 × 4 as tokens, a class token, one encoder layer (Dosovitskiy et al. 2021)."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(1, 16, 4, stride=4)
        self.token = nn.Parameter(torch.zeros(1, 1, 16))
        self.places = nn.Parameter(torch.randn(1, 17, 16))
        self.encoder = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
        self.head = nn.Linear(16, 2)

    def forward(self, x):
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(x), -1, -1), tokens], 1) + self.places
        return self.head(self.encoder(tokens)[:, 0])


def bright_half():
    """Images whose left or right half is brighter: what a class token must find out by attention."""
    x = torch.rand(240, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    y = torch.arange(240) % 2
    x[y == 0, :, :, :8] += 0.7
    x[y == 1, :, :, 8:] += 0.7
    return Task(
        name="bright half",
        build_model=TinyTransformer,
        train=ArraySplit(x[:160], y[:160]),
        calibration=ArraySplit(x[:32], y[:32]),
        test=ArraySplit(x[160:], y[160:]),
        example_input=x[:1],
        loss=nn.functional.cross_entropy,
        metrics={"accuracy": top1_accuracy},
        fingerprint="seed 0",
    )


QUANTIZED = {
    "ptq": {"stage": "ptq", "method": "min_max"},
    "qat": {"stage": "qat", "epochs": 2, "learning_rate": 0.0005, "optimizer": "adam"},
}


@pytest.mark.slow
@pytest.mark.parametrize("stage", QUANTIZED)
def test_a_transformer_keeps_its_accuracy_in_int8_files_of_both_formats(stage, tmp_path: Path):
    train = {"stage": "train", "epochs": 15, "learning_rate": 0.003, "optimizer": "adam", "batch_size": 16}
    exports = [{"export": name, "precision": ["fp32", "int8"]} for name in ("onnx", "tflite")]
    recipe = parse_recipe(
        {
            "version": 1,
            "name": "transformer",
            "task": "bright:half",
            "seed": 0,
            "stages": [train, {"stage": "prune", "sparsity": 0.3}, QUANTIZED[stage]],
            "exports": [*exports, {"export": "squeezed"}],
            "references": [],
        },
        "test",
    )
    torch.manual_seed(0)
    report = compress(recipe, bright_half(), new_run(recipe, tmp_path / "run"))
    by_label = {row.label: row.metrics["accuracy"] for row in report.rows}
    assert by_label["model.onnx"] == by_label["model.tflite"] >= 0.9
    assert min(by_label["model_int8.onnx"], by_label["model_int8.tflite"]) >= by_label["model.onnx"] - 0.03
    assert by_label["model.sqz"] == by_label["model.onnx"]
