"""A file that a user names runs once in a process of its own: damaged, it may bring native code down."""

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from math import prod
from pathlib import Path

import numpy as np

from edgesqueeze.errors import EdgeSqueezeError, ExportError
from edgesqueeze.formats.any_file import read_model_file
from edgesqueeze.formats.facts import FileFacts, TensorFact
from edgesqueeze.measure.runtimes.runtime import load_model
from edgesqueeze.network.graph.check import MAX_ELEMENTS
from edgesqueeze.trees import Tree

_SEED = 0
_CHILD = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from edgesqueeze.measure.runtimes.trial import run_once; run_once(sys.argv[2])"
)


def check_survives(path: Path) -> None:
    """Refuse a file that ends the process which loads and runs it.

    A file that is refused in any other way passes: whoever loads it then says why.

    Raises:
        ExportError: the process was ended by a signal.
    """
    command = [sys.executable, "-c", _CHILD, json.dumps(sys.path), str(path)]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise ExportError(f"{path} cannot be run: it ends its runtime's process ({name})")


def run_once(path: str) -> None:
    """What the process of its own does."""
    try:
        example = example_input(read_model_file(Path(path)))
        load_model(Path(path)).prepare(example)()
    except EdgeSqueezeError:
        pass  # said by whoever loads it next


def example_input(fact: FileFacts) -> Tree:
    """Seeded noise in the shapes the file asks for, a dynamic batch taken as 1; of several inputs a tuple.

    Raises:
        ExportError: an input has an open shape, or is larger than a network here may have.
    """
    source = np.random.default_rng(_SEED)
    found = tuple(source.standard_normal(shape, dtype=np.float32) for shape in input_shapes(fact))
    return found[0] if len(found) == 1 else found


def input_shapes(
    fact: FileFacts, batch: int = 1, sizes: Sequence[int] | None = None
) -> tuple[tuple[int, ...], ...]:
    """The shapes of a file's inputs, as many at once as it takes, or ``batch`` where that is open.

    Args:
        fact: the file.
        batch: how many inputs where the file takes any number.
        sizes: of an input without the batch, for what else is open.

    Raises:
        ExportError: a size stays open, or an input is larger than a network here may have.
    """
    return tuple(_shape(fact, entry, batch, sizes) for entry in fact.inputs)


def _shape(fact: FileFacts, entry: TensorFact, batch: int, sizes: Sequence[int] | None) -> tuple[int, ...]:
    shown = "×".join("?" if n is None else str(n) for n in entry.shape)
    filled = (batch, *sizes) if sizes is not None and len(sizes) == len(entry.shape) - 1 else (batch,)
    known = [
        filled[place] if size is None and place < len(filled) else size
        for place, size in enumerate(entry.shape)
    ]
    if not known or None in known:
        raise ExportError(
            f"{fact.path} has an input of shape {shown}; only the batch may be open to be timed"
        )
    whole = tuple(size for size in known if size is not None)
    if not 0 < prod(whole) <= MAX_ELEMENTS:
        raise ExportError(f"{fact.path} has an input of shape {shown}; allowed are 1 to 2^28 values")
    return whole
