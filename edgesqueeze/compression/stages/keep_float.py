"""The setting ``keep_float`` of stages that make integers: layers that compute in float all the same."""

from collections.abc import Collection
from typing import Annotated

from pydantic import Field
from torch import nn

from edgesqueeze.errors import RecipeError
from edgesqueeze.layers import match_names, weighted_layers
from edgesqueeze.network.graph.nodes import Graph
from edgesqueeze.task.training import Session

KeepFloat = tuple[Annotated[str, Field(min_length=1)], ...]
"""Globs over layer names. The layers they name keep float32 weights; what they read and make is int8."""


def check_keep_float(model: nn.Module, globs: KeepFloat, where: str) -> None:
    """Every glob must name a convolution or dense layer of the model.

    Raises:
        RecipeError: one names none.
    """
    match_names(weighted_layers(model), globs, where)


def kept_layers(graph: Graph, globs: Collection[str], where: str, session: Session) -> tuple[str, ...]:
    """The layers of a graph that stay in float, told to the session for the report.

    Raises:
        RecipeError: a glob names no layer that the network runs through, or they name all of them.
    """
    if not globs:
        return ()
    names = [node.name for node in graph.weighted if not node.weights_of]
    kept = match_names(names, globs, where)
    if len(kept) == len(names):
        raise RecipeError(f"{where} keeps every layer in float; leave the stage out to get a float network")
    session.note(f"layers kept in float: {', '.join(kept)}")
    return tuple(kept)
