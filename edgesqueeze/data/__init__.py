"""Where images come from: packaged digits, named data sets, files in the usual layouts, composed scenes.

Every source gives :class:`~edgesqueeze.data.task_data.TaskData`. Training splits come in a fixed order that
mixes the classes, so that their first N images are a fair sample (calibration uses them).
"""

from typing import Literal

DataName = Literal["mnist_sample", "fashion_mnist", "mnist", "cifar10", "cifar100"]
"""The data sets a recipe can call by name."""
ItemName = Literal["mnist_sample", "fashion_mnist", "mnist"]
"""Those whose images, gray on black, can be cut out for scenes."""
