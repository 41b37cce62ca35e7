"""Where images come from: packaged digits, IDX files, folders of images.

Every source gives :class:`~edgesqueeze.data.splits.ClassificationData`. Training splits come in a fixed
order that mixes the classes, so that their first N images are a fair sample (calibration uses them).
"""

from typing import Literal

DataName = Literal["mnist_sample", "fashion_mnist", "mnist"]
"""The data sets a recipe can call by name."""
