"""Attention: a product, a softmax, and another product."""

from string import ascii_letters

import numpy as np
import torch
from torch.fx import Node as FxNode

from edgesqueeze.network.graph.nodes import Add, Softmax
from edgesqueeze.network.reading.torch.builder import Builder, Translation
from edgesqueeze.network.reading.torch.dims.layouts import constant_node, placed
from edgesqueeze.network.reading.torch.fx import arguments_of, refuse
from edgesqueeze.network.reading.torch.operations.constants import affine, scaled
from edgesqueeze.network.reading.torch.operations.products.matmuls import (
    Factor,
    contracted,
    factor_of,
    show_product,
)


def _attention(builder: Builder, fx: FxNode) -> None:
    """softmax(query · keyᵀ · scale + mask) · value (Vaswani et al. 2017, arXiv 1706.03762, section 3.2.1)."""
    names = ["query", "key", "value", "attn_mask", "dropout_p", "is_causal"]
    args = arguments_of(fx, names)
    mask = args["attn_mask"]
    if args["dropout_p"]:
        raise refuse(fx, f"drops {args['dropout_p']} of its weights in evaluation too; pass 0 there")
    if args["is_causal"] or args.get("enable_gqa"):
        raise refuse(fx, "is causal, or shares keys among groups of heads; attention over everything is read")
    query, key, value = fx.args[:3]
    ranks = {len(v.meta["val"].shape) if builder.computes(v) else 0 for v in (query, key, value)}  # type: ignore[union-attr]
    if len(ranks) != 1 or ranks == {0}:
        raise refuse(fx, "reads stored queries, keys or values; write the products out")
    assert isinstance(query, FxNode) and isinstance(key, FxNode) and isinstance(value, FxNode)
    batch = ascii_letters[: ranks.pop() - 2]
    scale = args.get("scale")
    width = int(query.meta["val"].shape[-1])
    factor = width**-0.5 if scale is None else float(scale)
    asked = _scaled_query(builder, fx, (query, key, value), factor, f"{batch}YZ")
    keys, values = factor_of(builder, key, f"{batch}XZ"), factor_of(builder, value, f"{batch}XW")
    scores = contracted(builder, fx, (asked, keys), f"{batch}YX", f"{fx.name}_scores")
    if mask is not None:
        scores = _masked(builder, fx, scores, mask)
    weights = Softmax(
        name=builder.unused(f"{fx.name}_weights"), inputs=(scores.node.name,), shape=scores.node.shape
    )
    builder.nodes[weights.name] = weights
    attention = Factor(weights, scores.dims, scores.letters, weights.name)
    show_product(builder, fx, contracted(builder, fx, (attention, values), f"{batch}YW", fx.name))


def _scaled_query(
    builder: Builder, fx: FxNode, values: tuple[FxNode, FxNode, FxNode], scale: float, letters: str
) -> Factor:
    """The query times a number; in the layer that makes it, if nothing else reads that."""
    query, *others = values
    factor = factor_of(builder, query, letters)
    if scale == 1:
        return factor
    channels = factor.node.shape[1]
    number = np.full(channels, scale)
    if builder.made[query] in {builder.made[other] for other in others}:
        from_copy = scaled(builder, fx, builder.unused(f"{fx.name}_query"), factor.node, number)
        return Factor(from_copy, factor.dims, letters, from_copy.name)
    affine(builder, fx, factor.node, (number, np.zeros(channels)), builder.unused(f"{fx.name}_query"))
    made = builder.nodes[builder.made[fx]]
    return Factor(made, factor.dims, letters, made.name if made is not factor.node else factor.name)


def _masked(builder: Builder, fx: FxNode, scores: Factor, mask: object) -> Factor:
    """Scores plus a stored bias."""
    stored = builder.stored(mask)
    if stored is None or stored.dtype is torch.bool or not bool(torch.isfinite(stored).all()):
        raise refuse(fx, "has a mask that is computed, or not a finite number everywhere")
    values = stored.to(torch.float64).cpu().numpy()
    found = placed(values, scores.dims, 4)
    constant = constant_node(builder, f"{fx.name}_bias", found.astype(np.float32))
    node = Add(
        name=builder.unused(f"{fx.name}_biased"),
        inputs=(scores.node.name, constant.name),
        shape=scores.node.shape,
        activation="none",
    )
    builder.nodes[node.name] = node
    return Factor(node, scores.dims, scores.letters, node.name)


ATTENTION: dict[str, Translation] = {"scaled_dot_product_attention": _attention}
"""What torch calls it; it reads tensors in any order."""
