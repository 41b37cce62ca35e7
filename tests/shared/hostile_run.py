"""A finished run with names that are made to break out of a page."""

from dataclasses import replace

import torch
from tiny import build_task
from torch import nn

from edgesqueeze.pipeline import compress
from edgesqueeze.run.recipe import parse_recipe
from edgesqueeze.run.rundir import new_run

HOSTILE = (
    "</script><img src=x onerror=PWN=1>",
    "<!--<script>",
    "\" onmouseover='PWN=1' &lt;&amp;",
    "{{ 7 * 7 }}{% raw %}",
    "\u202egpj",
)
RECIPE = {
    "version": 1,
    "name": "hostile",
    "task": "tiny:build_task",
    "stages": [
        {"stage": "train", "epochs": 2},
        {"stage": "prune", "sparsity": 0.5},
        {"stage": "share", "num_bits": 3},
        {"stage": "ptq", "method": "min_max"},
    ],
    "exports": [{"export": "squeezed"}, {"export": "onnx", "precision": ["fp32", "int8"]}],
    "references": [],
}


class HostileNet(nn.Module):
    """Two branches that meet, in layers with those of the names above that torch.export takes."""

    def __init__(self):
        super().__init__()
        self.add_module(HOSTILE[0], nn.Conv2d(1, 4, 3, stride=4))
        self.add_module(HOSTILE[1], nn.Conv2d(4, 4, 1))
        self.add_module(HOSTILE[3], nn.Linear(4, 10))

    def forward(self, x):
        first, second, last = self.children()
        x = torch.relu(first(x))
        return last((x + second(x)).mean((2, 3)))


def make_run(directory):
    """Compress the network above into a directory."""
    classes = (*HOSTILE, *map(str, range(len(HOSTILE), 10)))
    task = replace(build_task(), build_model=HostileNet, classes=classes)
    recipe = parse_recipe(RECIPE, "recipe.yaml")
    torch.manual_seed(0)
    compress(recipe, task, new_run(recipe, directory))
