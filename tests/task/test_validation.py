"""A share of the training split held out, reproducibly, and of every class where classes stand in order."""

import pytest
import torch

from edgesqueeze.data.splits import ArraySplit, DatasetSplit
from edgesqueeze.errors import TaskError
from edgesqueeze.task.loading import load_task
from edgesqueeze.task.task_config import TaskConfig
from edgesqueeze.task.validation import hold_out


class Numbers(torch.utils.data.Dataset):
    def __len__(self):
        return 100

    def __getitem__(self, index):
        return torch.full((1, 1, 1), float(index)), index


def all_of(split):
    return torch.cat([y for _, y in split.batches(7)]).tolist()


@pytest.mark.parametrize(
    "split", [ArraySplit(torch.zeros(100, 1, 1, 1), torch.arange(100)), DatasetSplit(Numbers())]
)
def test_parts_are_apart_in_order_and_mixed(split):
    rest, held = (all_of(part) for part in hold_out(split, 0.2))
    assert (len(held), len(rest)) == (20, 80)
    assert sorted(held + rest) == list(range(100))
    assert held == sorted(held)
    assert rest == sorted(rest)
    for start in range(0, 100, 25):  # four classes, one behind the other
        assert 2 <= sum(start <= place < start + 25 for place in held) <= 8
    assert all_of(hold_out(split, 0.2)[1]) == held


@pytest.mark.parametrize("share", [0.004, 0.996])
def test_no_image_or_all_is_refused(share):
    split = ArraySplit(torch.zeros(100, 1, 1, 1), torch.arange(100))
    with pytest.raises(
        TaskError, match=f"holds {share} of 100 training images out, which is (0|100); at least"
    ):
        hold_out(split, share)


def test_a_recipe_holds_out_by_task_validation():
    whole = load_task(TaskConfig(model="lenet300_100", data="mnist_sample"), 0)
    task = load_task(TaskConfig(model="lenet300_100", data="mnist_sample", validation=0.25), 0)
    assert whole.validation is None
    assert (len(task.train), len(task.validation), len(task.test)) == (3000, 1000, 1000)
    assert task.fingerprint == f"{whole.fingerprint} without 1000"
    first = next(task.calibration.batches(1))[0]
    assert torch.equal(first, next(task.train.batches(1))[0])
