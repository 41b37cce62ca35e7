"""One classifier counted: by torch, by its graph, by torch's own counter."""

import time
from dataclasses import asdict, dataclass
from typing import Any

from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from bench.classifiers import Classifier
from edgesqueeze.errors import EdgeSqueezeError
from edgesqueeze.network.graph.counts import count_graph
from edgesqueeze.network.reading.torch.build import build_graph


@dataclass(frozen=True)
class ClassifierCounts:
    """What was counted, beside what is published.

    ``params`` are those of the module, ``file_params`` those of its graph, in which batch norm is folded
    and every layer has a bias; ``explained_params`` is what that should make of ``params`` (None with
    heads that evaluation leaves out). ``macs`` are the graph's, ``flop_counter_macs`` half of what
    ``torch.utils.flop_counter`` says. What the graph has is None where it cannot be read, for the ``reason``.
    """

    name: str
    weights: str
    image_size: int
    published_params: int
    published_gmacs: float
    params: int
    file_params: int | None
    explained_params: int | None
    macs: int | None
    flop_counter_macs: int
    reason: str | None
    seconds: float

    @property
    def params_agree(self) -> bool:
        """To the last digit."""
        return self.params == self.published_params

    @property
    def gmacs_agree(self) -> bool | None:
        """To the three digits that are printed; None where nothing was counted."""
        return None if self.macs is None else round(self.macs / 1e9, 3) == self.published_gmacs

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "params_agree": self.params_agree, "gmacs_agree": self.gmacs_agree}


def count_classifier(classifier: Classifier) -> ClassifierCounts:
    """Count a classifier for one image of its published size."""
    began = time.monotonic()
    model = classifier.build()
    file_params = macs = reason = None
    try:
        counts = count_graph(build_graph(model, classifier.image))
        file_params, macs = counts.params, counts.macs
    except EdgeSqueezeError as error:
        reason = str(error)
    return ClassifierCounts(
        name=classifier.name,
        weights=classifier.weights,
        image_size=classifier.image_size,
        published_params=classifier.params,
        published_gmacs=classifier.gmacs,
        params=sum(parameter.numel() for parameter in model.parameters()),
        file_params=file_params,
        explained_params=_folded_params(model),
        macs=macs,
        flop_counter_macs=_flop_counter_macs(model, classifier),
        reason=reason,
        seconds=round(time.monotonic() - began, 1),
    )


def _folded_params(model: nn.Module) -> int | None:
    """Of a network whose every norm lies behind a layer without a bias: folded, it gives it one.

    None of others: attention has parameters of its own, a norm without a convolution before it stays, and
    auxiliary heads are not read.
    """
    layers = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    owned = sum(p.numel() for layer in [*layers, *norms] for p in layer.parameters(recurse=False))
    bare = sum(layer.bias is None for layer in layers)
    if len(norms) != bare or owned != sum(p.numel() for p in model.parameters()):
        return None
    return sum(layer.weight.numel() + layer.weight.shape[0] for layer in layers)


def _flop_counter_macs(model: nn.Module, classifier: Classifier) -> int:
    """On shapes alone; with gradients, without which torch fuses attention, and the counter overlooks it."""
    counter = FlopCounterMode(display=False)
    with counter:
        model.to("meta")(classifier.image.to("meta"))
    return int(counter.get_total_flops()) // 2
