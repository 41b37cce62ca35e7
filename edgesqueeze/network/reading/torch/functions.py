"""Reading the functions of ``network.graph.functions``: nothing here names one."""

from collections.abc import Mapping
from typing import Any

from torch.fx import Node as FxNode

from edgesqueeze.network.graph.functions import FUNCTIONS
from edgesqueeze.network.graph.nodes import Pointwise
from edgesqueeze.network.reading.torch.builder import Builder, Translation, refuse


def schema_arguments(fx: FxNode) -> dict[str, Any]:
    """The arguments of an operation by torch's own names for them, with torch's defaults."""
    known = fx.target._schema.arguments  # type: ignore[union-attr]  # an operation of torch has a schema
    given = dict(zip((a.name for a in known), fx.args, strict=False))
    return {**{a.name: a.default_value for a in known}, **given, **fx.kwargs}


def function_translations() -> dict[str, Translation]:
    """Torch's name of an operation to its translation, for all functions."""
    return {function.aten: _translation(function.aten) for function in FUNCTIONS.values()}


def _translation(aten: str) -> Translation:
    named = {name: function for name, function in FUNCTIONS.items() if function.aten == aten}

    def translate(builder: Builder, fx: FxNode) -> None:
        source, arguments = builder.source(fx), schema_arguments(fx)
        for name, function in named.items():
            if _matches(arguments, function.when):
                node = Pointwise(name=fx.name, inputs=(source.name,), shape=source.shape, function=name)
                builder.add(fx, node)
                return
        found = ", ".join(f"{k}={arguments[k]!r}" for function in named.values() for k in function.when)
        allowed = " or ".join(_said(function.when) for function in named.values())
        raise refuse(fx, f"has {found}; allowed is {allowed}")

    return translate


def _matches(arguments: Mapping[str, Any], when: Mapping[str, object]) -> bool:
    return all(arguments[name] == value for name, value in when.items())


def _said(when: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in when.items())
