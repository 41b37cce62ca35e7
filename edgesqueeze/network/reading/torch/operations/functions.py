"""Reading the functions of ``network.graph.functions``: nothing here names one."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch.fx import Node as FxNode

from edgesqueeze.network.graph.function_types import GIVEN
from edgesqueeze.network.graph.functions import FUNCTIONS
from edgesqueeze.network.graph.nodes import Pointwise
from edgesqueeze.network.reading.torch.builder import Builder, Translation
from edgesqueeze.network.reading.torch.fx import refuse

_NO_BOUND = {"min": float("-inf"), "max": float("inf")}


def schema_arguments(fx: FxNode) -> dict[str, Any]:
    """The arguments of an operation by torch's own names for them, with torch's defaults."""
    known = fx.target._schema.arguments  # type: ignore[union-attr]  # an operation of torch has a schema
    given = dict(zip((a.name for a in known), fx.args, strict=False))
    return {**{a.name: a.default_value for a in known}, **given, **fx.kwargs}


def number_arguments(builder: Builder, fx: FxNode) -> dict[str, Any]:
    """:func:`schema_arguments` with stored tensors of one value as numbers; a bound that is none is None.

    Raises:
        UnsupportedLayerError: a stored tensor has more values, or an argument is computed.
    """
    found = schema_arguments(fx)
    for name, value in found.items():
        if isinstance(value, FxNode) and value is not fx.args[0]:
            stored = builder.constant(fx, value)
            if stored is None or stored.size != 1:
                raise refuse(fx, f"has a {name} of more than one value")
            found[name] = float(stored.reshape(()))
        if name in _NO_BOUND and found[name] == _NO_BOUND[name]:
            found[name] = None
    return found


def function_translations() -> dict[str, Translation]:
    """Torch's name of an operation to its translation, for all functions."""
    names = [reading.operation for function in FUNCTIONS.values() for reading in function.readings]
    return {name: _translation(name) for name in dict.fromkeys(names)}


def _translation(operation: str) -> Translation:
    known = [(n, r) for n, f in FUNCTIONS.items() for r in f.readings if r.operation == operation]

    def translate(builder: Builder, fx: FxNode) -> None:
        source, arguments = builder.source(fx), number_arguments(builder, fx)
        for name, reading in known:
            if _matches(arguments, reading.when):
                numbers = tuple(float(np.float32(arguments[p])) for p in reading.parameters)
                node = Pointwise(
                    name=fx.name, inputs=(source.name,), shape=source.shape, function=name, parameters=numbers
                )
                builder.add(fx, node)
                return
        keys = dict.fromkeys(key for _, reading in known for key in reading.when)
        found = ", ".join(f"{key}={arguments.get(key)!r}" for key in keys)
        allowed = " or ".join(_said(reading.when) for _, reading in known)
        raise refuse(fx, f"has {found}; allowed is {allowed}")

    return translate


def _matches(arguments: Mapping[str, Any], when: Mapping[str, object]) -> bool:
    return all(
        arguments.get(name) is not None if value is GIVEN else arguments.get(name) == value
        for name, value in when.items()  # an overload may lack an argument
    )


def _said(when: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in when.items())
