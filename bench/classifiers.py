"""torchvision's classifiers, with what the metadata of their weights print of them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torchvision import models

_LARGE = 1 << 20
_ARGUMENTS: dict[str, dict[str, Any]] = {
    # as their weights are loaded; GoogLeNet's lose the auxiliary heads, Inception's keep them
    "googlenet": {"aux_logits": False, "init_weights": False, "transform_input": True},
    "inception_v3": {"aux_logits": True, "init_weights": False, "transform_input": True},
    "vit_h_14": {"image_size": 518},
}


@dataclass(frozen=True)
class Classifier:
    """A network of 1000 classes, and what its weights' metadata print.

    ``gmacs`` is the entry ``_ops``: thousand millions of multiply-accumulates of one image of
    ``image_size`` × ``image_size``, with three digits behind the point.
    """

    name: str
    weights: str
    params: int
    gmacs: float
    image_size: int

    @property
    def image(self) -> torch.Tensor:
        """One that is black, float32 [1, 3, image_size, image_size]."""
        return torch.zeros(1, 3, self.image_size, self.image_size)

    def build(self) -> nn.Module:
        """The network in evaluation mode. Large weights are zeros that take no memory until written to."""
        with _LazyZeros():
            model: nn.Module = getattr(models, self.name)(weights=None, **_ARGUMENTS.get(self.name, {}))
        return model.eval()


class _LazyZeros(TorchDispatchMode):
    """Gives tensors of a million values out as zeros of the system, and starts none of them.

    Random values would cost minutes and gigabytes, and counts depend on shapes alone.
    """

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        del types
        if func is torch.ops.aten.empty.memory_format and np.prod(args[0]) >= _LARGE:
            return torch.from_numpy(np.zeros(args[0], np.float32))
        starts = func._schema.name.endswith("_") and args and isinstance(args[0], torch.Tensor)
        if starts and args[0].is_floating_point() and args[0].numel() >= _LARGE:
            return args[0]
        return func(*args, **(kwargs or {}))


def _classifiers() -> dict[str, Classifier]:
    found = {}
    for name in models.list_models(module=models):
        weights = next(iter(models.get_model_weights(name)))
        size = weights.transforms.keywords["crop_size"]
        meta = weights.meta
        found[name] = Classifier(name, str(weights), meta["num_params"], meta["_ops"], size)
    return found


CLASSIFIERS = _classifiers()
"""By name, each with the first of its weights."""
