"""What a Keras file may ask of a machine: a small file can name sizes that no memory holds."""

from collections.abc import Iterator
from math import prod
from pathlib import Path
from types import ModuleType
from typing import Any

from edgesqueeze.errors import TaskError

MOST_ELEMENTS = 1 << 27
"""Of what one layer makes: half a gigabyte in float32."""
_BESIDE = 1 << 20
"""So many values of variables may be made beside those that a file holds: states of random generators."""


def check_sizes(keras: ModuleType, path: Path, stored: int) -> None:
    """Refuse a model of far more weights than its file holds, or whose layers make too much.

    It is loaded without memory for that: torch's meta device knows shapes alone.

    Args:
        keras: on its torch backend.
        path: a file that nothing executes in, to be loaded in safe mode.
        stored: how many values of weights it holds.

    Raises:
        TaskError: what it asks for.
        Exception: Keras cannot load it; many unrelated types.
    """
    try:
        with keras.device("meta"):
            model = keras.models.load_model(path, compile=False, safe_mode=True)
    except RuntimeError:  # of the device: something asked it for values, which it has none of
        return
    count = model.count_params()
    if count > stored + _BESIDE:
        raise TaskError(f"{path} asks for {count:,} weights and holds {stored:,}")
    for name, shape in _made(model):
        elements = prod(size or 1 for size in shape)
        if elements > MOST_ELEMENTS:
            most = f"at most {MOST_ELEMENTS:,} are allowed"
            raise TaskError(f"{path}: layer {name!r} would make {elements:,} values; {most}")


def _made(model: Any) -> Iterator[tuple[str, tuple[int | None, ...]]]:
    """The shapes of what every layer and operation of a model makes, None where a size is open."""
    for layer in model._flatten_layers():
        network = getattr(layer, "_functional", layer)  # a Sequential keeps its graph there
        for operation in getattr(network, "operations", ()):
            for node in operation._inbound_nodes:
                yield from ((operation.name, tensor.shape) for tensor in node.output_tensors)
