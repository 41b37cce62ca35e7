"""Batch norm folded into the convolution before it, on the torch module itself.

Weight sharing needs it: a factor per channel behind a codebook would break the codebook. Masks survive,
since a factor keeps zeros at zero. (Jacob et al. 2018, arXiv 1712.05877, section 3.2.)
"""

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from edgesqueeze.errors import UnsupportedLayerError
from edgesqueeze.task.training import call
from edgesqueeze.trees import Tree, leaves

FoldedPair = tuple[str, str]
"""Names of a convolution and of the batch norm that was folded into it."""
_RECORD = "edgesqueeze_folded"
_Layer = nn.Conv1d | nn.Conv2d | nn.ConvTranspose1d | nn.ConvTranspose2d | nn.Linear
_Norm = nn.BatchNorm1d | nn.BatchNorm2d
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d)
_LAYERS, _NORMS = (nn.Conv1d, nn.Conv2d, *_TRANSPOSED, nn.Linear), (nn.BatchNorm1d, nn.BatchNorm2d)


def folded_pairs(model: nn.Module) -> list[FoldedPair]:
    """What has been folded in this model so far."""
    return list(getattr(model, _RECORD, []))


def mark_folded(model: nn.Module, pairs: list[FoldedPair]) -> None:
    """Record folded pairs on the model, so that its saved state says so."""
    setattr(model, _RECORD, [*folded_pairs(model), *pairs])


def fold_batch_norm(model: nn.Module, example_input: Tree) -> list[FoldedPair]:
    """Fold every batch norm in place and return the pairs.

    Raises:
        UnsupportedLayerError: a batch norm does not directly follow a convolution or dense layer of its own.
    """
    pairs = _find_pairs(model, example_input)
    with torch.no_grad():
        before = list(leaves(call(model, example_input)))
    for conv_name, norm_name in pairs:
        conv, norm = model.get_submodule(conv_name), model.get_submodule(norm_name)
        assert isinstance(conv, _LAYERS)
        assert isinstance(norm, _NORMS)
        _fold(conv, norm)
        _replace_by_identity(model, norm_name)
    left = [name for name, m in model.named_modules() if isinstance(m, _NORMS)]
    if left:
        raise UnsupportedLayerError(
            f"batch norm {left[0]!r} does not directly follow a convolution or dense layer, "
            "so it cannot be folded; leave weight sharing out for this model"
        )
    with torch.no_grad():
        after = list(leaves(call(model, example_input)))
    if not all(map(_is_close, before, after)):
        raise UnsupportedLayerError(
            "folding batch norm changes what the model computes (something else reads the convolution too); "
            "leave weight sharing out for this model"
        )
    mark_folded(model, pairs)
    return pairs


def _is_close(before: Tensor, after: Tensor) -> bool:
    return torch.allclose(before, after, rtol=1e-3, atol=1e-3 * float(before.abs().max()))


def apply_folding(model: nn.Module, pairs: list[FoldedPair]) -> None:
    """Give a freshly built model the structure that folding left, ready for its weights."""
    for conv_name, norm_name in pairs:
        conv = model.get_submodule(conv_name)
        assert isinstance(conv, _LAYERS)
        if conv.bias is None:
            conv.bias = nn.Parameter(torch.zeros(_channels(conv)))
        _replace_by_identity(model, norm_name)


def _find_pairs(model: nn.Module, example_input: Tree) -> list[FoldedPair]:
    """Pairs found by watching tensors flow from a convolution into a batch norm in one forward pass."""
    produced: dict[_Place, str] = {}
    kept_alive: list[Tensor] = []
    pairs: list[FoldedPair] = []
    hooks = []
    for name, module in model.named_modules():
        if isinstance(module, _LAYERS):

            def remember(_: nn.Module, __: object, output: Tensor, name: str = name) -> None:
                produced[_place(output)] = name
                kept_alive.append(output)

            hooks.append(module.register_forward_hook(remember))
        elif isinstance(module, _NORMS):

            def pair(_: nn.Module, inputs: tuple[Tensor, ...], name: str = name) -> None:
                conv = produced.get(_place(inputs[0]))
                if conv is not None:
                    pairs.append((conv, name))

            hooks.append(module.register_forward_pre_hook(pair))
    try:
        with torch.no_grad():
            call(model.eval(), example_input)
    finally:
        for hook in hooks:
            hook.remove()
    return list(dict.fromkeys(pairs))  # layers that are called again are folded once


_Place = tuple[int, torch.Size, tuple[int, ...]]


def _place(value: Tensor) -> _Place:
    """The same for a tensor and for one that was turned to another order and back, as Keras's models do."""
    return value.data_ptr(), value.shape, value.stride()


def _fold(conv: _Layer, norm: _Norm) -> None:
    if norm.running_mean is None or norm.running_var is None:
        raise UnsupportedLayerError("a batch norm without running statistics cannot be folded")
    gain = torch.ones_like(norm.running_var) if norm.weight is None else norm.weight
    shift = torch.zeros_like(norm.running_mean) if norm.bias is None else norm.bias
    with torch.no_grad():
        factor = gain.double() / torch.sqrt(norm.running_var.double() + norm.eps)
        # Behind a mask lies the weight as it was; scaling that one keeps the mask's zeros at zero.
        masked = parametrize.is_parametrized(conv, "weight")
        stored = conv.get_parameter("parametrizations.weight.original") if masked else conv.weight
        stored.copy_((stored.double() * _over_weight(conv, factor)).float())
        bias = torch.zeros_like(norm.running_mean) if conv.bias is None else conv.bias
        folded = (bias.double() - norm.running_mean.double()) * factor + shift.double()
        conv.bias = nn.Parameter(folded.float())


def _channels(layer: _Layer) -> int:
    return layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels


def _over_weight(layer: _Layer, factor: Tensor) -> Tensor:
    """A factor per output channel [out] in the layout of the weight, transposed [in, out / groups, …]."""
    dims = [1] * (layer.weight.dim() - 2)
    if not isinstance(layer, _TRANSPOSED):
        return factor.view(-1, 1, *dims)
    by_group = factor.view(layer.groups, 1, -1).expand(-1, layer.in_channels // layer.groups, -1)
    return by_group.reshape(layer.in_channels, -1, *dims)


def _replace_by_identity(model: nn.Module, name: str) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, nn.Identity())
