"""LeNet-300-100 and LeNet-5, the two networks most compression papers report on MNIST.

LeNet-5 is the variant of the Caffe examples (20 and 50 filters, 500 hidden units), not that of LeCun et
al. 1998; Han et al. 2016 (arXiv 1510.00149) compress this one.
"""

import torch.nn.functional as F
from torch import Tensor, nn


class LeNet300100(nn.Module):
    """Two hidden layers of 300 and 100 units; 266,610 parameters for 28 × 28 grey images and 10 classes."""

    def __init__(self, num_classes: int = 10, in_channels: int = 1) -> None:
        super().__init__()
        self.fc1 = nn.Linear(in_channels * 28 * 28, 300)
        self.fc2 = nn.Linear(300, 100)
        self.fc3 = nn.Linear(100, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores [N, num_classes] of images [N, in_channels, 28, 28]."""
        x = F.relu(self.fc1(x.flatten(1)))
        return self.fc3(F.relu(self.fc2(x)))  # type: ignore[no-any-return]  # nn.Module.__call__ is untyped


class LeNet5(nn.Module):
    """Two 5 × 5 convolutions and two dense layers; 431,080 parameters for 28 × 28 grey images, 10 classes.

    Caffe's example has a ReLU after fc1 alone; here one follows each convolution too, which changes neither
    the parameters nor the multiply-accumulates.
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 20, 5)
        self.conv2 = nn.Conv2d(20, 50, 5)
        self.fc1 = nn.Linear(50 * 4 * 4, 500)
        self.fc2 = nn.Linear(500, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores [N, num_classes] of images [N, in_channels, 28, 28]."""
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc2(F.relu(self.fc1(x.flatten(1))))  # type: ignore[no-any-return]  # as above
