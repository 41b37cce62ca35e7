"""Operators that move values and compute none. The first dimension is the batch and stays open."""

import math
from functools import reduce

import numpy as np
import torch
from torch import Tensor

from edgesqueeze.importing.onnx.node import OnnxNode
from edgesqueeze.importing.onnx.operations.translation import Translation, Work, with_constants


def _reshape(node: OnnxNode) -> Work:
    wanted, shape = node.numbers(1, "shape") or [], list(node.example().shape)
    if not node.attribute("allowzero", 0):
        wanted = [shape[place] if size == 0 else size for place, size in enumerate(wanted)]
    known = math.prod(size for size in wanted if size != -1)
    full = [math.prod(shape) // max(known, 1) if size == -1 else size for size in wanted]
    return _to_shape(node, full)


def _to_shape(node: OnnxNode, full: list[int]) -> Work:
    """A reshape of the example to these sizes, of batches to as many times the first."""
    before = node.example().shape[0] if node.example().ndim else 1
    if not full:
        return Work(lambda x: x.reshape([]))
    if full[0] % before == 0:
        times, rest = full[0] // before, full[1:]
        return Work(lambda x: x.reshape(x.shape[0] * times, *rest))
    if before % full[0] == 0:
        parts, rest = before // full[0], full[1:]
        return Work(lambda x: x.reshape(x.shape[0] // parts, *rest))
    raise node.refuse(f"makes {full} of {list(node.example().shape)}, which takes the batch apart")


def _flatten(node: OnnxNode) -> Work:
    shape = list(node.example().shape)
    axis = node.attribute("axis", 1)
    axis += len(shape) if axis < 0 else 0
    return _to_shape(node, [math.prod(shape[:axis]), math.prod(shape[axis:])])


def _transpose(node: OnnxNode) -> Work:
    order = list(node.attribute("perm", range(node.example().ndim)[::-1]))
    return Work(lambda x: x.permute(order))


def _squeeze(node: OnnxNode) -> Work:
    axes, shape = node.numbers(1, "axes"), list(node.example().shape)
    if axes is None:
        axes = [axis for axis, size in enumerate(shape) if size == 1]
    dims = sorted({axis % len(shape) for axis in axes}, reverse=True)
    return Work(lambda x: reduce(torch.squeeze, dims, x))


def _unsqueeze(node: OnnxNode) -> Work:
    axes = node.numbers(1, "axes") or []
    rank = node.example().ndim + len(axes)
    dims = sorted(axis % rank for axis in axes)
    return Work(lambda x: reduce(torch.unsqueeze, dims, x))


def _concat(node: OnnxNode) -> Work:
    axis = node.attribute("axis", 1)
    one_number = [place for place in range(len(node.proto.input)) if node.is_constant(place)]
    if not one_number:
        return Work(lambda *parts: torch.cat(parts, axis))

    def call(*parts: Tensor) -> Tensor:
        count = next(part.shape[0] for part in parts if part.shape[0] > 1 or part is parts[-1])
        same = [part.expand(count, *part.shape[1:]) if axis % part.ndim else part for part in parts]
        return torch.cat(same, axis)

    return with_constants(node, call)


def _split(node: OnnxNode) -> Work:
    axis, sizes = node.attribute("axis", 0), node.numbers(1, "split")
    if sizes is None:
        count = node.attribute("num_outputs", len(node.proto.output))
        each = -(-node.example().shape[axis] // count)
        return Work(lambda x: x.split(each, axis))
    return Work(lambda x: x.split(sizes, axis))


def _slice(node: OnnxNode) -> Work:
    starts, ends = node.numbers(1, "starts") or [], node.numbers(2, "ends") or []
    axes = node.numbers(3, "axes")
    axes = list(range(len(starts))) if axes is None else axes
    steps = node.numbers(4) or [1] * len(starts)
    rank = node.example().ndim
    parts = [slice(None)] * rank
    backward = []
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        size = node.example().shape[axis]
        if step > 0:
            # an end at or behind the last place stays open: the dimension may be the batch
            parts[axis % rank] = slice(start, None if end >= size else end, step)
        elif step == -1 and start in (-1, size - 1) and end < -size:
            backward.append(axis % rank)
        else:
            raise node.refuse(f"takes every {step}th place")
    if not backward:
        return Work(lambda x: x[tuple(parts)])
    return Work(lambda x: x[tuple(parts)].flip(backward))


def _gather(node: OnnxNode) -> Work:
    if not node.is_constant(1) or node.is_constant(0):
        raise node.refuse("takes places that are computed")
    axis, places = node.attribute("axis", 0), np.asarray(node.constant(1)).astype(np.int64)
    axis %= node.example().ndim
    size = node.example().shape[axis]
    places = np.where(places < 0, places + size, places)
    if places.ndim == 0:
        return Work(lambda x: x.select(axis, int(places)))
    if places.ndim != 1:
        raise node.refuse(f"takes places of shape {list(places.shape)}; a list is allowed")
    first, step = int(places[0]), int(places[1] - places[0]) if len(places) > 1 else 1
    if step > 0 and np.array_equal(places, first + step * np.arange(len(places))):
        parts = [slice(None)] * axis + [slice(first, int(places[-1]) + 1, step)]
        return Work(lambda x: x[tuple(parts)])
    chosen = places.tolist()
    return Work(lambda x: x.index_select(axis, torch.tensor(chosen, device=x.device)))


def _expand(node: OnnxNode) -> Work:
    wanted, shape = node.numbers(1) or [], list(node.example().shape)
    shape = [1] * (len(wanted) - len(shape)) + shape
    wanted = [1] * (len(shape) - len(wanted)) + wanted
    sizes = [-1 if new in (1, old) else new for new, old in zip(wanted, shape, strict=True)]
    return Work(lambda x: x.expand(sizes))


def _tile(node: OnnxNode) -> Work:
    times = node.numbers(1) or []
    return Work(lambda x: x.repeat(times))


def _same(_: OnnxNode) -> Work:
    return Work(lambda x, *_: x)


def _cast(node: OnnxNode) -> Work:
    kind = node.attribute("to")
    types = {
        1: torch.float32,
        11: torch.float32,
        10: torch.float32,
        6: torch.int32,
        7: torch.int64,
        9: torch.bool,
    }
    if kind not in types:
        raise node.refuse("casts to a type that is not supported")
    if node.example().is_floating_point() and types[kind].is_floating_point:
        return _same(node)
    return Work(lambda x: x.to(types[kind]))


SHAPES: dict[str, Translation] = {
    "Cast": _cast,
    "Concat": _concat,
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _gather,
    "Identity": _same,
    "Reshape": _reshape,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _squeeze,
    "Tile": _tile,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
