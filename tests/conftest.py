"""Small real things that many tests share: real digits, a real network, a real run."""

from dataclasses import replace

import pytest
import torch
from tiny import build_task
from training import Recorder

from edgesqueeze.task.task import Task, load_task
from edgesqueeze.task.task_config import TaskConfig
from edgesqueeze.task.training import Session


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
    return build_task()


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """The networks are small: one thread is faster than two that wait for each other.

    For the whole session, since how sums are split over threads decides their last bits, and fixtures that
    live longer than a test must compute as the tests do.
    """
    torch.set_num_threads(1)
