"""Splits in memory and from data sets: order, types, reproducibility, refusals."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import Dataset, TensorDataset

from edgesqueeze.data.preparation import Sizing
from edgesqueeze.data.splits import ArraySplit, DatasetSplit, DataSplit, Split, fixed_order
from edgesqueeze.errors import TaskError
from edgesqueeze.normalization import Normalization


def numbered(count):
    """Images and targets that both say which row they are."""
    x = torch.arange(count, dtype=torch.float32).view(-1, 1, 1, 1).expand(-1, 2, 3, 4).contiguous()
    return x, torch.arange(count)


def split_of(kind, count):
    x, y = numbered(count)
    return ArraySplit(x, y) if kind == "array" else DatasetSplit(TensorDataset(x, y))


def rows(split, batch_size, seed=None):
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    batches = list(split.batches(batch_size, generator))
    for x, y in batches:
        assert x.dtype == torch.float32
        assert x.shape == (len(y), 2, 3, 4)
        assert torch.equal(x[:, 1, 2, 3].long(), y)
    return [len(y) for _, y in batches], [int(i) for _, y in batches for i in y]


@pytest.mark.parametrize("kind", ["array", "dataset"])
@given(count=st.integers(1, 40), batch_size=st.integers(1, 50), seed=st.integers(0, 2**63))
@settings(max_examples=40)
def test_every_row_once_in_order_or_shuffled(kind, count, batch_size, seed):
    split = split_of(kind, count)
    assert isinstance(split, Split)
    assert len(split) == count
    full, last = divmod(count, batch_size)
    expected_sizes = [batch_size] * full + [last] * (last > 0)
    assert rows(split, batch_size) == (expected_sizes, list(range(count)))
    sizes, order = rows(split, batch_size, seed)
    assert sizes == expected_sizes
    assert sorted(order) == list(range(count))
    assert rows(split, batch_size, seed)[1] == order


@pytest.mark.parametrize("kind", ["array", "dataset"])
def test_shuffles_differ_between_seeds_and_epochs(kind):
    split = split_of(kind, 100)
    assert rows(split, 10, 1)[1] != rows(split, 10, 2)[1]
    generator = torch.Generator().manual_seed(0)
    epochs = [[int(i) for _, y in split.batches(10, generator) for i in y] for _ in range(2)]
    assert epochs[0] != epochs[1] != list(range(100))


@pytest.mark.parametrize("kind", ["array", "dataset"])
@pytest.mark.parametrize("seed", [None, 5])
def test_global_random_state_is_neither_used_nor_changed(kind, seed):
    split = split_of(kind, 30)
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = rows(split, 7, seed)
    assert torch.equal(before, torch.random.get_rng_state())
    torch.manual_seed(2)
    assert rows(split, 7, seed) == first


@pytest.mark.parametrize("kind", ["array", "dataset"])
@pytest.mark.parametrize("count", [0, 3, 8, 99])
def test_first(kind, count):
    part = split_of(kind, 8).first(count)
    assert len(part) == min(count, 8)
    assert [int(i) for _, y in part.batches(3) for i in y] == list(range(min(count, 8)))


@pytest.mark.parametrize("kind", ["array", "dataset"])
def test_part(kind):
    split = split_of(kind, 8)
    assert isinstance(split, DataSplit)
    assert [int(i) for _, y in split.part(2, 7).part(1, 9).batches(3) for i in y] == [3, 4, 5, 6]


def test_targets_may_be_a_tree():
    x, y = numbered(5)
    split = ArraySplit(x, {"label": y, "mask": y.to(torch.uint8).view(-1, 1, 1).expand(-1, 3, 4)})
    batches = list(split.first(4).batches(3, torch.Generator().manual_seed(0)))
    assert [len(targets["label"]) for _, targets in batches] == [3, 1]
    for images, targets in batches:
        assert torch.equal(images[:, 0, 0, 0].long(), targets["label"])
        assert targets["mask"].dtype == torch.int64
        assert torch.equal(targets["mask"][:, 2, 3], targets["label"])
    with pytest.raises(TaskError, match=r"5 images but the targets are int64 \[4\]"):
        ArraySplit(x, (y, y[:4]))


def test_uint8_images_are_scaled_and_normalized_per_channel():
    x = torch.randint(0, 256, (5, 3, 2, 2), dtype=torch.uint8)
    split = ArraySplit(x, torch.zeros(5), Normalization((0.1, 0.2, 0.3), (0.5, 1.0, 2.0)))
    ((images, _),) = split.batches(5)
    for channel, (mean, std) in enumerate([(0.1, 0.5), (0.2, 1.0), (0.3, 2.0)]):
        expected = (x[:, channel].double() / 255 - mean) / std
        assert torch.allclose(images[:, channel].double(), expected, atol=1e-6)
    ((plain, _),) = ArraySplit(x, torch.zeros(5)).batches(5)
    assert torch.equal(plain, x.float() / 255)


def test_targets_need_not_be_labels():
    pictures = torch.rand(4, 1, 3, 3)
    ((x, y),) = ArraySplit(pictures, pictures).batches(4)
    assert torch.equal(x, y)


def test_signals_are_normalized_by_channel():
    x = torch.arange(12.0).reshape(2, 2, 3)
    split = ArraySplit(x, torch.zeros(2), Normalization((1.0, 2.0), (2.0, 4.0)))
    ((found, _),) = split.batches(2)
    assert torch.equal(found, (x - torch.tensor([[1.0], [2.0]])) / torch.tensor([[2.0], [4.0]]))
    with pytest.raises(TaskError, match=r"signals of shape \[2, 3\] have no height and width"):
        split.prepared(replace(split.preparation, sizing=Sizing((4, 4))))


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (torch.zeros(3, 4), torch.zeros(3), "the images are float32 [3, 4]"),
        (torch.zeros(3, 1, 4, 4, dtype=torch.float64), torch.zeros(3), "the images are float64"),
        (torch.zeros(3, 1, 4, 4), torch.zeros(2), "3 images but the targets are float32 [2]"),
        (torch.zeros(3, 1, 4, 4), torch.tensor(1), "3 images but the targets are int64 []"),
    ],
)
def test_arrays_that_do_not_fit(x, y, words):
    with pytest.raises(TaskError) as caught:
        ArraySplit(x, y)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("mean", "std", "words"),
    [
        ((0.5,), (1.0,), "mean has 1 and std 1 values, but the images have 3 channels"),
        ((0.5, 0.5, 0.5), (1.0,), "mean has 3 and std 1 values"),
        ((0.5, 0.5, 0.5), (1.0, 0.0, 1.0), "std must be above 0"),
    ],
)
def test_normalization_that_does_not_fit(mean, std, words):
    with pytest.raises(TaskError, match=words):
        ArraySplit(torch.zeros(2, 3, 1, 1), torch.zeros(2), Normalization(mean, std))


@pytest.mark.parametrize("kind", ["array", "dataset"])
@pytest.mark.parametrize("batch_size", [0, -1])
def test_batch_size_below_one(kind, batch_size):
    with pytest.raises(TaskError, match=f"batch size must be at least 1, found {batch_size}"):
        split_of(kind, 3).batches(batch_size)


class Endless(Dataset):
    def __getitem__(self, index):
        return torch.zeros(1, 1, 1), 0


def test_dataset_without_length():
    with pytest.raises(TaskError, match="Endless has no length"):
        DatasetSplit(Endless())


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ((torch.zeros(2, 1, 2, 2),), "not a pair of image and target"),
        ((torch.zeros(2, 1, 2, 2), torch.zeros(2), torch.zeros(2)), "not a pair of image and target"),
        ((torch.zeros(2, 1, 2, 2, dtype=torch.uint8), torch.zeros(2)), "uint8 [2, 1, 2, 2]; float32"),
        (
            (torch.zeros(2, 1, 2, 4, 4), torch.zeros(2)),
            "float32 [2, 1, 2, 4, 4]; float32 [n, C, H, W], [n, C, L] or [n, features] is",
        ),
    ],
)
def test_datasets_with_other_items(tensors, words):
    with pytest.raises(TaskError) as caught:
        list(DatasetSplit(TensorDataset(*tensors)).batches(2))
    assert words in str(caught.value)


@given(count=st.integers(0, 300), seed=st.integers(0, 2**32))
def test_fixed_order_is_a_permutation(count, seed):
    assert sorted(fixed_order(count, seed)) == list(range(count))


def test_fixed_order_never_changes():
    assert fixed_order(8, 1).tolist() == GOLDEN_ORDER


GOLDEN_ORDER = [2, 4, 7, 5, 0, 6, 3, 1]


def test_colour_images_are_not_repeated():
    with pytest.raises(TaskError, match="only grayscale images can be repeated, these have 2 channels"):
        ArraySplit(*numbered(3), sizing=Sizing(channels=3))
