"""Small real things that many tests share: real digits, a real network, a real run."""

import gc
import os
from collections import Counter
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

# Before anything is imported that counts the cores, and for the programs that tests start: networks here are
# small, and threads of two workers on two cores wait for each other longer than they compute.
os.environ["OMP_NUM_THREADS"] = "1"
# Recipes of tests name factories in tests/shared, as those of users name what their PYTHONPATH has.
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(Path(__file__).parent / "shared"), os.environ.get("PYTHONPATH", "")]
).rstrip(os.pathsep)

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from edgesqueeze.task.task import Task

# What the tests' files import stays: there is no garbage to look for until the first test.
gc.disable()
# torch is imported where it is used: the process that only gives files to workers does without.

# Of the examples' times nothing is asked: they say how busy the machine is.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")


def pytest_collection_modifyitems(items):
    """Files with many slow tests begin first, so that no worker is left alone with one while the others have finished."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


@pytest.fixture
def recorder():
    from training import Recorder

    return Recorder()


@pytest.fixture
def session(recorder):
    from edgesqueeze.task.training import Session

    return Session("test", 7, recorder)


@pytest.fixture(scope="session")
def lenet_task() -> "Task":
    """LeNet-5 on a small part of the packaged digits."""
    from edgesqueeze.task.loading import load_task
    from edgesqueeze.task.task_config import TaskConfig

    task = load_task(TaskConfig(model="lenet5", data="mnist_sample", calibration_images=32), seed=0)
    return replace(task, train=task.train.first(600), test=task.test.first(200))


@pytest.fixture(scope="session")
def tiny_task() -> "Task":
    """The network with batch norm of ``tiny.py`` on the same digits."""
    from tiny import build_task

    return build_task()


@pytest.fixture(autouse=True, scope="session")
def _no_search_for_garbage_in_what_stays():
    """torch alone is a million objects; each collection would look through them all once more.

    What tests import later stays too: the search through everything that lives long is five times as rare.
    """
    gc.freeze()
    often, sometimes, rarely = gc.get_threshold()
    gc.set_threshold(often, sometimes, 5 * rarely)
    gc.enable()


@pytest.fixture(autouse=True, scope="session")
def _operations_of_torch_are_listed_once():
    """Each torch.export looks through all operations of torch for those it may keep, a fifth of its time.

    They are the same at each export: tests register none.
    """
    from torch.export import decomp_utils, exported_program

    with pytest.MonkeyPatch.context() as patch:
        for module in (exported_program, decomp_utils):
            patch.setattr(module, "_collect_all_valid_cia_ops", cache(module._collect_all_valid_cia_ops))
        yield


@pytest.fixture(autouse=True, scope="session")
def _few_times_are_taken():
    """A run of tests times its files like any other, but for a moment: nothing is asked of how long they take."""
    from edgesqueeze.measure.runtimes.latency import LatencySettings
    from edgesqueeze.run import rows

    with pytest.MonkeyPatch.context() as patch:
        quick = partial(LatencySettings, samples=5, warmup_s=0.01, min_sample_s=0.0)
        patch.setattr(rows, "LatencySettings", quick)
        yield


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """The networks are small: one thread is faster than two that wait for each other.

    For the whole session, since how sums are split over threads decides their last bits, and fixtures that
    live longer than a test must compute as the tests do.
    """
    import torch

    torch.set_num_threads(1)
