"""Networks of several inputs and outputs, and with layers that are used more than once."""

from collections import namedtuple

import torch
from torch import nn

Found = namedtuple("Found", ["boxes", "scores"])


def block(inputs, outputs, stride=1):
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


class TwoHeads(nn.Module):
    """A detector's two heads: a dictionary of boxes and scores, which have very different ranges."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(block(3, 8, 2), block(8, 8))
        self.boxes, self.scores = nn.Conv2d(8, 4, 1), nn.Conv2d(8, 3, 1)

    def forward(self, x):
        y = self.body(x)
        return {"boxes": 40 * self.boxes(y), "scores": torch.sigmoid(self.scores(y))}


class NamedHeads(TwoHeads):
    """The same as a named tuple."""

    def forward(self, x):
        return Found(**super().forward(x))


class Pyramid(nn.Module):
    """One head over three levels, and the class scores of the last: a list within a tuple, four outputs.

    The first level is an output and read further on.
    """

    def __init__(self):
        super().__init__()
        self.one, self.two, self.three = block(3, 8), block(8, 8, 2), block(8, 8, 2)
        self.head = nn.Sequential(block(8, 8), nn.Conv2d(8, 5, 1))
        self.classify = nn.Linear(8, 6)

    def forward(self, x):
        first = self.one(x)
        second = self.two(first)
        third = self.three(second)
        levels = [self.head(level) for level in (first, second, third)]
        return levels, self.classify(third.mean((2, 3))), first


class Siamese(nn.Module):
    """Two inputs through one tower, and a vector beside them."""

    def __init__(self):
        super().__init__()
        self.tower = nn.Sequential(block(3, 8, 2), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU())
        self.facts, self.head = nn.Linear(5, 8), nn.Linear(24, 4)

    def forward(self, left, right, facts):
        seen = [self.tower(x).mean((2, 3)) for x in (left, right)]
        return self.head(torch.cat([*seen, torch.relu(self.facts(facts))], 1))


class Tied(nn.Module):
    """Two layers with one weight, a dense layer called twice, and a transposed convolution called twice."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
        self.b.weight, self.b.bias = self.a.weight, self.a.bias
        self.up = nn.ConvTranspose2d(3, 3, 2, 2)
        self.dense = nn.Linear(3, 3)

    def forward(self, x):
        y = torch.relu(self.b(torch.relu(self.a(x))))
        y = self.up(torch.relu(self.up(y))).mean((2, 3))
        return self.dense(torch.relu(self.dense(y)))


class NormedApart(nn.Module):
    """One convolution over two levels with a batch norm for each, as in EfficientDet: two sets of weights."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.norms = nn.ModuleList([nn.BatchNorm2d(4), nn.BatchNorm2d(4)])

    def forward(self, x):
        pooled = nn.functional.max_pool2d(x, 2)
        return tuple(norm(self.conv(y)) for norm, y in zip(self.norms, (x, pooled), strict=True))


class Signals(nn.Module):
    """Three channels of a signal [N, C, L]: a class, and what the signal was before the noise."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv1d(3, 8, 5, 2, 2, bias=False), nn.BatchNorm1d(8), nn.ReLU(), nn.MaxPool1d(2)),
            *(nn.Conv1d(8, 8, 3, padding=1, groups=2), nn.BatchNorm1d(8), nn.ReLU()),
        )
        self.again = nn.Conv1d(8, 8, 1)
        self.head, self.up = nn.Linear(8, 5), nn.ConvTranspose1d(8, 3, 4, 4)

    def forward(self, x):
        y = torch.relu(self.again(torch.relu(self.again(self.body(x)))))
        return self.head(nn.functional.adaptive_avg_pool1d(y, 1).flatten(1)), self.up(y)


NETWORKS = {
    kind.__name__: kind for kind in (TwoHeads, NamedHeads, Pyramid, Siamese, Tied, NormedApart, Signals)
}


def inputs_of(name, count=6, seed=0):
    """What a network takes: one tensor, or a tuple."""
    rng = torch.Generator().manual_seed(seed)
    picture = torch.randn(count, 3, 12, 16, generator=rng)
    if name == "Signals":
        return torch.randn(count, 3, 48, generator=rng)
    if name != "Siamese":
        return picture
    return picture, torch.randn(count, 3, 12, 16, generator=rng), torch.randn(count, 5, generator=rng)


def model_of(name):
    """A network with random weights and the batch norm statistics of random pictures."""
    torch.manual_seed(1)
    model = NETWORKS[name]().train()
    x = inputs_of(name, 16, seed=2)
    for _ in range(20):
        model(*x) if isinstance(x, tuple) else model(x)
    return model.eval()
