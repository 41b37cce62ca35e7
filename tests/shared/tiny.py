"""A task as users write one: their own module, their own data, found by "tiny:build_task"."""

from dataclasses import replace

import torch
from torch import nn

from edgesqueeze.task.loading import load_task
from edgesqueeze.task.task import Task
from edgesqueeze.task.task_config import TaskConfig


class LogGamma(nn.Module):
    def forward(self, x):
        return torch.lgamma(x)


class OddNet(nn.Module):
    """A network with an operation that the graph does not have."""

    def __init__(self, num_classes: int):
        super().__init__()
        self.conv, self.act = nn.Conv2d(3, 4, 3, stride=4), LogGamma()
        self.fc = nn.Linear(4, num_classes)

    def forward(self, x):
        return self.fc(self.act(self.conv(x)).mean((2, 3)))


class TinyNet(nn.Module):
    """Convolutions with batch norm, a residual sum, a concatenation, a depthwise layer: 2,000 parameters."""

    def __init__(self, num_classes: int = 10):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, 8, 3, stride=2, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True)
        )
        self.same = nn.Conv2d(8, 8, 3, padding=1)
        self.depthwise = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.BatchNorm2d(8), nn.ReLU6())
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.head = nn.Sequential(nn.Dropout(0.1), nn.Linear(16, num_classes))

    def forward(self, x):
        x = self.pool(self.stem(x))
        x = torch.relu(self.same(x) + x)
        x = torch.cat([x, self.depthwise(x)], 1)
        return self.head(x.mean((2, 3)))


def build_task() -> Task:
    base = load_task(TaskConfig(model="tiny:TinyNet", data="mnist_sample", calibration_images=32), seed=0)
    return replace(base, name="tiny", train=base.train.first(256), test=base.test.first(100))
