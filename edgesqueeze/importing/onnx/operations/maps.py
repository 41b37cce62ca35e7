"""Operators on maps: pooling, resizing, padding, blocks of pixels."""

from functools import partial
from math import inf
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgesqueeze.importing.onnx.node import OnnxNode
from edgesqueeze.importing.onnx.operations.padding import around, sides_of
from edgesqueeze.importing.onnx.operations.translation import Translation, Work

_MAX_POOLS: dict[int, Any] = {1: F.max_pool1d, 2: F.max_pool2d}
_AVERAGE_POOLS: dict[int, Any] = {1: F.avg_pool1d, 2: F.avg_pool2d}


def _max_pool(node: OnnxNode) -> Work:
    kernel, strides = _window(node)
    dilations = node.attribute("dilations", [1] * len(kernel))
    if len([name for name in node.proto.output if name]) > 1:
        raise node.refuse("gives the places of its maxima too")
    windows = [(size - 1) * step + 1 for size, step in zip(kernel, dilations, strict=True)]
    inside, outside = around(sides_of(node, windows, strides))
    pool = _of_rank(node, _MAX_POOLS, len(kernel))
    if any(2 * pad > size for pad, size in zip(inside, kernel, strict=True)):
        inside, outside = [0] * len(kernel), [n for pad in reversed(inside) for n in (pad, pad)]
    ceil = bool(node.attribute("ceil_mode", 0))

    def call(x: Tensor) -> Tensor:
        x = F.pad(x, outside, value=-inf) if any(outside) else x
        found: Tensor = pool(x, kernel, strides, inside, dilations, ceil)
        return found

    return Work(call)


def _average_pool(node: OnnxNode) -> Work:
    kernel, strides = _window(node)
    if set(node.attribute("dilations", [1])) != {1}:
        raise node.refuse("has a dilation")
    sides = sides_of(node, kernel, strides)
    inside, outside = around(sides)
    counted, ceil = bool(node.attribute("count_include_pad", 0)), bool(node.attribute("ceil_mode", 0))
    pool = _of_rank(node, _AVERAGE_POOLS, len(kernel))
    if any(2 * pad > size for pad, size in zip(inside, kernel, strict=True)):
        raise node.refuse("has a padding of more than half its window")
    if not any(outside):
        return Work(lambda x: pool(x, kernel, strides, inside, ceil, counted))
    if ceil:
        raise node.refuse("rounds its size up and pads its sides differently")
    if counted:
        return Work(lambda x: pool(F.pad(x, outside), kernel, strides))
    layer_share = _shares(node, kernel, strides, outside)
    return Work(lambda x: pool(F.pad(x, outside), kernel, strides) * layer_share.to(x))


def _shares(node: OnnxNode, kernel: list[int], strides: list[int], outside: list[int]) -> Tensor:
    """One over the share of every window that lies inside."""
    ones = torch.ones(1, 1, *node.example().shape[2:])
    pool = _of_rank(node, _AVERAGE_POOLS, len(kernel))
    found: Tensor = pool(F.pad(ones, outside), kernel, strides)
    return found.reciprocal()


def _window(node: OnnxNode) -> tuple[list[int], list[int]]:
    kernel = list(node.attribute("kernel_shape"))
    return kernel, list(node.attribute("strides", [1] * len(kernel)))


def _of_rank(node: OnnxNode, functions: dict[int, Any], rank: int) -> Any:
    if rank not in functions:
        raise node.refuse(f"pools over {rank} dimensions, allowed: 1 and 2")
    return functions[rank]


def _global(node: OnnxNode, mean: bool) -> Work:
    axes = tuple(range(2, node.example().ndim))
    if mean:
        return Work(lambda x: x.mean(axes, keepdim=True))
    return Work(lambda x: x.amax(axes, keepdim=True))


def _resize(node: OnnxNode) -> Work:
    """Resize and Upsample, as torch can: nearest and bilinear on the last two dimensions."""
    size = _target(node)
    mode = node.attribute("mode", "nearest")
    places = node.attribute("coordinate_transformation_mode", "half_pixel")
    if node.kind == "Upsample" or node.opset < 11:
        places = "asymmetric"
    if node.example().ndim != 4:
        raise node.refuse(f"resizes {node.example().ndim} dimensions, a map [N, C, H, W] is allowed")
    whole = all(new % old == 0 for new, old in zip(size, node.example().shape[2:], strict=True))
    if mode == "nearest":
        rounding = node.attribute("nearest_mode", "round_prefer_floor")
        fits = places == "asymmetric" and (rounding == "floor" or whole)
        fits |= places in ("half_pixel", "tf_half_pixel_for_nn") and whole
        if node.kind == "Upsample" or node.opset < 11 or fits:
            return Work(lambda x: F.interpolate(x, size, mode="nearest"))
    elif mode == "linear":
        if places in ("half_pixel", "pytorch_half_pixel"):
            return Work(lambda x: F.interpolate(x, size, mode="bilinear", align_corners=False))
        if places == "align_corners":
            return Work(lambda x: F.interpolate(x, size, mode="bilinear", align_corners=True))
    raise node.refuse(f"resizes by mode {mode} and {places}, which torch does not have")


def _target(node: OnnxNode) -> tuple[int, int]:
    """Height and width of the result."""
    old = list(node.example().shape)
    if node.kind == "Upsample" or node.opset < 11:
        scales = np.asarray(node.constant(1, "scales"))
        new = [int(size * scale) for size, scale in zip(old, scales, strict=True)]
    elif node.has(3):
        new = [int(n) for n in node.constant(3)]
    else:
        scales = np.asarray(node.constant(2))
        new = [int(np.floor(size * scale)) for size, scale in zip(old, scales, strict=True)]
    axes = node.attribute("axes")
    if axes is not None:
        found = dict(zip([axis % len(old) for axis in axes], new, strict=True))
        new = [found.get(axis, size) for axis, size in enumerate(old)]
    if new[:2] != old[:2]:
        raise node.refuse(f"resizes {old} to {new}; height and width are allowed")
    return new[2], new[3]


def _pad(node: OnnxNode) -> Work:
    pads = node.numbers(1, "pads") or node.numbers(1, "paddings") or []
    if node.has(3):  # only these axes
        axes, rank = node.numbers(3) or [], node.example().ndim
        full = [0] * 2 * rank
        for place, axis in enumerate(axes):
            full[axis % rank], full[rank + axis % rank] = pads[place], pads[len(axes) + place]
        pads = full
    half = len(pads) // 2
    flat = [n for pair in reversed(list(zip(pads[:half], pads[half:], strict=True))) for n in pair]
    while len(flat) > 2 and flat[-2:] == [0, 0]:
        flat = flat[:-2]
    mode = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}[
        node.attribute("mode", "constant")
    ]
    if mode != "constant":
        return Work(lambda x: F.pad(x, flat, mode))
    value = node.constant(2, "value", 0.0)
    number = float(np.asarray(value).reshape(-1)[0]) if np.asarray(value).size else 0.0
    return Work(lambda x: F.pad(x, flat, value=number))


def _depth_to_space(node: OnnxNode) -> Work:
    block = node.attribute("blocksize")
    if node.attribute("mode", "DCR") == "CRD":
        return Work(partial(F.pixel_shuffle, upscale_factor=block))

    def call(x: Tensor) -> Tensor:
        count, channels, height, width = x.shape
        parts = x.reshape(count, block, block, channels // block**2, height, width)
        moved = parts.permute(0, 3, 4, 1, 5, 2)
        return moved.reshape(count, channels // block**2, height * block, width * block)

    return Work(call)


def _space_to_depth(node: OnnxNode) -> Work:
    block = node.attribute("blocksize")

    def call(x: Tensor) -> Tensor:
        count, channels, height, width = x.shape
        parts = x.reshape(count, channels, height // block, block, width // block, block)
        return parts.permute(0, 3, 5, 1, 2, 4).reshape(count, -1, height // block, width // block)

    return Work(call)


def _local_response_norm(node: OnnxNode) -> Work:
    size, alpha = node.attribute("size"), node.attribute("alpha", 1e-4)
    layer = nn.LocalResponseNorm(size, alpha, node.attribute("beta", 0.75), node.attribute("bias", 1.0))
    return Work(layer)


MAPS: dict[str, Translation] = {
    "AveragePool": _average_pool,
    "DepthToSpace": _depth_to_space,
    "GlobalAveragePool": partial(_global, mean=True),
    "GlobalMaxPool": partial(_global, mean=False),
    "LRN": _local_response_norm,
    "MaxPool": _max_pool,
    "Pad": _pad,
    "Resize": _resize,
    "SpaceToDepth": _space_to_depth,
    "Upsample": _resize,
}
