"""The activations that the built-in networks may have."""

from typing import Literal

from torch import nn

Activation = Literal["relu", "relu6"]


def activation_layer(activation: Activation) -> nn.Module:
    """A ReLU, or one that ends at 6 (Krizhevsky 2010), whose int8 range is known beforehand."""
    return nn.ReLU6(inplace=True) if activation == "relu6" else nn.ReLU(inplace=True)


def with_activation(model: nn.Module, activation: Activation) -> nn.Module:
    """The same network with another activation in the place of every ReLU; parameters keep their names."""
    if activation != "relu":
        for name in [name for name, module in model.named_modules() if type(module) is nn.ReLU]:
            model.set_submodule(name, activation_layer(activation))
    return model
