"""What tests of training share: a progress that remembers what it was told, and the weights of a model."""

import torch
from torch import nn


class Recorder:
    """A progress that remembers what it was told."""

    def __init__(self):
        self.epochs, self.messages, self.courses, self.steps = [], [], [], 0

    def begin(self, course):
        self.courses.append(course)

    def step(self, loss):
        self.steps += 1

    def epoch(self, number, loss, metric):
        self.epochs.append((number, loss, metric))

    def end(self):
        pass

    def message(self, text):
        self.messages.append(text)


def weights_of(model: nn.Module) -> dict[str, torch.Tensor]:
    return {
        name: m.weight.detach() for name, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)
    }
