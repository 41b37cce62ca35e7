"""A Keras model as a torch module: Keras walks through it, torch's layers compute."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgesqueeze.errors import TaskError
from edgesqueeze.importing.agreement import distance, random_like
from edgesqueeze.importing.keras.counterparts import Call, counterpart
from edgesqueeze.importing.modules import put
from edgesqueeze.trees import Tree, leaves, map_tree


class KerasNetwork(nn.Module):
    """A Keras model on the torch backend whose layers with weights are torch's, under the names it gave them.

    Inputs and maps among the outputs are in torch's order, [N, C, *spatial]. The weights are copies: the
    model given is only walked through, its own variables are not read again.

    With ``takes_bgr`` the model wants blue, green and red, and is given images in the usual order.

    Args:
        model: a built ``keras.Model``, its backend torch.

    Raises:
        TaskError: a layer with weights has no torch layer that computes what it does.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self._keras = (model,)  # in a tuple: no part of this module's parameters
        self._calls: dict[str, Call] = {}
        self._frozen: list[str] = []
        self.takes_bgr = False
        for name, layer in layers_of(model):
            made = counterpart(layer)
            if made is None:
                if _has_weights(layer):
                    raise TaskError(_unknown(name, layer))
                continue
            put(self, name, made.module)
            if not layer.trainable:
                made.module.requires_grad_(requires_grad=False)
                self._frozen.append(name)
            self._calls[name] = made.call

    @property
    def gives_probabilities(self) -> bool:
        """Whether the last layer is a softmax, so that a loss must not apply another."""
        last = self._keras[0].layers[-1] if self._keras[0].layers else None
        function = getattr(last, "activation", None)
        return type(last).__name__ == "Softmax" or getattr(function, "__name__", "") == "softmax"

    def train(self, mode: bool = True) -> "KerasNetwork":
        """Training mode, but for frozen layers: their norms keep the statistics they have, as in Keras."""
        super().train(mode)
        for name in self._frozen:
            self.get_submodule(name).eval()
        return self

    def forward(self, *inputs: Tree) -> Tree:
        """Outputs as the model returns them; of several inputs each is an argument."""
        given = [map_tree(self._in_keras_order, x) for x in inputs]
        with self._torch_layers():
            found = self._keras[0](given[0] if len(given) == 1 else given, training=self.training)
        return map_tree(_channels_first, found)

    def check_agreement(self, example: Tree) -> None:
        """Compare answers to seeded random inputs with those of Keras's own layers.

        Only before any weight has changed: Keras's are those that came with the model.

        Args:
            example: inputs as :meth:`forward` takes them, one or a tuple, [1, ...]: their shapes count.

        Raises:
            TaskError: they differ.
        """
        given = [random_like(part) for part in leaves(example)]
        turned = [self._in_keras_order(x) for x in given]
        with torch.no_grad():
            own = self._keras[0](turned[0] if len(turned) == 1 else turned, training=False)
        wanted = [part.numpy() for part in leaves(map_tree(_channels_first, own))]
        training = self.training
        self.eval()
        apart = distance(lambda x: [part.numpy() for part in leaves(self(*x))], given, wanted)
        self.train(training)
        if apart:
            raise TaskError(
                f"the network that was read answers otherwise than Keras, by {apart:.2g} of the largest "
                "value; please report the model"
            )

    def _in_keras_order(self, x: Tensor) -> Tensor:
        x = x.flip(1) if self.takes_bgr else x
        return x.movedim(1, -1) if x.ndim > 2 else x

    @contextmanager
    def _torch_layers(self) -> Iterator[None]:
        """Let Keras call this module's layers in place of its own."""
        replaced = []
        try:
            for name, layer in layers_of(self._keras[0]):
                call = self._call_of(name, layer)
                if call is not None:
                    layer.__dict__["call"] = call
                    replaced.append(layer)
            yield
        finally:
            for layer in replaced:
                del layer.__dict__["call"]

    def _call_of(self, name: str, layer: Any) -> Any:
        if name in self._calls:
            call, module = self._calls[name], self.get_submodule(name)
            return lambda inputs, training=None, mask=None: call(module, inputs)  # noqa: ARG005 (Keras's own)
        if type(layer).__name__ == "ReLU":
            return lambda inputs: _relu(layer, inputs)
        drop = _DROPOUTS.get(type(layer).__name__)
        if drop is not None and getattr(layer, "noise_shape", None) is None:
            # torch draws, so that a training that is resumed draws the same
            return lambda inputs, training=None: drop(inputs, layer.rate, bool(training))
        return None

    def __deepcopy__(self, memo: dict[int, Any]) -> "KerasNetwork":
        """A copy with weights of its own; both walk through one Keras model."""
        memo[id(self._keras)] = self._keras
        memo[id(self._calls)] = self._calls
        copy = type(self).__new__(type(self))
        memo[id(self)] = copy
        copy.__dict__.update(deepcopy(self.__dict__, memo))
        return copy


def layers_of(model: Any) -> Iterator[tuple[str, Any]]:
    """Every layer inside a model that has no layers itself, with the names on the way to it, by dots.

    A layer that is reached twice has its first name.
    """
    seen: set[int] = set()

    def walk(layer: Any, name: str) -> Iterator[tuple[str, Any]]:
        if id(layer) in seen:
            return
        seen.add(id(layer))
        inside = list(layer._flatten_layers(include_self=False, recursive=False))
        if not inside or layer._trainable_variables or layer._non_trainable_variables:
            yield name, layer
        for part in inside:
            yield from walk(part, f"{name}.{_plain(part.name)}")

    for part in model._flatten_layers(include_self=False, recursive=False):
        yield from walk(part, _plain(part.name))


def _plain(name: str) -> str:
    """A name that torch lets a module have."""
    return name.replace(".", "_").replace("/", "_")


def _has_weights(layer: Any) -> bool:
    """Whether there is anything in a layer that training changes, or that it has learned."""
    if type(layer).__name__ == "Normalization":  # statistics of the data: constants in what it computes
        return False
    own = [*layer._trainable_variables, *layer._non_trainable_variables]
    return any(variable.dtype.startswith("float") for variable in own)


def _unknown(name: str, layer: Any) -> str:
    return (
        f"the Keras layer {name!r} is a {type(layer).__name__}, for whose weights there is no torch layer "
        "here; use convolutions, Dense, normalizations or PReLU in its place"
    )


def _relu(layer: Any, x: Tensor) -> Tensor:
    """min(x, max_value) from ``threshold`` on, ``negative_slope`` · (x - threshold) below."""
    slope, threshold = float(layer.negative_slope), float(layer.threshold)
    if threshold:
        above = (x >= threshold).to(x.dtype)
        x = x * above + slope * (x - threshold) * (1 - above)
    elif slope:
        x = F.leaky_relu(x, slope)
    elif layer.max_value == 6:
        return F.relu6(x)
    else:
        x = F.relu(x)
    return x if layer.max_value is None else x.clamp_max(float(layer.max_value))


def _dropout(x: Tensor, rate: float, training: bool) -> Tensor:
    return F.dropout(x, rate, training)


def _channel_dropout(x: Tensor, rate: float, training: bool) -> Tensor:
    return F.dropout1d(x.flatten(1, -2).movedim(-1, 1), rate, training).movedim(1, -1).reshape(x.shape)


_DROPOUTS = {"Dropout": _dropout, "SpatialDropout1D": _channel_dropout, "SpatialDropout2D": _channel_dropout}


def _channels_first(x: Tensor) -> Tensor:
    return x.movedim(-1, 1) if x.ndim > 3 else x
