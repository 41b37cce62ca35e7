"""Small real things that many tests share: real digits, a real network, a real run."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from edgesqueeze.task.task import Task, load_task
from edgesqueeze.task.task_config import TaskConfig
from edgesqueeze.task.training import Session

HERE = Path(__file__).parent
sys.path.append(str(HERE))  # tests name their own factories as "tiny:build_task"


class Recorder:
    """A progress that remembers what it was told."""

    def __init__(self):
        self.epochs, self.messages, self.labels, self.steps = [], [], [], 0

    def begin(self, label, epochs, steps):
        self.labels.append(label)

    def step(self, loss):
        self.steps += 1

    def epoch(self, number, loss, metric):
        self.epochs.append((number, loss, metric))

    def end(self):
        pass

    def message(self, text):
        self.messages.append(text)


@pytest.fixture
def recorder():
    return Recorder()


@pytest.fixture
def session(recorder):
    return Session("test", 7, recorder)


@pytest.fixture(scope="session")
def lenet_task() -> Task:
    """LeNet-5 on a small part of the packaged digits."""
    task = load_task(TaskConfig(model="lenet5", data="mnist_sample", calibration_images=32), seed=0)
    return replace(task, train=task.train.first(600), test=task.test.first(200))


@pytest.fixture(scope="session")
def tiny_task() -> Task:
    """The network with batch norm of ``tiny.py`` on the same digits."""
    from tiny import build_task

    return build_task()


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """The networks are small: one thread is faster than two that wait for each other.

    For the whole session, since how sums are split over threads decides their last bits, and fixtures that
    live longer than a test must compute as the tests do.
    """
    torch.set_num_threads(1)


def weights_of(model: nn.Module) -> dict[str, torch.Tensor]:
    return {
        name: m.weight.detach() for name, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)
    }
