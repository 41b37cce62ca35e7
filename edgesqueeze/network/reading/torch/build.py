"""From a torch module to a :class:`~edgesqueeze.network.graph.nodes.Graph`, by way of ``torch.export``.

Batch norm is folded into the layer before it (elsewhere it becomes a depthwise convolution), ReLU and ReLU6
are fused behind the node that feeds them (through max pooling, with which they commute),
dropout vanishes, ceil mode becomes padding.
"""

from copy import deepcopy

import torch
from torch import nn

from edgesqueeze.errors import TaskError, UnsupportedLayerError
from edgesqueeze.network.floats.run import graph_weights, run_graph
from edgesqueeze.network.graph.nodes import Graph
from edgesqueeze.network.reading.torch.aten import ANY_ORDER, TRANSLATIONS
from edgesqueeze.network.reading.torch.builder import Builder
from edgesqueeze.network.reading.torch.decompositions import DECOMPOSITIONS
from edgesqueeze.network.reading.torch.dims.alignment import settle
from edgesqueeze.network.reading.torch.dims.layouts import CHANNELS, keep_dims, name_of, rearranged
from edgesqueeze.network.reading.torch.dims.views import Dims, lengths, natural
from edgesqueeze.network.reading.torch.fx import aten_name, refuse, shape_of
from edgesqueeze.trees import Tree, arguments, leaves, map_tree

_TOLERANCE = 1e-3
"""Of the largest answer. What is read wrongly is off by more."""
_TIMES_ERROR = 10.0
_MOST_PLACES = 0.99
"""So many of the places of largest values must be the same; near ties may fall otherwise."""
_FAULT = "this is a fault of edgesqueeze: please report the model"
_OF_A_SHAPE = {"new_zeros", "new_ones", "new_full", "zeros_like", "ones_like", "full_like"}
"""Operations that read nothing but a shape."""


def build_graph(model: nn.Module, example_input: Tree) -> Graph:
    """The graph of a module in evaluation mode.

    Args:
        model: a module whose weights are plain (bake parametrizations first).
        example_input: one input, [1, C, H, W]; of several inputs a tuple, or a dictionary by the names that
            ``forward`` gives them.

    Raises:
        UnsupportedLayerError: the model does something the graph has no node for.
        TaskError: torch.export cannot trace the model at all.
    """
    try:
        program, prefix = _exported(model.eval(), example_input)
    except Exception as error:  # torch.export raises many unrelated types
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise TaskError(f"torch.export cannot trace {type(model).__name__}: {reason}") from error
    _drop_assertions(program.graph)
    builder = Builder(program, prefix=prefix)
    user_inputs = [name for name in program.graph_signature.user_inputs if isinstance(name, str)]
    for fx in program.graph.nodes:
        if fx.op == "placeholder" and fx.name in user_inputs:
            builder.add_input(fx, fx.name if len(user_inputs) > 1 else "input")
        elif fx.op == "call_function":
            _translate(builder, fx)
        elif fx.op == "output":
            builder.reading.clear()
            _return(builder, fx)
            graph = builder.finish(fx)
            _check_answers(model, program, graph, example_input)
            return graph
    raise UnsupportedLayerError("the model returns no tensor")


class _Within(nn.Module):
    """A module one step further in.

    torch.export cannot trace one whose layer is called as an attribute of ``torch.fx.GraphModule`` is:
    ``code`` or ``graph``, say.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.forward = model.forward


def _exported(model: nn.Module, example_input: Tree) -> tuple[torch.export.ExportedProgram, str]:
    """The program, and the prefix of the names that its tensors have."""
    args, named = arguments(example_input)
    clash = any(hasattr(torch.fx.GraphModule, name) for name, _ in model.named_children())
    traced, prefix = (_Within(model).eval(), "model.") if clash else (model, "")
    program = torch.export.export(traced, args, named).run_decompositions(DECOMPOSITIONS)
    for fx in program.graph.nodes if clash else ():
        stack = fx.meta.get("nn_module_stack") or {}
        fx.meta["nn_module_stack"] = {k: (n.removeprefix(prefix), kind) for k, (n, kind) in stack.items()}
    return program, prefix


def _drop_assertions(graph: torch.fx.Graph) -> None:
    """Of what was traced with they hold already; without them what reads a value is what computes with it."""
    for fx in list(graph.nodes):
        if fx.op == "call_function" and aten_name(fx).startswith("_assert"):
            graph.erase_node(fx)


def _translate(builder: Builder, fx: torch.fx.Node) -> None:
    if not any(builder.computes(argument) for argument in fx.all_input_nodes):
        builder.fold(fx)
        return  # what touches no activation is shape arithmetic and checks, or a weight that is computed
    name = aten_name(fx)
    if name in _OF_A_SHAPE:
        builder.known[fx] = _filled(fx)
        return
    if _is_empty(fx):  # such as the tokens before the first, of which there are none
        builder.known[fx] = torch.zeros(shape_of(fx))
        return
    _check_type(fx)
    translation = TRANSLATIONS.get(name)
    if translation is None:
        raise refuse(fx, "is not supported")
    builder.reading.clear()
    dims = None if name in ANY_ORDER else settle(builder, fx, name)
    translation(builder, fx)
    if dims is not None:
        keep_dims(builder, fx, dims if name not in CHANNELS else _with_channels(builder, fx, dims))


@torch.no_grad()
def _check_answers(
    model: nn.Module, program: torch.export.ExportedProgram, graph: Graph, example_input: Tree
) -> None:
    """Refuse a graph that was read wrongly: nothing behind it would ever ask the module again."""
    args, named = arguments(example_input)
    expected, name = list(leaves(model(*args, **named))), type(model).__name__
    try:
        found = list(leaves(run_graph(graph, example_input, graph_weights(graph))))
        alike = all(map(_is_near, found, expected, [0.0] * len(expected)))
        if not alike:  # an untrained network amplifies rounding: torch's own error is the measure
            alike = all(map(_is_near, found, expected, _errors(model, program, example_input, expected)))
    except (RuntimeError, ValueError) as error:  # shapes that do not fit
        raise UnsupportedLayerError(f"the graph read from {name} does not run: {error}; {_FAULT}") from error
    if not alike:
        raise UnsupportedLayerError(f"the graph read from {name} answers otherwise than {name}; {_FAULT}")


def _errors(
    model: nn.Module,
    program: torch.export.ExportedProgram,
    example_input: Tree,
    expected: list[torch.Tensor],
) -> list[float]:
    """How far float32 is from float64, for every output of a module."""
    args, named = arguments(map_tree(torch.Tensor.double, example_input))
    try:
        exact = leaves(deepcopy(model).double()(*args, **named))
    except (
        RuntimeError
    ):  # it turns what it is given into float32 itself, as Keras does; what was traced does not
        exact = leaves(deepcopy(program.module()).double()(*args, **named))
    return [float((one - other).abs().max()) for one, other in zip(exact, expected, strict=True)]


def _is_near(found: torch.Tensor, expected: torch.Tensor, error: float) -> bool:
    """Up to rounding, which folded norms and other orders of sums bring; places only for the most part."""
    if found.shape != expected.shape:
        return False
    if not expected.is_floating_point():
        return bool((found == expected).float().mean() >= _MOST_PLACES)
    scale = float(expected[expected.isfinite()].abs().max()) if expected.isfinite().any() else 1.0
    allowed = _TOLERANCE * scale + _TIMES_ERROR * error + 1e-30
    return torch.allclose(found, expected, rtol=0, atol=allowed, equal_nan=True)


def _check_type(fx: torch.fx.Node) -> None:
    """Refuse to compute in another precision than files do."""
    value = fx.meta.get("val")
    if isinstance(value, torch.Tensor) and value.is_floating_point() and value.dtype != torch.float32:
        raise refuse(fx, f"computes in {str(value.dtype).removeprefix('torch.')}; files compute in float32")


def _filled(fx: torch.fx.Node) -> torch.Tensor:
    """What an operation makes of a tensor whose shape alone counts."""
    (value,) = fx.all_input_nodes
    stand_in = torch.zeros([int(n) for n in value.meta["val"].shape], dtype=value.meta["val"].dtype)
    assert callable(fx.target)
    made: torch.Tensor = fx.target(stand_in, *fx.args[1:], **fx.kwargs)
    return made


def _is_empty(fx: torch.fx.Node) -> bool:
    value = fx.meta.get("val")
    return isinstance(value, torch.Tensor) and value.numel() == 0


def _with_channels(builder: Builder, fx: torch.fx.Node, dims: Dims) -> Dims:
    """The dimensions of a result that has other channels than what it was computed from."""
    channels = natural(builder.nodes[builder.made[fx]].shape)[1]
    dim = CHANNELS[aten_name(fx)](fx)
    return tuple(channels if place == dim % len(dims) else atoms for place, atoms in enumerate(dims))


def _return(builder: Builder, fx: torch.fx.Node) -> None:
    """Bring what the program returns into the order that torch has it in."""
    for value in dict.fromkeys(leaves(builder.structure(fx))):
        dims = builder.views.get(value)
        if dims is None:
            continue
        if not dims or dims[0]:
            raise UnsupportedLayerError(
                f"the model returns shape {lengths(dims)}; its first dimension must be the batch"
            )
        node = builder.nodes[builder.made[value]]
        builder.reading[value] = rearranged(builder, node, dims[1:], name_of(builder, value)).name
