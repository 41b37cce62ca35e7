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
    if node.example().ndim != 4:
        raise node.refuse(f"resizes {node.example().ndim} dimensions, a map [N, C, H, W] is allowed")
    size, old = _target(node), tuple(node.example().shape[2:])
    mode = node.attribute("mode", "nearest")
    places = node.attribute("coordinate_transformation_mode", "half_pixel")
    rounding = node.attribute("nearest_mode", "round_prefer_floor")
    if node.kind == "Upsample" or node.opset < 11:
        places, rounding = "asymmetric", "floor"
    if mode == "nearest" and _is_torchs_nearest(places, rounding, old, size):
        return Work(lambda x: F.interpolate(x, size, mode="nearest"))
    if mode == "linear" and not node.attribute("antialias", 0):
        # to one place, PyTorch's own half pixels take the first, F.interpolate the middle
        one = any(new == 1 != before for before, new in zip(old, size, strict=True))
        if places == "half_pixel" or (places == "pytorch_half_pixel" and not one):
            return Work(lambda x: F.interpolate(x, size, mode="bilinear", align_corners=False))
        if places == "align_corners":
            return Work(lambda x: F.interpolate(x, size, mode="bilinear", align_corners=True))
    how = f"mode {mode}, {places}" + (f", {rounding}" if mode == "nearest" else "")
    raise node.refuse(f"resizes {list(old)} to {list(size)} by {how}, which torch does not have")


def _is_torchs_nearest(places: str, rounding: str, old: tuple[int, ...], new: tuple[int, ...]) -> bool:
    """Whether the place that is read is floor(i · old / new)."""
    times = [after / before for before, after in zip(old, new, strict=True)]
    if places == "asymmetric":
        return rounding == "floor" or (rounding == "round_prefer_floor" and set(times) <= {1, 2})
    return (
        places == "half_pixel"
        and rounding.startswith("round_prefer")
        and all(time == int(time) for time in times)
    )


def _target(node: OnnxNode) -> tuple[int, int]:
    """Height and width of the result."""
    old = list(node.example().shape)
    if node.attribute("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise node.refuse("keeps the aspect ratio; give it the sizes themselves")
    axes = [axis % len(old) for axis in node.attribute("axes", range(len(old)))]
    if node.kind != "Upsample" and node.opset >= 11 and node.has(3):
        found = dict(zip(axes, (int(n) for n in node.constant(3)), strict=True))
    else:
        place = 1 if node.kind == "Upsample" or node.opset < 11 else 2
        scales = [float(n) for n in np.asarray(node.constant(place, "scales"))]
        found = {axis: round(old[axis] * scale) for axis, scale in zip(axes, scales, strict=True)}
        if any(abs(found[axis] - old[axis] * scale) > 1e-3 for axis, scale in zip(axes, scales, strict=True)):
            raise node.refuse(f"resizes {old} by {scales}, which gives no whole number of places")
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
